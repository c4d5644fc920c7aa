"""The trained systems and the baselines score the same artists.

The artists are those with similarity and clips. Clips of artists without listens are left out:
there is no similarity to compare their scores with.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.base.errors import DataError
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats, Ints
from twinear.ranking.baselines import l2, mfcc, mutual_proximity, popularity
from twinear.ranking.ranking import CATALOGUE, SIAMESE, Systems, find_rows
from twinear.similarity.similarity import dense

if TYPE_CHECKING:
    from twinear.catalogue.building import ScoredArtists
    from twinear.catalogue.catalogue import Catalogue
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms.spectrograms import Spectrograms

BASELINES = ("popularity", "l2", "mfcc", "mfcc_mp")


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationSet:
    """The artists with similarity and clips, in descending order of listeners."""

    artists: pd.DataFrame  # columns `artist` (id), `name`, `listeners`
    truth: Floats  # (artists, artists), the similarity; a row for each query
    clips: Ints  # (clips,), the rows of the spectrograms that belong to them
    artist_index: Ints  # (clips,), the row in `artists` of each of those clips

    @property
    def ids(self) -> list[str]:
        """The artists' ids."""
        return list(self.artists["artist"])


def build_evaluation_set(spectrograms: "Spectrograms", similarity: "Similarity") -> EvaluationSet:
    """Find the artists that have both similarity and clips; a DataError if there are none."""
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
        truth=dense(similarity.matrix[rows][:, rows]).astype(np.float64),
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

    Memory grows with the square of these artists, of which there are at most
    `similarity.top_artists`.
    """
    artists = build_evaluation_set(spectrograms, similarity)
    return Systems(
        artists=artists.artists[["artist", "name"]],
        truth=artists.truth,
        corrected=popularity_corrected(artists.truth),
        scores=select_scores(catalogue, artists.ids) | score_baselines(artists, spectrograms),
    )


def select_scores(catalogue: "Catalogue | ScoredArtists", ids: list[str]) -> dict[str, Floats]:
    """Score these artists by a catalogue: with all that enters, and by the network alone."""
    rows = catalogue.rows(ids)
    return {
        CATALOGUE: catalogue.scores(rows, rows),
        SIAMESE: catalogue.siamese(rows, rows).astype(np.float64),
    }
