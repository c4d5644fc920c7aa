"""The trained model and its baselines, lined up over the same artists.

The artists are those with similarity and clips. Clips of artists nobody listens to stay out: there
is nothing to hold their scores against.
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
from twinear.ranking.ranking import Systems, rows_of

if TYPE_CHECKING:
    from twinear.catalogue.catalogue import Catalogue
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms.spectrograms import Spectrograms

BASELINES = ("popularity", "l2", "mfcc", "mfcc_mp")


@dataclass(frozen=True, kw_only=True, eq=False)
class Lineup:
    """The artists with similarity and clips, most listeners first.

    Attributes
    ----------
    artists
        Columns `artist` (id), `name`, `listeners`.
    truth
        (artists, artists), the similarity; a row for each query.
    clips
        (clips,), the rows of the spectrograms that are theirs.
    artist_index
        (clips,), the row in `artists` of each of those.
    """

    artists: pd.DataFrame
    truth: Floats
    clips: Ints
    artist_index: Ints


def form_lineup(spectrograms: "Spectrograms", similarity: "Similarity") -> Lineup:
    """Find the artists that have both similarity and clips.

    Raises
    ------
    DataError
        There are none.
    """
    artist_of_clip = spectrograms.clips["artist"]
    at = np.flatnonzero(similarity.artists["artist"].isin(set(artist_of_clip)))
    artists = similarity.artists.iloc[at].reset_index(drop=True)[["artist", "name", "listeners"]]
    if artists.empty:
        raise DataError(
            "artists with similarity and clips",
            "there are none",
            remedy="check that listens and clips.csv name the same artists",
        )
    clips = np.flatnonzero(artist_of_clip.isin(list(artists["artist"])))
    return Lineup(
        artists=artists,
        truth=similarity.matrix[np.ix_(at, at)].astype(np.float64),
        clips=clips,
        artist_index=np.array(
            rows_of(artists, list(artist_of_clip.iloc[clips]), "artists"), dtype=np.int64
        ),
    )


def score_baselines(
    lineup: Lineup, spectrograms: "Spectrograms", names: Collection[str] = BASELINES
) -> dict[str, Floats]:
    """Score the artists of a lineup by some of `BASELINES`, in that order."""
    scores = {}
    if "popularity" in names:
        scores["popularity"] = popularity(lineup.artists["listeners"])
    if "l2" in names:
        scores["l2"] = l2(spectrograms.values[lineup.clips], lineup.artist_index)
    if {"mfcc", "mfcc_mp"} & set(names):
        mean, covariance = spectrograms.mfcc_mean, spectrograms.mfcc_cov
        gaussian = mfcc(mean[lineup.clips], covariance[lineup.clips], lineup.artist_index)
        both = {"mfcc": gaussian, "mfcc_mp": mutual_proximity(gaussian)}
        scores |= {name: each for name, each in both.items() if name in names}
    return scores


def score_cosine(vectors: npt.ArrayLike, artist_index: Ints, known: npt.ArrayLike) -> Floats:
    """Score artists by the cosine of their mean vectors, dimensions standardised first.

    Parameters
    ----------
    vectors
        (clips, n_dims).
    artist_index
        (clips,), the artist of each clip, from 0; every artist owns at least one.
    known
        (clips,), true for the clips whose mean and deviation standardise the dimensions; a
        dimension that never varies among them counts for nothing.
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
    """Give each dimension a mean of 0 and a deviation of 1 over the `known` clips."""
    values = np.asarray(vectors, dtype=np.float64)
    among = values[np.asarray(known, dtype=np.bool_)]
    deviation = among.std(axis=0)
    centred = values - among.mean(axis=0)
    standard = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return np.asarray(standard)


def line_up(
    catalogue: "Catalogue", spectrograms: "Spectrograms", similarity: "Similarity"
) -> Systems:
    """Score every artist with similarity and clips against every other, by every system."""
    lineup = form_lineup(spectrograms, similarity)
    rows = rows_of(catalogue.artists, list(lineup.artists["artist"]), "catalogue")
    combined = catalogue.scores[np.ix_(rows, rows)].astype(np.float64)
    return Systems(
        artists=lineup.artists[["artist", "name"]],
        truth=lineup.truth,
        corrected=popularity_corrected(lineup.truth),
        scores={"catalogue": combined} | score_baselines(lineup, spectrograms),
    )
