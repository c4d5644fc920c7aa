"""What co-listening says of two artists, also where one of them has no listens.

A known artist (one whose listens may be used) stands for itself. A new artist is represented by the
known artists that it sounds like: a softmax over its scores to them, with an inverse temperature.
The collaborative score of two artists is then the expected similarity of what represents them.
The listens of test artists are never among the known.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax

if TYPE_CHECKING:
    from twinear.similarity.similarity import Similarity
    from twinear.split import Split

Floats = npt.NDArray[np.float32]
SMALLEST_DEVIATION = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingArtists:
    """The artists whose listens may be used: those of training and validation."""

    artists: list[str]  # ids, (n,)
    similarity: np.ndarray  # (n, n), in [0, 1]
    listeners: np.ndarray  # (n,)
    validation: np.ndarray  # which of them belong to validation, (n,)

    @classmethod
    def from_split(cls, similarity: "Similarity", split: "Split") -> "TrainingArtists":
        """Take the training and validation artists of a split; never those of test."""
        validation = split.members("validation")
        artists = [*split.members("train"), *validation]
        rows = pd.Index(similarity.artists["artist"]).get_indexer(artists)
        return cls(
            artists=artists,
            similarity=similarity.matrix[np.ix_(rows, rows)],
            listeners=similarity.artists["listeners"].to_numpy()[rows],
            validation=np.arange(len(artists)) >= len(artists) - len(validation),
        )

    def locate(self, artists: "pd.Series[str]") -> "KnownArtists":
        """Find their rows in a table of artists; those without clips are left out."""
        rows = pd.Index(artists).get_indexer(pd.Index(self.artists))
        return KnownArtists(
            rows=rows,
            similarity=self.similarity,
            listeners=self.listeners,
            validation=self.validation,
        ).select(rows >= 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownArtists:
    """The artists of a catalogue whose listens may be used; as `TrainingArtists`, by row."""

    rows: npt.NDArray[np.int64]
    similarity: np.ndarray
    listeners: np.ndarray
    validation: np.ndarray

    def select(self, chosen: np.ndarray) -> "KnownArtists":
        """Select artists by a mask, (known,)."""
        return KnownArtists(
            rows=self.rows[chosen],
            similarity=self.similarity[np.ix_(chosen, chosen)],
            listeners=self.listeners[chosen],
            validation=self.validation[chosen],
        )


def collaborative_scores(
    standard: Floats, known: KnownArtists, inverse_temperature: float
) -> Floats:
    """Score all artists by the co-listening of the known artists that represent them.

    `standard` are scores by sound, (artists, artists), standardised. The larger the inverse
    temperature of the softmax, the more the most similar known artist counts. The result is in
    standard deviations of the similarity among the known artists.

    Examples
    --------
    The first three artists are known, the last is new and sounds like the first. It inherits what
    listeners say of the first: that it is close to the second, and far from the third.

    >>> similarity = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 1.0]])
    >>> known = KnownArtists(
    ...     rows=np.arange(3),
    ...     similarity=similarity,
    ...     listeners=np.full(3, 9),
    ...     validation=np.zeros(3, dtype=bool),
    ... )
    >>> sound = np.zeros((4, 4), dtype=np.float32)
    >>> sound[0, 3] = sound[3, 0] = 5.0
    >>> scores = collaborative_scores(sound, known, inverse_temperature=10.0)
    >>> bool(np.allclose(scores[3, 1:3], scores[0, 1:3]))
    True
    >>> bool(scores[3, 1] > scores[3, 2])
    True
    """
    weights = softmax(inverse_temperature * standard[:, known.rows], axis=1)  # (artists, known)
    weights[known.rows] = np.eye(len(known.rows), dtype=np.float32)
    same = np.eye(len(known.rows), dtype=bool)
    similarity = np.where(same, 0, known.similarity)
    deviation = max(similarity[~same].std(), SMALLEST_DEVIATION)
    scores: Floats = (weights @ similarity.astype(np.float32) @ weights.T) / deviation
    return scores.astype(np.float32)


def popularity_scores(known: KnownArtists) -> npt.NDArray[np.float64]:
    """Standardise the logarithm of the known artists' numbers of listeners, (known,).

    Examples
    --------
    >>> known = KnownArtists(
    ...     rows=np.arange(3),
    ...     similarity=np.eye(3),
    ...     listeners=np.array([10, 100, 1000]),
    ...     validation=np.zeros(3, dtype=bool),
    ... )
    >>> popularity_scores(known).round(3).tolist()
    [-1.225, 0.0, 1.225]
    """
    listeners = np.log(known.listeners)
    deviation = max(listeners.std(), SMALLEST_DEVIATION)
    scores: npt.NDArray[np.float64] = (listeners - listeners.mean()) / deviation
    return scores
