"""The trained model and its baselines, lined up over the same artists.

The artists are those with similarity and clips. Clips of artists nobody listens to stay out: there
is nothing to hold their scores against.
"""

from typing import TYPE_CHECKING

import numpy as np

from twinear.errors import DataError
from twinear.ranking.baselines import l2, mfcc, mutual_proximity, popularity
from twinear.ranking.ranking import Systems, rows_of

if TYPE_CHECKING:
    from twinear.catalogue import Catalogue
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms import Spectrograms


def line_up(
    catalogue: "Catalogue", spectrograms: "Spectrograms", similarity: "Similarity"
) -> Systems:
    """Score every artist with similarity and clips against every other, by every system."""
    owners = spectrograms.clips["artist"]
    at = np.flatnonzero(similarity.artists["artist"].isin(set(owners)))
    artists = similarity.artists.iloc[at].reset_index(drop=True)
    if artists.empty:
        raise DataError(
            "artists with similarity and clips",
            "there are none",
            remedy="check that listens and clips.csv name the same artists",
        )
    ids = list(artists["artist"])
    clips = np.flatnonzero(owners.isin(ids))
    owner = np.array(rows_of(artists, list(owners.iloc[clips]), "artists"), dtype=np.int64)
    rows = rows_of(catalogue.artists, ids, "catalogue")
    gaussian = mfcc(spectrograms.mfcc_mean[clips], spectrograms.mfcc_cov[clips], owner)
    return Systems(
        artists=artists[["artist", "name"]],
        truth=similarity.matrix[np.ix_(at, at)].astype(np.float64),
        scores={
            "siamese": catalogue.scores[np.ix_(rows, rows)].astype(np.float64),
            "popularity": popularity(artists["listeners"]),
            "l2": l2(spectrograms.values[clips], owner),
            "mfcc": gaussian,
            "mfcc_mp": mutual_proximity(gaussian),
        },
    )
