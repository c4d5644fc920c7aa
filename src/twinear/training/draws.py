"""Which artists and clips each step of an epoch takes.

A step takes random artists. In a large catalogue nearly all of them would be dissimilar to each
other, so a share of the step can be drawn from artists that are similar to the rest. With a sparse
similarity the time of a draw does not depend on the number of artists.

Draws depend on nothing but the generator, so that every process of a training on several machines
can make the same ones and take its part of each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twinear.similarity.similarity import SimilarityMatrix

LEAST = 1e-6  # an artist similar to none may still be drawn when there are too few others
Ints = npt.NDArray[np.int64]


class StepDraw(NamedTuple):
    """The artists of a step, and the rows of their clips, artist by artist."""

    artists: Ints
    clips: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Draws artists, and some clips of each.

    Parameters
    ----------
    clips
        The rows of each artist's clips.
    similarity
        (artists, artists).
    n_artists, n_clips
        Artists in a step, and clips of each, at most.
    similar
        The share of the artists that is drawn from those similar to the rest.
    """

    clips: Sequence[Ints]
    similarity: SimilarityMatrix
    n_artists: int
    n_clips: int
    similar: float

    def steps(self, n_steps: int, rng: np.random.Generator) -> Iterator[StepDraw]:
        """Draw the steps of an epoch, in order."""
        return (self.step(rng) for _ in range(n_steps))

    def step(self, rng: np.random.Generator) -> StepDraw:
        """Draw one step."""
        size = min(self.n_artists, len(self.clips))
        n_random = size - min(int(self.similar * size), size - 1)
        artists = rng.choice(len(self.clips), size=n_random, replace=False)
        if n_random < size:
            artists = np.append(artists, self._similar(artists, size - n_random, rng))
        rows = [rng.permutation(self.clips[artist])[: self.n_clips] for artist in artists]
        return StepDraw(artists, np.concatenate(rows))

    def _similar(self, artists: Ints, n: int, rng: np.random.Generator) -> Ints:
        """Draw `n` other artists by their summed similarity to some."""
        rows = self.similarity[artists]
        if isinstance(rows, np.ndarray):
            candidates = np.arange(len(self.clips))
            weights = rows.sum(axis=0, dtype=np.float64) + LEAST
            weights[artists] = 0
        else:
            candidates, of_entry = np.unique(rows.indices, return_inverse=True)
            weights = np.bincount(of_entry, rows.data, len(candidates))
            weights[np.isin(candidates, artists)] = 0
        present = np.count_nonzero(weights)
        if present < n:  # all that are similar, and random others
            similar = candidates[weights > 0]
            taken = np.concatenate([artists, similar])
            more = rng.choice(len(self.clips), size=len(taken) + n - present, replace=False)
            return np.concatenate([similar, more[~np.isin(more, taken)][: n - present]])
        chosen: Ints = rng.choice(candidates, size=n, replace=False, p=weights / weights.sum())
        return chosen
