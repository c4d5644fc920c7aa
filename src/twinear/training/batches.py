"""Clips on the device or on disk, and those of a step that is drawn of them.

Clips that are stored in shards and take more than a share of the memory stay on disk: a thread
reads those of the next steps meanwhile. The draws and the results are the same.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinear.base.errors import DataError
from twinear.similarity.similarity import SimilarityMatrix, dense
from twinear.spectrograms.quantisation import LEVELS
from twinear.spectrograms.shards import Shards
from twinear.spectrograms.spectrograms import select_rows
from twinear.training.clip_statistics import ClipStatistics

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from twinear.model.inputs import InputSpec
    from twinear.model.network import Convolutions, SiameseNet
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms.spectrograms import Spectrograms

IN_MEMORY = 4  # clips that take more than this fraction of the memory stay on disk
AVERAGED = 512  # clips whose frames are averaged at a time
AHEAD = 3  # steps whose clips are read before they are needed


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipInputs:
    """What some clips give the network."""

    values: np.ndarray | Shards  # spectrograms or embeddings, (clips, n_bands, n_frames)
    # embeddings of a pre-trained network beside them, (clips, n_joined); n_joined may be 0
    joined: np.ndarray
    # of spectrograms in the compact form, (clips, n)
    statistics: np.ndarray | Shards | None = None

    @classmethod
    def of_clips(cls, clips: "Spectrograms", rows: np.ndarray) -> "ClipInputs":
        """Take some rows of spectrograms; of shards nothing is read."""
        statistics = None if clips.compact is None else clips.compact.statistics
        return cls(values=clips.values, joined=clips.joined, statistics=statistics).select(rows)

    @property
    def arrays(self) -> "list[np.ndarray | Shards]":
        """All that the clips give."""
        stored = [] if self.statistics is None else [self.statistics]
        return [self.values, self.joined, *stored]

    def select(self, rows: np.ndarray) -> "ClipInputs":
        """Select clips by row."""
        return ClipInputs(
            values=select_rows(self.values, rows),
            joined=self.joined[rows],
            statistics=None if self.statistics is None else select_rows(self.statistics, rows),
        )


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
        clip_inputs=ClipInputs.of_clips(clips, chosen),
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

    x: "Tensor | StoredClips"  # (clips, n_bands, n_frames)
    joined: Tensor  # (clips, n_joined)
    # (artists, artists); a sparse one, which may be large, stays where it is
    target: "Tensor | csr_array"
    artist_index: np.ndarray  # (clips,)
    clips: list[np.ndarray]  # the rows of each artist's clips
    clip_inputs: ClipInputs  # what `x` and `joined` were made of
    coordinates: Tensor | None = None  # (clips, units), where they are known
    only_coordinates: bool = False  # nothing else of the clips is needed

    @classmethod
    def from_examples(
        cls, examples: Examples, device: torch.device, memory: int | None = None
    ) -> "Batches":
        """Copy examples to the device.

        `memory` is in bytes, None: as much as it takes. Clips in shards that would take more than a
        share of it, or of the GPU's, stay on disk.
        """
        inputs, target = examples.clip_inputs, examples.similarity
        n_clips = np.bincount(examples.artist_index, minlength=target.shape[0])
        if n_clips.min() == 0:
            raise DataError("training", "an artist without a clip", remedy="run 'dvc repro split'")
        order = np.argsort(examples.artist_index, kind="stable")
        return cls(
            x=_load(inputs.values, device, memory),
            joined=torch.from_numpy(np.array(inputs.joined, dtype=np.float32)).to(device),
            target=(
                torch.from_numpy(np.array(target, dtype=np.float32)).to(device)
                if isinstance(target, np.ndarray)
                else target
            ),
            artist_index=examples.artist_index,
            clips=np.split(order, np.cumsum(n_clips)[:-1]),
            clip_inputs=inputs,
        )

    @property
    def device(self) -> torch.device:
        """The device of the clips of a step."""
        return self.joined.device

    def take(self, rows: np.ndarray, artists: np.ndarray | None = None) -> StepClips:
        """Take clips by row; without `artists` they have no target."""
        return self._take(rows, artists, self._read(rows))

    def take_steps(self, draws: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[StepClips]:
        """Take the clips of steps by their artists and rows; those on disk are read ahead."""
        if isinstance(self.x, Tensor) or self.only_coordinates:
            for artists, rows in draws:
                yield self.take(rows, artists)
            return
        read: deque[tuple[np.ndarray, np.ndarray, Future[Tensor]]] = deque()
        with ThreadPoolExecutor(1) as reader:
            for artists, rows in draws:
                read.append((rows, artists, reader.submit(self._read, rows)))
                if len(read) > AHEAD:
                    rows, artists, values = read.popleft()
                    yield self._take(rows, artists, values.result())
            for rows, artists, values in read:
                yield self._take(rows, artists, values.result())

    def _read(self, rows: np.ndarray) -> Tensor:
        """Gather clips as they are stored; those on disk are left on the CPU."""
        if self.only_coordinates:
            return self.joined.new_empty((len(rows), self.clip_inputs.values.shape[1], 0))
        if isinstance(self.x, StoredClips):
            return self.x.read(rows)
        return self.x[_to_device(rows, self.device)]

    def _take(self, rows: np.ndarray, artists: np.ndarray | None, values: Tensor) -> StepClips:
        index = _to_device(rows, self.device)
        artist_index = self.artist_index[rows]
        if artists is not None:
            order = np.argsort(artists)
            artist_index = order[np.searchsorted(artists, artist_index, sorter=order)]
        return StepClips(
            x=_floats(values.to(self.device, non_blocking=True)),
            joined=self.joined[index],
            coordinates=None if self.coordinates is None else self.coordinates[index],
            artist_index=_to_device(artist_index, self.device),
            target=self.target_of(np.arange(0) if artists is None else artists),
        )

    def target_of(self, artists: np.ndarray) -> Tensor:
        """Compute the target of some artists, on the device."""
        if isinstance(self.target, Tensor):
            chosen = _to_device(artists, self.device)
            return self.target[chosen][:, chosen]
        return _to_device(dense(self.target[artists][:, artists]), self.device)

    def with_coordinates(self, coordinates: Tensor, *, only: bool) -> "Batches":
        """Add the coordinates (clips, units); `only` if nothing else will be needed."""
        return replace(self, coordinates=coordinates, only_coordinates=only)

    def with_averaged_frames(self, convolutions: "Convolutions | None") -> "Batches":
        """Average the frames of clips in memory once, instead of in every step.

        That is a third of the time of a step. For clips of which only the convolutions are needed.
        """
        if convolutions is None or isinstance(self.x, StoredClips):
            return self
        if not convolutions.averages(self.x):
            return self
        blocks = self.x.split(AVERAGED)
        x = torch.cat([convolutions.average_frames(_floats(block)) for block in blocks])
        return replace(self, x=x)

    def compute_statistics(self, inputs: "InputSpec") -> ClipStatistics:
        """Compute the statistics of every clip, unless they are stored."""
        clips = self.clip_inputs
        if clips.statistics is not None:
            return ClipStatistics.known(inputs, clips.statistics, clips.joined)
        return ClipStatistics.compute(inputs, clips.values, clips.joined, self.device)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredClips:
    """Clips on disk, read when they are needed."""

    values: Shards
    pinned: bool  # read into memory from which a GPU copies meanwhile

    def read(self, rows: np.ndarray) -> Tensor:
        """Read clips by row as they are stored, on the CPU."""
        dtype = torch.from_numpy(np.empty(0, self.values.dtype)).dtype
        shape = (len(rows), *self.values.row_shape)
        read = torch.empty(shape, dtype=dtype, pin_memory=self.pinned)
        self.values.read_into(rows, read.numpy())
        return read


def _load(
    values: np.ndarray | Shards, device: torch.device, memory: int | None
) -> Tensor | StoredClips:
    """Copy clips to the device, unless they are in shards and take too much."""
    if not isinstance(values, Shards):
        return torch.from_numpy(np.array(values)).to(device)
    if device.type == "cuda":
        memory = torch.cuda.mem_get_info(device)[0]
    if memory is not None and values.nbytes * IN_MEMORY > memory:
        return StoredClips(values=values, pinned=device.type == "cuda")
    dtype = torch.from_numpy(np.empty(0, values.dtype)).dtype
    loaded = torch.empty(values.shape, dtype=dtype, device=device)
    start = 0
    for block in values.blocks():
        loaded[start : start + len(block)] = torch.from_numpy(block)
        start += len(block)
    return loaded


def _floats(values: Tensor) -> Tensor:
    """Convert stored values to the numbers they stand for, as `as_floats`."""
    return values.float() / LEVELS if values.dtype == torch.uint8 else values.float()


def _to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy the draws of a step; the host does not wait until a GPU has them."""
    tensor = torch.from_numpy(values)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
