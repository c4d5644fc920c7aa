"""The statistics of many clips, as the statistics branch takes them.

Those of spectrograms in the compact form were computed with the spectrograms and stay on disk until
they are used; others are computed once and kept in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from twinear.model.inputs import InputSpec, block_sizes
from twinear.model.network import StatisticsBranch
from twinear.spectrograms.quantisation import as_floats
from twinear.spectrograms.shards import Shards
from twinear.spectrograms.spectrograms import Spectrograms, select_rows

COMPUTED = 64  # clips whose statistics are computed at a time
PROJECTED = 8192  # clips that are projected at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipStatistics:
    """The statistics of some clips in named blocks, side by side.

    Attributes
    ----------
    sizes
        The blocks of `stored` and how many numbers each has.
    stored
        (clips, n), float32.
    joined
        Embeddings joined to the clips, (clips, n_joined): the block `embedding`, unless `sizes`
        has it.
    """

    sizes: Mapping[str, int]
    stored: np.ndarray | Shards
    joined: np.ndarray

    @classmethod
    def of_clips(cls, clips: Spectrograms, inputs: InputSpec) -> "ClipStatistics":
        """Take the stored statistics of clips, or compute them; `inputs` are those of the clips."""
        if clips.compact is None:
            return cls.compute(inputs, clips.values, clips.joined)
        return cls.known(inputs, clips.compact.statistics, clips.joined)

    @classmethod
    def known(
        cls, inputs: InputSpec, stored: np.ndarray | Shards, joined: np.ndarray
    ) -> "ClipStatistics":
        """Take statistics of log-mels that are stored, (clips, n)."""
        sizes = block_sizes(inputs)
        if inputs.n_joined:
            del sizes["embedding"]
        return cls(sizes=sizes, stored=stored, joined=joined)

    @classmethod
    @torch.no_grad()
    def compute(
        cls,
        inputs: InputSpec,
        values: np.ndarray | Shards,
        joined: np.ndarray,
        device: torch.device | None = None,
    ) -> "ClipStatistics":
        """Compute the statistics of clips in the full form, on a device (the CPU if not given)."""
        parts = []
        for start in range(0, len(values), COMPUTED):
            rows = slice(start, start + COMPUTED)
            x, beside = (torch.from_numpy(as_floats(some[rows])) for some in (values, joined))
            blocks = inputs.statistics(x.to(device), beside.to(device))
            parts.append(torch.cat(list(blocks.values()), dim=1).cpu())
        return cls(
            sizes=block_sizes(inputs),
            stored=torch.cat(parts).numpy(),
            joined=np.empty((len(values), 0), np.float32),
        )

    def __len__(self) -> int:
        return len(self.stored)

    def select(self, rows: np.ndarray) -> "ClipStatistics":
        """Select clips by row."""
        stored = select_rows(self.stored, rows)
        return replace(self, stored=stored, joined=self.joined[rows])

    def join(self, names: Sequence[str], rows: slice | np.ndarray = slice(None)) -> Tensor:
        """Put some blocks of some clips side by side, (rows, n)."""
        if tuple(names) == ("embedding",) and "embedding" not in self.sizes:
            return torch.from_numpy(self.joined[rows])
        stored, ends = self.stored[rows], np.cumsum(list(self.sizes.values()))
        blocks = dict(zip(self.sizes, np.split(stored, ends[:-1], axis=1), strict=True))
        blocks.setdefault("embedding", self.joined[rows])
        return torch.from_numpy(np.concatenate([blocks[name] for name in names], axis=1))

    def project(self, branch: StatisticsBranch) -> Tensor:
        """Project the clips on the axes of a branch, (clips, units), on the branch's device."""
        coordinates = branch.axes.new_empty((len(self), branch.axes.shape[1]))
        for start in range(0, len(self), PROJECTED):
            rows = slice(start, start + PROJECTED)
            coordinates[rows] = branch.project(self.join(branch.names, rows).to(branch.axes.device))
        return coordinates
