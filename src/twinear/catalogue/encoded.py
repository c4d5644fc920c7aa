"""Artists as the score sees them: clip embeddings, and what the corrections know of each.

The artists of a catalogue, a few of them, and a new artist that is asked about are all
`EncodedArtists`. Memory is proportional to the clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedArtists:
    """Some artists.

    Attributes
    ----------
    clip_offsets
        (artists + 1,): the clips of artist `a` are rows `clip_offsets[a]` to `clip_offsets[a + 1]`.
    embeddings
        (clips, units), float32; may be memory-mapped.
    nearness
        (artists,): mean standardised score to the nearest artists, for CSLS.
    representatives
        (artists, k), int32: the known artists that stand for each, as positions among the known; -1
        where there are fewer. A known artist stands for itself.
    weights
        (artists, k), float32: how much each of them counts; the sum is 1, or 0 without listens.
    popularity
        (artists,), float32: what is added to the score of each as a candidate.
    computed
        What was computed of these artists and is needed again, by name.
    """

    clip_offsets: Ints
    embeddings: Floats
    nearness: Floats
    representatives: npt.NDArray[np.int32]
    weights: Floats
    popularity: Floats
    computed: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.clip_offsets) - 1

    @property
    def clip_counts(self) -> Ints:
        """How many clips each artist has, (artists,)."""
        return np.diff(self.clip_offsets)

    def representation(self, n_known: int) -> "csr_array":
        """Give the weights as a sparse matrix, (artists, known)."""
        if "representation" not in self.computed:
            from scipy.sparse import csr_array  # slow to import, and only many artists need it

            artists, nth = np.nonzero(self.weights)
            positions = self.representatives[artists, nth]
            shape = (len(self), n_known)
            self.computed["representation"] = csr_array(
                (self.weights[artists, nth], (artists, positions)), shape
            )
        matrix: csr_array = self.computed["representation"]
        return matrix

    def select(self, rows: npt.ArrayLike) -> "EncodedArtists":
        """Select artists by row, in this order."""
        chosen = np.asarray(rows, dtype=np.int64)
        starts = self.clip_offsets[chosen]
        counts = self.clip_offsets[chosen + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(counts)])
        # the clips of each chosen artist, one after the other
        clips = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return EncodedArtists(
            clip_offsets=offsets,
            embeddings=np.asarray(self.embeddings[clips]),
            nearness=self.nearness[chosen],
            representatives=self.representatives[chosen],
            weights=self.weights[chosen],
            popularity=self.popularity[chosen],
        )

    def block(self, start: int, stop: int) -> "EncodedArtists":
        """Take neighbouring artists, without copying their embeddings."""
        first, last = self.clip_offsets[start], self.clip_offsets[stop]
        return EncodedArtists(
            clip_offsets=self.clip_offsets[start : stop + 1] - first,
            embeddings=self.embeddings[first:last],
            nearness=self.nearness[start:stop],
            representatives=self.representatives[start:stop],
            weights=self.weights[start:stop],
            popularity=self.popularity[start:stop],
        )


def join_artists(groups: Sequence[EncodedArtists]) -> EncodedArtists:
    """Put groups of artists one after the other; with one group nothing is copied."""
    if len(groups) == 1:
        return groups[0]
    clips = np.cumsum([0, *(len(group.embeddings) for group in groups)])
    k = max(group.weights.shape[1] for group in groups)
    offsets = [
        group.clip_offsets[:-1] + first for group, first in zip(groups, clips[:-1], strict=True)
    ]
    return EncodedArtists(
        clip_offsets=np.concatenate([*offsets, clips[-1:]]),
        embeddings=np.concatenate([group.embeddings for group in groups]),
        nearness=np.concatenate([group.nearness for group in groups]),
        representatives=np.concatenate([_padded(g.representatives, k, -1) for g in groups]),
        weights=np.concatenate([_padded(group.weights, k, 0) for group in groups]),
        popularity=np.concatenate([group.popularity for group in groups]),
    )


def _padded(values: npt.NDArray[Any], k: int, filler: int) -> npt.NDArray[Any]:
    return np.pad(values, ((0, 0), (0, k - values.shape[1])), constant_values=filler)


def plain_artists(clip_offsets: Ints, embeddings: Floats) -> EncodedArtists:
    """Make artists of whom nothing but the clips is known.

    Examples
    --------
    >>> artists = plain_artists(np.array([0, 2, 3]), np.zeros((3, 4), np.float32))
    >>> len(artists), artists.clip_counts.tolist()
    (2, [2, 1])
    """
    n = len(clip_offsets) - 1
    return EncodedArtists(
        clip_offsets=np.asarray(clip_offsets, dtype=np.int64),
        embeddings=embeddings,
        nearness=np.zeros(n, np.float32),
        representatives=np.full((n, 1), -1, np.int32),
        weights=np.zeros((n, 1), np.float32),
        popularity=np.zeros(n, np.float32),
    )


def evenly_spaced(rows: npt.ArrayLike, most: int) -> Ints:
    """Take at most so many of some rows, evenly spaced.

    Examples
    --------
    >>> evenly_spaced([3, 5, 7, 9, 11], 3).tolist(), evenly_spaced([3, 5], 3).tolist()
    ([3, 7, 11], [3, 5])
    """
    every = np.asarray(rows, dtype=np.int64)
    at = np.linspace(0, len(every) - 1, min(len(every), most))
    return np.asarray(every[at.round().astype(np.int64)])
