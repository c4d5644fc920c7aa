"""How similar two artists are, counted from their listeners.

With n[a] listeners of a, C[a, b] listeners of both, p[a] plays of a, of which P[a, b] come from
listeners of b, and L listeners in all:

========================  =====================================================================
minimum                   C[a, b] / max(n[a], n[b])
asymmetric                C[a, b] / n[a]: of those who know a (the row, a query), the share that
                          knows b; it favours popular artists
plays_minimum             min(P[a, b] / p[a], P[b, a] / p[b])
cosine                    C[a, b] / sqrt(n[a] n[b])
jaccard                   C[a, b] / (n[a] + n[b] - C[a, b])
pmi                       max(0, log(L C[a, b] / (n[a] n[b]))) C[a, b] / (C[a, b] + shrinkage):
                          how much oftener than by chance, less sure where few listeners say so
bm25                      the cosine of the plays weighted by BM25, an artist being a document and
                          its listeners the words, as the library implicit weights them
========================  =====================================================================

Zero where C[a, b] < `min_colisteners`. The first three are those of N. Allen, "Assessing Music
Similarity Through Deep Learning", 2019. n, p, L and BM25's averages are of all artists in the
listens, so that a similarity does not depend on how many artists are compared.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.sparse import csr_array

from twinear.base.params import Params
from twinear.similarity import kernels
from twinear.similarity.partitions import ListensParts, Plays

Measure = Literal["minimum", "asymmetric", "plays_minimum", "cosine", "jaccard", "pmi", "bm25"]
Array: TypeAlias = npt.NDArray[Any]

CODES: dict[Measure, int] = {
    "minimum": kernels.MINIMUM,
    "asymmetric": kernels.ASYMMETRIC,
    "plays_minimum": kernels.PLAYS_MINIMUM,
    "cosine": kernels.COSINE,
    "jaccard": kernels.JACCARD,
    "pmi": kernels.PMI,
    "bm25": kernels.BM25,
}
KINDS: dict[Measure, int] = {"plays_minimum": kernels.SHARED, "bm25": kernels.PRODUCT}


class BM25Params(Params):
    """How soon more plays stop to matter (k1), and how much popularity is held against (b)."""

    k1: float = Field(gt=0)
    b: float = Field(ge=0, le=1)


class SimilarityParams(Params):
    """Which similarity, of which artists.

    Parameters
    ----------
    top_artists
        How many are compared each with each: those with most listeners that have clips.
    neighbours
        How many of the most similar are kept for every artist in the listens; 0 for none.
    min_colisteners
        Two artists with fewer listeners in common are not similar.
    max_artists_per_listener
        Of a listener with more artists only the most played count.
    """

    measure: Measure
    top_artists: int = Field(ge=3)
    neighbours: int = Field(ge=0)
    min_colisteners: int = Field(ge=1)
    max_artists_per_listener: int = Field(ge=2)
    pmi_shrinkage: float = Field(ge=0)
    bm25: BM25Params


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What the measures know of all artists.

    Attributes
    ----------
    listeners, plays
        n and p, (artists,), int64.
    norm
        Of BM25's weights, (artists,), float64; empty for other measures.
    n_listeners
        L.
    n_capped
        Listeners of whom only the most played artists count.
    """

    params: SimilarityParams
    listeners: Array
    plays: Array
    norm: Array
    n_listeners: int
    n_capped: int

    @property
    def kind(self) -> int:
        """Which sums the measure needs."""
        return KINDS.get(self.params.measure, kernels.COUNTS)

    def of(self, artists: Array) -> tuple[int, int, Array, Array, float, float]:
        """What the kernels are told about some artists."""
        return (
            CODES[self.params.measure],
            self.params.min_colisteners,
            self.listeners[artists].astype(np.float64),
            self.plays[artists].astype(np.float64),
            float(self.n_listeners),
            self.params.pmi_shrinkage,
        )

    def heard(self, plays: Plays, artists: Array) -> tuple[Array, Array, Array]:
        """Some listeners as the kernels want them: starts, artist (of `artists`), weight."""
        plays = capped(plays, self.params.max_artists_per_listener)
        weight = plays.data
        if self.kind == kernels.COUNTS:
            weight = np.empty(0, np.int64)
        elif self.kind == kernels.PRODUCT:
            shares = _weights(plays, self) / self.norm[plays.indices]
            weight = np.rint(shares * 2.0**kernels.UNIT).astype(np.int64)
        if len(artists) == plays.shape[1]:
            return plays.indptr.astype(np.int64), plays.indices, weight
        column = np.full(plays.shape[1], -1, np.int32)
        column[artists] = np.arange(len(artists), dtype=np.int32)
        kept: tuple[Array, Array, Array] = kernels.selected(
            plays.indptr.astype(np.int64), plays.indices, weight, column
        )
        return kept


def gather_facts(parts: ListensParts, params: SimilarityParams) -> Facts:
    """Count what the measure needs to know of every artist."""
    n_artists = len(parts.artists)
    listeners, plays = (np.zeros(n_artists, np.int64) for _ in range(2))
    n_listeners = n_capped = 0
    for part in parts:
        kept = capped(part, params.max_artists_per_listener)
        kernels.tally(kept.indices, kept.data, listeners, plays)
        n_listeners += part.shape[0]
        n_capped += int((np.diff(part.indptr) > params.max_artists_per_listener).sum())
    facts = Facts(
        params=params,
        listeners=listeners,
        plays=plays,
        norm=np.empty(0),
        n_listeners=n_listeners,
        n_capped=n_capped,
    )
    if facts.kind != kernels.PRODUCT:
        return facts
    squares = np.zeros(n_artists)
    for part in parts:  # in the order of the listeners: the same bits for any parts
        kept = capped(part, params.max_artists_per_listener)
        np.add.at(squares, kept.indices, _weights(kept, facts) ** 2)
    return replace(facts, norm=np.sqrt(np.where(squares > 0, squares, 1)))


def capped(plays: Plays, most: int) -> Plays:
    """Of every listener the artists played most; the same object where nobody has more."""
    if np.diff(plays.indptr).max(initial=0) <= most:
        return plays
    keep = kernels.most_played(plays.indptr, plays.indices, plays.data, most)
    starts = np.concatenate([[0], np.cumsum(keep)])[plays.indptr]
    return csr_array((plays.data[keep], plays.indices[keep], starts), shape=plays.shape)


def _weights(plays: Plays, facts: Facts) -> Array:
    """BM25's weight of every entry."""
    k1, b = facts.params.bm25.k1, facts.params.bm25.b
    heard = np.diff(plays.indptr)
    rarity = np.log(plays.shape[1]) - np.log1p(heard)
    long = 1 - b + b * facts.plays / facts.plays.mean()
    counts = plays.data
    weights: Array = counts * (k1 + 1) / (k1 * long[plays.indices] + counts)
    weights *= np.repeat(rarity, heard)
    return weights
