"""The trained systems and the baselines score the same artists.

The artists are those with similarity and clips. Clips of artists without listens are left out:
there is no similarity to compare their scores with.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.base.errors import DataError
from twinear.catalogue.encoded import evenly_spaced
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats, Ints
from twinear.ranking.baselines import (
    l2,
    mfcc,
    mutual_proximity,
    mutual_proximity_of_queries,
    popularity,
)
from twinear.ranking.ranking import CATALOGUE, SIAMESE, RankingParams, Systems, find_rows
from twinear.similarity.similarity import SimilarityMatrix, dense

if TYPE_CHECKING:
    from twinear.catalogue.building import ScoredArtists
    from twinear.catalogue.catalogue import Catalogue
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms.spectrograms import Spectrograms

BASELINES = ("popularity", "l2", "mfcc", "mfcc_mp")
HUBS = 1000  # artists whose hubs are counted, of those with a similarity of neighbours only
REFERENCES = 500  # artists that mutual proximity is measured by
QUERIES = 128  # scored at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationSet:
    """The artists with similarity and clips, in descending order of listeners."""

    artists: pd.DataFrame  # columns `artist` (id), `name`, `listeners`
    truth: SimilarityMatrix  # (artists, artists), the similarity; a row for each query
    clips: Ints  # (clips,), the rows of the spectrograms that belong to them
    artist_index: Ints  # (clips,), the row in `artists` of each of those clips

    @property
    def ids(self) -> list[str]:
        """The artists' ids."""
        return list(self.artists["artist"])

    def select(self, rows: Ints) -> "EvaluationSet":
        """Select artists by row, in this order."""
        position = np.full(len(self.artists), -1)
        position[rows] = np.arange(len(rows))
        chosen = position[self.artist_index] >= 0
        return EvaluationSet(
            artists=self.artists.iloc[rows].reset_index(drop=True),
            truth=self.truth[rows][:, rows],
            clips=self.clips[chosen],
            artist_index=position[self.artist_index[chosen]],
        )


def build_evaluation_set(spectrograms: "Spectrograms", similarity: "Similarity") -> EvaluationSet:
    """Find the artists that have both similarity and clips; a DataError if there are none."""
    found = find_artists(spectrograms, similarity)
    return replace(found, truth=dense(found.truth).astype(np.float64))


def find_artists(spectrograms: "Spectrograms", similarity: "Similarity") -> EvaluationSet:
    """Do the same, with the truth as the similarity has it: of neighbours only, where it is so."""
    artist_of_clip = spectrograms.clips["artist"]
    rows = np.flatnonzero(similarity.artists["artist"].isin(set(artist_of_clip)))
    artists = similarity.artists.iloc[rows].reset_index(drop=True)[["artist", "name", "listeners"]]
    if artists.empty:
        raise DataError(
            "artists with similarity and clips",
            "there are none",
            remedy="check that listens and clips.csv name the same artists",
        )
    clips = np.flatnonzero(artist_of_clip.isin(list(artists["artist"])))
    artist_index = find_rows(artists, list(artist_of_clip.iloc[clips]), "artists")
    return EvaluationSet(
        artists=artists,
        truth=similarity.matrix[rows][:, rows],
        clips=clips,
        artist_index=np.array(artist_index, dtype=np.int64),
    )


def score_baselines(
    artists: EvaluationSet, spectrograms: "Spectrograms", names: Collection[str] = BASELINES
) -> dict[str, Floats]:
    """Score the artists by some of `BASELINES`, in that order."""
    clips, artist_index = artists.clips, artists.artist_index
    scores = {}
    if "popularity" in names:
        scores["popularity"] = popularity(artists.artists["listeners"])
    if "l2" in names:
        scores["l2"] = l2(spectrograms.values[clips], artist_index)
    if {"mfcc", "mfcc_mp"} & set(names):
        gaussian = mfcc(spectrograms.mfcc_mean[clips], spectrograms.mfcc_cov[clips], artist_index)
        both = {"mfcc": gaussian, "mfcc_mp": mutual_proximity(gaussian)}
        scores |= {name: table for name, table in both.items() if name in names}
    return scores


def score_cosine(vectors: npt.ArrayLike, artist_index: Ints, known: npt.ArrayLike) -> Floats:
    """Score artists by the cosine of their mean vectors, dimensions standardised first.

    The clips of `vectors` (clips, n_dims) that are `known`, (clips,), standardise the dimensions; a
    dimension that is constant among them is ignored. `artist_index` as in `baselines.l2`.
    """
    standard = standardise(vectors, known)
    counts = np.bincount(artist_index)
    mean = np.zeros((len(counts), standard.shape[1]))
    np.add.at(mean, artist_index, standard)
    mean /= counts[:, None]
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    unit = np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)
    return np.asarray(unit @ unit.T)


def standardise(vectors: npt.ArrayLike, known: npt.ArrayLike) -> Floats:
    """Give each dimension a mean of 0 and a deviation of 1 over the `known` clips.

    Examples
    --------
    >>> standardise([[1.0, 5.0], [3.0, 5.0], [7.0, 5.0]], [True, True, False]).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [5.0, 0.0]]
    """
    values = np.asarray(vectors, dtype=np.float64)
    among = values[np.asarray(known, dtype=np.bool_)]
    deviation = among.std(axis=0)
    centred = values - among.mean(axis=0)
    standard = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return np.asarray(standard)


def score_systems(
    catalogue: "Catalogue | ScoredArtists", spectrograms: "Spectrograms", similarity: "Similarity"
) -> Systems:
    """Score every artist with similarity and clips against every other, by every system.

    Memory grows with the square of these artists: see `score_test`.
    """
    return _score_all(catalogue, spectrograms, build_evaluation_set(spectrograms, similarity))


def _score_all(
    catalogue: "Catalogue | ScoredArtists", spectrograms: "Spectrograms", artists: EvaluationSet
) -> Systems:
    truth = dense(artists.truth).astype(np.float64)
    return Systems(
        artists=artists.artists[["artist", "name"]],
        truth=truth,
        corrected=popularity_corrected(truth),
        scores=select_scores(catalogue, artists.ids) | score_baselines(artists, spectrograms),
    )


def score_test(
    catalogue: "Catalogue | ScoredArtists",
    spectrograms: "Spectrograms",
    similarity: "Similarity",
    test: Sequence[str],
    params: RankingParams,
) -> tuple[Systems, Systems]:
    """Score the test artists, and the artists whose hubs are counted.

    The latter are all with similarity and clips. With a similarity of neighbours only these would
    be too many: `HUBS` of them are taken, evenly spaced, and `REFERENCES` for mutual proximity.
    Memory then grows with queries x test artists, never with all pairs.
    """
    if isinstance(similarity.matrix, np.ndarray):
        everyone = score_systems(catalogue, spectrograms, similarity)
        return everyone.select(test).sample(params.draw_queries(len(test))), everyone
    every = find_artists(spectrograms, similarity)
    rows = np.array(find_rows(every.artists, test, "artists with similarity and clips"))
    of_test, queries = every.select(rows), params.draw_queries(len(rows))
    others = evenly_spaced(np.arange(len(every.artists)), REFERENCES)
    scores = select_scores(catalogue, of_test.ids, queries)
    scores["popularity"] = popularity(of_test.artists["listeners"], queries)
    scores["l2"] = l2(spectrograms.values[of_test.clips], of_test.artist_index, queries)
    scores |= _score_mfcc(every, spectrograms, rows, queries, others)
    tested = Systems(
        artists=of_test.artists[["artist", "name"]],
        truth=dense(every.truth[rows[queries]][:, rows]).astype(np.float64),
        corrected=dense(popularity_corrected(every.truth)[rows[queries]][:, rows]),
        scores=scores,
        queries=queries,
    )
    hubs = every.select(evenly_spaced(np.arange(len(every.artists)), HUBS))
    return tested, _score_all(catalogue, spectrograms, hubs)


def _score_mfcc(
    every: EvaluationSet, spectrograms: "Spectrograms", rows: Ints, queries: Ints, others: Ints
) -> dict[str, Floats]:
    """Score test artists (rows of `every`) for queries among them, and by mutual proximity."""
    both = np.concatenate([rows, np.setdiff1d(others, rows)])
    position = np.full(len(every.artists), -1)
    position[both] = np.arange(len(both))
    some, n_test = every.select(both), len(rows)
    asked = np.unique(np.concatenate([queries, position[others]]))
    gaussian = mfcc(
        spectrograms.mfcc_mean[some.clips],
        spectrograms.mfcc_cov[some.clips],
        some.artist_index,
        asked,
    )
    scores = gaussian[np.searchsorted(asked, queries)][:, :n_test]
    near = gaussian[np.searchsorted(asked, position[others])]  # (others, both)
    near[np.arange(len(others)), position[others]] = np.inf  # no artist is an "other" of itself
    near = near[:, :n_test].T
    return {
        "mfcc": scores,
        "mfcc_mp": mutual_proximity_of_queries(scores, near[queries], np.ascontiguousarray(near)),
    }


def select_scores(
    catalogue: "Catalogue | ScoredArtists", ids: list[str], queries: Ints | None = None
) -> dict[str, Floats]:
    """Score these artists by a catalogue: with all that enters, and by the network alone."""
    rows = catalogue.rows(ids)
    if queries is None:
        return {
            CATALOGUE: catalogue.scores(rows, rows),
            SIAMESE: catalogue.siamese(rows, rows).astype(np.float64),
        }
    rows = np.asarray(rows)
    scores, siamese = (np.empty((len(queries), len(rows))) for _ in range(2))
    for start in range(0, len(queries), QUERIES):
        block = slice(start, start + QUERIES)
        scores[block] = catalogue.scores(rows[queries[block]], rows)
        siamese[block] = catalogue.siamese(rows[queries[block]], rows)
    return {CATALOGUE: scores, SIAMESE: siamese}
