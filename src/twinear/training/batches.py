"""Clips on the device, and which of them a step takes.

A step takes artists at random; of a large catalogue nearly all of them would then be dissimilar to
each other, so that by choice a share of the step is drawn from those similar to the others.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinear.base.errors import DataError

if TYPE_CHECKING:
    from twinear.model.network import SiameseNet, Summary
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms.spectrograms import Spectrograms

BLOCK = 64  # clips summarised at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipInputs:
    """What some clips give the network.

    Attributes
    ----------
    values
        Spectrograms, (clips, n_bands, n_frames).
    pretrained
        What another extractor made of each clip, (clips, n_dims); n_dims may be 0.
    """

    values: np.ndarray
    pretrained: np.ndarray

    def of(self, rows: np.ndarray) -> "ClipInputs":
        """Those of some clips."""
        return ClipInputs(values=self.values[rows], pretrained=self.pretrained[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The clips to learn from and to validate by, and the similarity of their artists.

    Attributes
    ----------
    clip_inputs
        Of every clip.
    artist_index
        The artist of each clip, a row of `similarity`; (clips,), every artist has one.
    similarity
        The target, (artists, artists), in [0, 1].
    validation
        Which artists are there to validate by, (artists,).
    """

    clip_inputs: ClipInputs
    artist_index: np.ndarray
    similarity: np.ndarray
    validation: np.ndarray

    def part(self, chosen: np.ndarray) -> "Examples":
        """Those of some artists, (artists,)."""
        place = np.cumsum(chosen) - 1
        clips = np.flatnonzero(chosen[self.artist_index])
        return Examples(
            clip_inputs=self.clip_inputs.of(clips),
            artist_index=place[self.artist_index[clips]],
            similarity=self.similarity[np.ix_(chosen, chosen)],
            validation=self.validation[chosen],
        )


def examples_of(
    clips: "Spectrograms", similarity: "Similarity", train: list[str], validation: list[str]
) -> Examples:
    """The clips of the artists of two splits, and the similarity of those artists.

    Raises
    ------
    DataError
        An artist of the splits whose similarity is not known.
    """
    artists = [*train, *validation]
    row = {artist: i for i, artist in enumerate(artists)}
    artist_index = np.array([row.get(each, -1) for each in clips.clips["artist"]], dtype=np.int64)
    chosen = np.flatnonzero(artist_index >= 0)
    rows = pd.Index(similarity.artists["artist"]).get_indexer(artists)
    if rows.min(initial=0) < 0:
        lost = artists[int(rows.argmin())]
        raise DataError("training", f"no similarity of {lost!r}", remedy="run 'dvc repro split'")
    return Examples(
        clip_inputs=ClipInputs(values=clips.values[chosen], pretrained=clips.pretrained[chosen]),
        artist_index=artist_index[chosen],
        similarity=similarity.matrix[np.ix_(rows, rows)],
        validation=np.arange(len(artists)) >= len(train),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """The clips of one step; artists are counted anew from 0."""

    x: Tensor  # (clips, n_bands, n_frames); no frames where the summary is all that is needed
    pretrained: Tensor  # (clips, n_dims)
    summary: Tensor | None  # (clips, units), where it is known already
    artist_index: Tensor  # (clips,)
    target: Tensor  # (artists, artists)

    def encode(self, net: "SiameseNet", precision: str) -> Tensor:
        """Embeddings of the clips, (clips, units); the encoder alone in reduced precision."""
        reduced = precision == "bfloat16"
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=reduced):
            embeddings = net.encode(self.x, self.pretrained, self.summary)
        return embeddings.to(net.head.bias.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batches:
    """Examples on the device, and the clips of each artist."""

    x: Tensor
    pretrained: Tensor
    target: Tensor
    artist_index: np.ndarray
    clips: list[np.ndarray]
    summary: Tensor | None = None
    summary_only: bool = False

    @classmethod
    def of(cls, examples: Examples, device: torch.device) -> "Batches":
        """Bring examples to the device."""
        n_artists, sounds = len(examples.similarity), examples.clip_inputs
        clips = [np.flatnonzero(examples.artist_index == each) for each in range(n_artists)]
        if min(map(len, clips)) == 0:
            raise DataError("training", "an artist without a clip", remedy="run 'dvc repro split'")
        return cls(
            x=torch.from_numpy(np.array(sounds.values)).to(device),
            pretrained=torch.from_numpy(np.array(sounds.pretrained, dtype=np.float32)).to(device),
            target=torch.from_numpy(np.array(examples.similarity, dtype=np.float32)).to(device),
            artist_index=examples.artist_index,
            clips=clips,
        )

    def draw(
        self, size: int, n_clips: int, similar: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The artists of one step, and the rows of their clips.

        Parameters
        ----------
        size
            Artists in a step.
        n_clips
            Clips of each, at most.
        similar
            The share of the artists that is drawn from those similar to the rest.
        """
        size = min(size, len(self.clips))
        n_random = size - min(int(similar * size), size - 1)
        artists = rng.choice(len(self.clips), size=n_random, replace=False)
        if n_random < size:
            artists = np.append(artists, self._similar_to(artists, size - n_random, rng))
        rows = [rng.permutation(self.clips[each])[:n_clips] for each in artists]
        return artists, np.concatenate(rows)

    def _similar_to(self, artists: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        weight = self.target[artists].double().sum(dim=0).cpu().numpy() + 1e-6
        weight[artists] = 0
        return rng.choice(len(weight), size=size, replace=False, p=weight / weight.sum())

    def take(self, rows: np.ndarray, artists: np.ndarray | None = None) -> Step:
        """Some clips; of some artists (all, when not given)."""
        index = torch.from_numpy(rows).to(self.x.device)
        artist_index, target = self.artist_index[rows], self.target
        if artists is not None:
            place = np.zeros(len(self.clips), dtype=np.int64)
            place[artists] = np.arange(len(artists))
            chosen = torch.from_numpy(artists).to(self.x.device)
            artist_index, target = place[artist_index], target[chosen][:, chosen]
        return Step(
            x=self.x[index, :, :0] if self.summary_only else self.x[index].float(),
            pretrained=self.pretrained[index],
            summary=None if self.summary is None else self.summary[index],
            artist_index=torch.from_numpy(artist_index).to(self.x.device),
            target=target,
        )

    def summarised(self, summary: "Summary", statistics: Tensor, *, only: bool) -> "Batches":
        """Keep what a summary makes of the clips' statistics, so that no step does it again.

        Parameters
        ----------
        statistics
            (clips, n)
        only
            Nothing else of the clips will be needed.
        """
        return replace(self, summary=summary.project(statistics), summary_only=only)

    @torch.no_grad()
    def statistics(self, summary: "Summary") -> Tensor:
        """The statistics of every clip, (clips, n)."""
        blocks = torch.arange(len(self.x)).split(BLOCK)
        return torch.cat(
            [summary.statistics(self.x[each], self.pretrained[each]) for each in blocks]
        )
