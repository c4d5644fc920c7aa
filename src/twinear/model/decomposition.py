"""Which parts of two clips make their score: exact where the network is linear.

The statistics branch is linear once its fixed statistics are computed: standardisation, projection
on the axes, identity plus map. Its output is therefore the sum of one vector for each block of
statistics, and so are the predicted listener factors. The convolutions are not linear; they are one
part, with no exact parts inside.

For the cosine head the embedding, of length 1, is the sum over the parts of their vectors `e_p`,
divided by the lengths that the network divides by, and the logit of clips `u` and `v` is

    bias + scale * sum over p, q of <e_p(u), e_q(v)>

A term with `p != q` belongs to two parts. `LogitParts.contributions` gives each of them one half:
the Shapley value of a part, if parts are left out of both clips and the lengths stay. Own terms
alone would leave much of the logit out. `LogitParts.matrix` keeps all terms. The head `l1` adds up
absolute differences unit by unit: the sum over the units of a branch is exact, and no block has a
share of it.

As in BiLRP (Eberle et al., arXiv:2003.05431) a similarity is split over pairs of features of the
two clips; a linear branch needs no rule of propagation.
"""

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from twinear.model.heads import Cosine, WeightedL1
from twinear.model.network import StatisticsBranch
from twinear.model.scorer import BATCH, Scorer
from twinear.spectrograms.quantisation import as_floats
from twinear.spectrograms.statistics import BLOCKS, BlockWords

STATISTICS, CONVOLUTIONS = "statistics", "convolutions"  # the branches
WORDS = BLOCKS | {
    STATISTICS: BlockWords("all statistics", "the fixed statistics of the clip"),
    CONVOLUTIONS: BlockWords("learned patterns", "what the convolutions learned to hear"),
}
SMALLEST = 1e-12  # a shorter vector is not brought to length 1, as in PyTorch's `normalize`

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingParts:
    """Embeddings of clips as sums of parts.

    Attributes
    ----------
    names
        The parts: the blocks of statistics, then `CONVOLUTIONS`, as far as the network has them.
    vectors
        (clips, parts, units); their sum over the parts is what `Scorer.encode_many` gives.
    branches
        The units of each branch: statistics, convolutions, listener factors, as far as there are.
    head
        The network's head, in double precision.
    """

    names: tuple[str, ...]
    vectors: Floats
    branches: tuple[slice, ...]
    head: Cosine | WeightedL1

    @property
    def blocks(self) -> tuple[str, ...]:
        """The parts that are blocks of statistics."""
        return tuple(name for name in self.names if name != CONVOLUTIONS)

    def embeddings(self, without: str = "") -> Floats:
        """Encode the clips, (clips, units), `without` one part.

        Without a block they are what the network makes of clips whose statistics in this block are
        the mean of the training clips: it brings the other blocks back to their length. Without
        the convolutions they are what it would make with the statistics alone.
        """
        rest: Floats = self.vectors[:, [name != without for name in self.names]].sum(axis=1)
        if without and isinstance(self.head, Cosine):
            whole = self.vectors.sum(axis=1)
            for units in self._refilled(without):
                length = np.linalg.norm(whole[:, units], axis=1, keepdims=True)
                rest[:, units] = length * _unit(rest[:, units])
        return rest

    def _refilled(self, without: str) -> list[slice]:
        """Units that are brought back to their length when a part is left out."""
        n_sound = 2 if CONVOLUTIONS in self.names and len(self.blocks) else 1
        if without != CONVOLUTIONS:
            return [self.branches[0], *self.branches[n_sound:]]
        return [slice(0, self.branches[n_sound - 1].stop)]

    def logits(self, pairs: Ints, without: str = "") -> Floats:
        """Compute the logits of pairs of clips, (pairs, 2) to (pairs,), `without` one part."""
        embeddings = torch.from_numpy(self.embeddings(without))
        with torch.inference_mode():
            logits = self.head.paired(embeddings[pairs[:, 0]], embeddings[pairs[:, 1]])
        return np.asarray(logits)


@dataclass(frozen=True, kw_only=True, eq=False)
class LogitParts:
    """Logits of pairs of clips as sums over parts.

    Attributes
    ----------
    names
        The parts: those of `EmbeddingParts`, or for the head `l1` the branches.
    bias
        The logit without any part: with the cosine that of unrelated clips, whose cosine is 0, with
        `l1` that of equal clips.
    matrix
        (pairs, parts, parts): what a part of the first clip and a part of the second add to the
        logit. For the head `l1` it is diagonal.
    """

    names: tuple[str, ...]
    bias: float
    matrix: Floats

    @property
    def logits(self) -> Floats:
        """(pairs,)."""
        return np.asarray(self.bias + self.matrix.sum(axis=(1, 2)))

    @property
    def contributions(self) -> Floats:
        """(pairs, parts): their sum and the bias are the logit; terms of two parts are halved."""
        return np.asarray(self.matrix.sum(axis=1) + self.matrix.sum(axis=2)) / 2

    @property
    def own(self) -> Floats:
        """(pairs, parts): the contributions without the terms of two parts."""
        return np.diagonal(self.matrix, axis1=1, axis2=2)


def decompose(
    scorer: Scorer,
    values: np.ndarray,
    joined: np.ndarray | None = None,
    statistics: np.ndarray | None = None,
) -> EmbeddingParts:
    """Split the embeddings of clips into parts, exactly.

    The arrays are those of `Scorer.encode_many`.
    """
    net, head = scorer.net, copy.deepcopy(scorer.net.head).double()
    beside = np.zeros((len(values), 0)) if joined is None else joined
    blocks = () if net.statistics is None else net.statistics.names
    names = blocks if net.convolutions is None else (*blocks, CONVOLUTIONS)
    sizes = [
        0 if net.statistics is None else scorer.model.statistics_units,
        0 if net.convolutions is None else scorer.model.dense_units,
        scorer.n_factors,
    ]
    ends = np.cumsum(sizes).tolist()
    slices = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    vectors = np.zeros((len(values), len(names), net.units))
    with torch.inference_mode():
        for start in range(0, len(values), BATCH):
            rows = slice(start, start + BATCH)
            x, v = (torch.from_numpy(as_floats(array[rows])) for array in (values, beside))
            if net.statistics is not None:
                stored = None if statistics is None else torch.from_numpy(statistics[rows])
                known = net.statistics.statistics(x, v, stored)
                centred = _block_coordinates(net.statistics, known)
                mapped = centred + centred @ net.statistics.map.weight.T.double()
                vectors[rows, : len(blocks), slices[0]] = mapped
                if net.factors is not None:
                    predicted = centred @ net.factors.weight.double()
                    vectors[rows, : len(blocks), slices[2]] = predicted
            if net.convolutions is not None:
                vectors[rows, -1, slices[1]] = net.convolutions(x)
    if isinstance(head, Cosine):  # each branch has a length of its own, as in `SiameseNet.encode`
        share = None if net.share is None else net.share.sigmoid().item()
        first, second = (1.0, 1.0) if share is None else ((1 - share) ** 0.5, share**0.5)
        of_factors = 0.0 if net.factors is None else net.factors.share.item()
        sound, theirs = (1 - of_factors) ** 0.5, of_factors**0.5
        lengths = (sound * first, sound * second, theirs)
        for units, length in zip(slices, lengths, strict=True):
            now = np.linalg.norm(vectors[:, :, units].sum(axis=1), axis=1)
            vectors[:, :, units] *= (length / np.maximum(now, SMALLEST))[:, None, None]
    branches = tuple(units for units in slices if units.stop > units.start)
    return EmbeddingParts(names=names, vectors=vectors, branches=branches, head=head)


def split_logits(parts: EmbeddingParts, pairs: Ints) -> LogitParts:
    """Split the logits of pairs of clips, (pairs, 2), into what the parts add."""
    u, v = parts.vectors[pairs[:, 0]], parts.vectors[pairs[:, 1]]  # (pairs, parts, units)
    head, bias = parts.head, parts.head.bias.item()
    if isinstance(head, Cosine):
        matrix = head.scale.item() * (u @ v.transpose(0, 2, 1))
        return LogitParts(names=parts.names, bias=bias, matrix=matrix)
    by_unit = -head.weight.detach().numpy() * np.abs(u.sum(axis=1) - v.sum(axis=1))
    branches = [name for name in (STATISTICS, CONVOLUTIONS) if _has_branch(parts, name)]
    by_branch = {
        name: by_unit[:, units] for name, units in zip(branches, parts.branches, strict=True)
    }
    sums = np.stack([units.sum(axis=1) for units in by_branch.values()], axis=1)
    matrix = sums[:, :, None] * np.eye(len(by_branch))
    return LogitParts(names=tuple(by_branch), bias=bias, matrix=matrix)


def _has_branch(parts: EmbeddingParts, name: str) -> bool:
    return bool(parts.blocks) if name == STATISTICS else CONVOLUTIONS in parts.names


def _block_coordinates(branch: StatisticsBranch, statistics: torch.Tensor) -> torch.Tensor:
    """Split the coordinates of clips by blocks of statistics, (clips, blocks, units)."""
    centred = (statistics - branch.middle).double()  # (clips, n)
    axes = branch.axes.double().split(branch.sizes)
    blocks = zip(centred.split(branch.sizes, dim=1), axes, strict=True)
    return torch.stack([block @ onto for block, onto in blocks], dim=1)


def _unit(x: Floats) -> Floats:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(lengths, SMALLEST))
