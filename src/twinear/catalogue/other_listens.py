"""Scores with the co-listening of other listeners than those that a catalogue was built with.

The listens of the known artists enter a score in one term only, so that it can be computed again
with the similarity from other listeners: with those of one half, to be judged by the other. That
similarity is not denoised (`catalogue.collaborative_denoised`). The network itself, which was
trained on the similarity from all of them, stays; so does popularity, which has no weight by
default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from twinear.catalogue.collaborative import sparse_colistening
from twinear.catalogue.encoded import Floats

if TYPE_CHECKING:
    from twinear.catalogue.building import ScoredArtists
    from twinear.catalogue.catalogue import Catalogue


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoresBeforeListens:
    """The scores of some queries and candidates, all but their co-listening.

    Attributes
    ----------
    known
        Ids of the known artists, (known,).
    totals
        (queries, candidates), before calibration, which keeps their order.
    queries, candidates
        (queries, known) and (candidates, known): how much each known artist stands for them.
    weight
        Of the co-listening in the score.
    n_neighbours
        Similarities kept of each known artist; 0: all.
    """

    known: list[str]
    totals: Floats
    queries: Floats
    candidates: Floats
    weight: float
    n_neighbours: int

    def with_listens(self, similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Add co-listening by a similarity of the known artists, (known, known)."""
        kept = sparse_colistening(np.arange(len(self.known)), similarity, self.n_neighbours)
        matrix = csr_array((kept.values, kept.indices, kept.indptr), shape=similarity.shape)
        inherited = np.asarray(matrix.T @ self.queries.T).T / kept.deviation  # (queries, known)
        return np.asarray(self.totals + self.weight * (inherited @ self.candidates.T), np.float64)


def scores_before_listens(
    catalogue: "Catalogue | ScoredArtists",
    ids: Sequence[str],
    queries: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.int64],
) -> ScoresBeforeListens | None:
    """Take the co-listening off the scores of some rows; None where it does not enter.

    `ids` are those of all artists of the catalogue, by row.
    """
    scoring, params = catalogue.scoring, catalogue.scoring.params
    if scoring.colistening is None or not scoring.uses_listens:
        return None
    known = scoring.colistening.rows
    some, others = (catalogue.encoded.select(rows) for rows in (queries, candidates))
    parts = scoring.score(some, others)
    representations = [
        np.asarray(each.representation(len(known)).toarray(), np.float32) for each in (some, others)
    ]
    return ScoresBeforeListens(
        known=[ids[row] for row in known],
        totals=parts.total - parts.collaborative,
        queries=representations[0],
        candidates=representations[1],
        weight=params.collaborative_weight,
        n_neighbours=params.collaborative_neighbours,
    )
