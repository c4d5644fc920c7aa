"""Clips on the device, and those of a step that is drawn of them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinear.base.errors import DataError
from twinear.similarity.similarity import SimilarityMatrix, dense

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from twinear.model.network import SiameseNet, StatisticsBranch
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms.spectrograms import Spectrograms

BLOCK = 64  # clips whose statistics are computed at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipInputs:
    """What some clips give the network."""

    values: np.ndarray  # spectrograms or embeddings, (clips, n_bands, n_frames)
    # embeddings of a pre-trained network beside them, (clips, n_joined); n_joined may be 0
    joined: np.ndarray

    def select(self, rows: np.ndarray) -> "ClipInputs":
        """Select clips by row."""
        return ClipInputs(values=self.values[rows], joined=self.joined[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The clips to learn from and to validate by, and the similarity of their artists."""

    clip_inputs: ClipInputs  # one row for each clip
    # the artist of each clip, a row of `similarity`; (clips,), every artist has a clip
    artist_index: np.ndarray
    similarity: SimilarityMatrix  # the target, (artists, artists), in [0, 1]
    validation: np.ndarray  # which artists are there to validate by, (artists,)

    def select(self, chosen: np.ndarray) -> "Examples":
        """Select artists by a mask (artists,), with their clips."""
        new_index = np.cumsum(chosen) - 1
        clips = np.flatnonzero(chosen[self.artist_index])
        return Examples(
            clip_inputs=self.clip_inputs.select(clips),
            artist_index=new_index[self.artist_index[clips]],
            similarity=self.similarity[chosen][:, chosen],
            validation=self.validation[chosen],
        )


def collect_examples(
    clips: "Spectrograms", similarity: "Similarity", train: list[str], validation: list[str]
) -> Examples:
    """Collect the clips of the artists of two splits, and the similarity of those artists.

    Raises
    ------
    DataError
        An artist of the splits has no similarity.
    """
    artists = [*train, *validation]
    artist_index = pd.Index(artists).get_indexer(pd.Index(clips.clips["artist"])).astype(np.int64)
    chosen = np.flatnonzero(artist_index >= 0)
    rows = pd.Index(similarity.artists["artist"]).get_indexer(artists)
    if rows.min(initial=0) < 0:
        lost = artists[int(rows.argmin())]
        raise DataError("training", f"no similarity of {lost!r}", remedy="run 'dvc repro split'")
    return Examples(
        clip_inputs=ClipInputs(values=clips.values[chosen], joined=clips.joined[chosen]),
        artist_index=artist_index[chosen],
        similarity=similarity.matrix[rows][:, rows],
        validation=np.arange(len(artists)) >= len(train),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class StepClips:
    """The clips of one step; its artists are numbered from 0."""

    x: Tensor  # (clips, n_bands, n_frames); no frames where only the coordinates are needed
    joined: Tensor  # (clips, n_joined)
    coordinates: Tensor | None  # of the statistics branch, (clips, units), where they are known
    artist_index: Tensor  # (clips,)
    target: Tensor  # (artists, artists)

    def encode(self, net: "SiameseNet", precision: str) -> Tensor:
        """Encode the clips, (clips, units); only the encoder runs in reduced precision."""
        reduced = precision == "bfloat16"
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=reduced):
            embeddings = net.encode(self.x, self.joined, self.coordinates)
        return embeddings.to(net.head.bias.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batches:
    """Examples on the device, and the clips of each artist."""

    x: Tensor  # (clips, n_bands, n_frames)
    joined: Tensor  # (clips, n_joined)
    # (artists, artists); a sparse one, which may be large, stays where it is
    target: "Tensor | csr_array"
    artist_index: np.ndarray  # (clips,)
    clips: list[np.ndarray]  # the rows of each artist's clips
    coordinates: Tensor | None = None  # (clips, units), where they are known
    only_coordinates: bool = False  # nothing else of the clips is needed

    @classmethod
    def from_examples(cls, examples: Examples, device: torch.device) -> "Batches":
        """Copy examples to the device."""
        inputs, target = examples.clip_inputs, examples.similarity
        n_clips = np.bincount(examples.artist_index, minlength=target.shape[0])
        if n_clips.min() == 0:
            raise DataError("training", "an artist without a clip", remedy="run 'dvc repro split'")
        order = np.argsort(examples.artist_index, kind="stable")
        return cls(
            x=torch.from_numpy(np.array(inputs.values)).to(device),
            joined=torch.from_numpy(np.array(inputs.joined, dtype=np.float32)).to(device),
            target=(
                torch.from_numpy(np.array(target, dtype=np.float32)).to(device)
                if isinstance(target, np.ndarray)
                else target
            ),
            artist_index=examples.artist_index,
            clips=np.split(order, np.cumsum(n_clips)[:-1]),
        )

    def take(self, rows: np.ndarray, artists: np.ndarray | None = None) -> StepClips:
        """Take clips by row; without `artists` they have no target."""
        index = _to_device(rows, self.x.device)
        artist_index = self.artist_index[rows]
        if artists is not None:
            order = np.argsort(artists)
            artist_index = order[np.searchsorted(artists, artist_index, sorter=order)]
        return StepClips(
            x=self.x[index, :, :0] if self.only_coordinates else self.x[index].float(),
            joined=self.joined[index],
            coordinates=None if self.coordinates is None else self.coordinates[index],
            artist_index=_to_device(artist_index, self.x.device),
            target=self.target_of(np.arange(0) if artists is None else artists),
        )

    def target_of(self, artists: np.ndarray) -> Tensor:
        """Compute the target of some artists, on the device."""
        if isinstance(self.target, Tensor):
            chosen = _to_device(artists, self.x.device)
            return self.target[chosen][:, chosen]
        return _to_device(dense(self.target[artists][:, artists]), self.x.device)

    def with_coordinates(
        self, branch: "StatisticsBranch", statistics: Tensor, *, only: bool
    ) -> "Batches":
        """Project the statistics (clips, n) once; `only` if nothing else will be needed."""
        return replace(self, coordinates=branch.project(statistics), only_coordinates=only)

    @torch.no_grad()
    def compute_statistics(self, branch: "StatisticsBranch") -> Tensor:
        """Compute the statistics of every clip, (clips, n)."""
        blocks = torch.arange(len(self.x)).split(BLOCK)
        return torch.cat([branch.statistics(self.x[rows], self.joined[rows]) for rows in blocks])


def _to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy the draws of a step; the host does not wait until a GPU has them."""
    tensor = torch.from_numpy(values)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
