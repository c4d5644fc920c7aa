"""The siamese network: an `nn.Module` and nothing else.

Both clips go through the same encoder, and their embeddings meet in a head (`heads`). A clip is
encoded once, however many pairs it is in; the head scores all pairs of two sets of embeddings.

The encoder has up to two branches over the same input:

- `convolutions`, 1-D over time with the bands as channels: the original's layers (ReLU, batch
  normalisation, max pooling, a dense layer) and, by choice, what the field has added since:
  dilation, residual connections, dropout, mean and deviation beside the maximum over time.
- `statistics` of the whole clip, standardised over the training clips with equal weight for each
  block, projected on the principal axes of the training artists; then a linear map that starts as
  the identity. `training.identity_decay` draws it back there, so that with few artists it stays
  near a plain cosine of statistics. A joined embedding is one more block.

By choice the embedding also holds the clip's *listener factors* (`similarity.factors`), predicted
from the coordinates of the statistics by a ridge regression that is fitted in closed form after
the rest has been trained. With the cosine head the logit is then a weighted mean of two cosines,
of how two clips sound and of who is expected to listen.

The module does not know files, artists or losses.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from twinear.model.heads import Cosine, WeightedL1
from twinear.model.inputs import InputSpec, block_sizes
from twinear.model.params import ModelParams
from twinear.spectrograms.statistics import EPSILON

CONSTANT = 1e-5  # a deviation below this share of the mean is rounding error


class SiameseNet(nn.Module):
    """Encoder and head; listener factors need the statistics branch and the cosine head."""

    def __init__(self, inputs: InputSpec, params: ModelParams, n_factors: int = 0) -> None:
        super().__init__()
        self.inputs = inputs
        self.convolutions, self.statistics, self.units = None, None, 0
        if params.branches != "statistics":
            self.convolutions = Convolutions(inputs, params)
            self.units += params.dense_units
        if params.branches != "convolutions":
            self.statistics = StatisticsBranch(inputs, params)
            self.units += params.statistics_units
        self.factors: FactorsBranch | None = None
        if n_factors:
            self.factors = FactorsBranch(params.statistics_units, n_factors)
            self.units += n_factors
        self.head = Cosine() if params.head == "cosine" else WeightedL1(self.units)
        # the logit of the convolutions' share in the cosine; a small share at the start
        shared = params.branches == "both" and params.head == "cosine"
        self.share = nn.Parameter(torch.tensor(-2.0)) if shared else None

    def encode(self, x: Tensor, joined: Tensor, coordinates: Tensor | None = None) -> Tensor:
        """Encode clips to embeddings (clips, units), of length 1 for the cosine head.

        `x` is (clips, n_bands, n_frames), `joined` (clips, n_joined); `coordinates` are those of
        the `StatisticsBranch`, where they are known already.
        """
        parts = []
        if self.statistics is not None:
            if coordinates is None:
                coordinates = self.statistics.coordinates(x, joined)
            parts.append(self.statistics(coordinates))
        if self.convolutions is not None:
            parts.append(self.convolutions(x))
        if isinstance(self.head, Cosine):
            parts = [nn.functional.normalize(part, dim=1) for part in parts]
            if self.share is not None:
                share = torch.sigmoid(self.share)
                parts = [(1 - share).sqrt() * parts[0], share.sqrt() * parts[1]]
        if self.factors is not None:
            predicted = nn.functional.normalize(self.factors(coordinates), dim=1)
            share = self.factors.share
            parts = [*((1 - share).sqrt() * part for part in parts), share.sqrt() * predicted]
        return torch.cat([part.to(parts[0].dtype) for part in parts], dim=1)

    def score(self, u: Tensor, v: Tensor) -> Tensor:
        """Score every pair in (0, 1): (a, units) and (b, units) to (a, b)."""
        return torch.sigmoid(self.head.logit(u, v))

    def forward(self, x: Tensor, joined: Tensor | None = None) -> Tensor:
        """Score pairs of clips, (pairs,).

        Parameters
        ----------
        x
            (pairs, 2, n_bands, n_frames).
        joined
            Embeddings joined to them, (pairs, 2, n_joined); None where the network takes none.
        """
        beside = x.new_zeros((len(x), 2, 0)) if joined is None else joined
        u, v = self.encode(x[:, 0], beside[:, 0]), self.encode(x[:, 1], beside[:, 1])
        return torch.sigmoid(self.head.paired(u, v))


class Convolutions(nn.Module):
    """1-D convolutions over time and a dense layer.

    They are written as 2-D convolutions of height 1: PyTorch's channels-last kernels are then 1.5
    (float32) to 3 (bfloat16) times as fast on a CPU.
    """

    def __init__(self, inputs: InputSpec, params: ModelParams) -> None:
        super().__init__()
        n_bands, n_frames = inputs.shape
        widths = [n_bands] + [params.channels] * params.conv_depth
        self.blocks = nn.ModuleList(
            _block(a, b, params.kernel_size, params.dilation**layer)
            for layer, (a, b) in enumerate(pairwise(widths))
        )
        self.pools = nn.ModuleList(
            [*(nn.MaxPool2d((1, size), ceil_mode=True) for size in params.pools), nn.Identity()]
        )
        self.time_downsampling, self.residual = params.time_downsampling, params.residual
        self.n_averaged = -(-n_frames // params.time_downsampling)
        self.only_max = params.global_pooling == "max"
        pooled = params.channels * (1 if self.only_max else 3)
        self.dense = nn.Sequential(nn.Linear(pooled, params.dense_units), nn.ReLU())
        self.dropout = nn.Dropout(params.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, n_bands, n_frames) to (clips, dense_units).

        Clips whose frames have been averaged already, see `spectrograms.Compact`, are taken too.
        """
        x = self.average_frames(x)
        x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        for layer, (block, pool) in enumerate(zip(self.blocks, self.pools, strict=True)):
            y = block(x)  # (clips, channels, 1, frames)
            if self.residual and layer and y.shape == x.shape:  # an even kernel adds a frame
                y = y + x
            x = pool(y)
        embeddings: Tensor = self.dense(self.dropout(self.pool_over_time(x.squeeze(2))))
        return embeddings

    def averages(self, x: Tensor) -> bool:
        """Say whether `average_frames` changes clips: not those averaged already."""
        return self.time_downsampling > 1 and x.shape[2] != self.n_averaged

    def average_frames(self, x: Tensor) -> Tensor:
        """Average `time_downsampling` frames to one, where that has not been done."""
        if not self.averages(x):
            return x
        return nn.functional.avg_pool1d(x, self.time_downsampling, ceil_mode=True)

    def pool_over_time(self, x: Tensor) -> Tensor:
        """(clips, channels, frames) to the maximum, or to maximum, mean and deviation."""
        if self.only_max:
            return x.amax(dim=2)
        # in this order: it decides in which order gradients are added, and so their last bits
        maximum, mean = x.amax(dim=2), x.mean(dim=2)
        deviation = (x.var(dim=2, correction=0) + EPSILON).sqrt()
        return torch.cat([maximum, mean, deviation], dim=1)


class StatisticsBranch(nn.Module):
    """Statistics on the training artists' principal axes, and a map that starts as identity."""

    middle: Tensor  # (n,)
    axes: Tensor  # (n, units)

    def __init__(self, inputs: InputSpec, params: ModelParams) -> None:
        super().__init__()
        self.inputs = inputs
        sizes = block_sizes(inputs)
        self.names, self.sizes = tuple(sizes), list(sizes.values())
        units = params.statistics_units
        # every block weighs the same, but a joined embedding has a share of its own
        self.weights = [1.0] * len(self.sizes)
        if inputs.n_joined:
            others, share = len(self.sizes) - 1, params.joined_share
            self.weights[-1] = others * share / (1 - share)
        self.register_buffer("middle", torch.zeros(sum(self.sizes)))
        self.register_buffer("axes", torch.zeros(sum(self.sizes), units))
        self.map = nn.Linear(units, units, bias=False)
        nn.init.zeros_(self.map.weight)
        self.dropout = nn.Dropout(params.dropout)

    def statistics(self, x: Tensor, joined: Tensor, stored: Tensor | None = None) -> Tensor:
        """Compute all blocks, side by side, (clips, n).

        `stored` are those of the log-mel, where they are known; `x` then does not matter.
        """
        if stored is not None:
            return torch.cat([stored, joined], dim=1)
        exact = x.to(self.middle.dtype)  # never in reduced precision
        with torch.autocast(x.device.type, enabled=False):
            blocks = self.inputs.statistics(exact, joined.to(exact.dtype))
            return torch.cat(list(blocks.values()), dim=1)

    @torch.no_grad()
    def fit(self, statistics: Tensor, artist_index: Tensor) -> None:
        """Find the standardisation and the axes from the training clips, (clips, n).

        `artist_index`, (clips,), is the artist of each, from 0.
        """
        values = statistics.double()
        middle, deviation = values.mean(dim=0), values.std(dim=0, correction=0)
        sizes = torch.tensor(self.sizes, device=values.device)
        shares = (values.new_tensor(self.weights) / sizes).sqrt()
        weight = torch.repeat_interleave(shares, sizes) / (deviation + EPSILON)
        weight[deviation <= CONSTANT * middle.abs() + EPSILON] = 0  # else rounding is amplified
        standard, counts = (values - middle) * weight, torch.bincount(artist_index)
        sums = standard.new_zeros((len(counts), standard.shape[1]))
        by_artist = sums.index_add_(0, artist_index, standard) / counts[:, None]  # (artists, n)
        axes = _principal_axes(by_artist)[:, : self.axes.shape[1]]
        length = (by_artist @ axes).square().sum(dim=1).mean().sqrt().clamp(min=EPSILON)
        self.middle.copy_(middle)
        self.axes.zero_()
        self.axes[:, : axes.shape[1]] = axes * weight[:, None] / length

    def coordinates(self, x: Tensor, joined: Tensor) -> Tensor:
        """Project clips (clips, n_bands, n_frames), (clips, n_joined) on the axes."""
        return self.project(self.statistics(x, joined))

    def project(self, statistics: Tensor) -> Tensor:
        """Project statistics (clips, n) on the axes, (clips, units)."""
        with torch.autocast(statistics.device.type, enabled=False):
            coordinates: Tensor = (statistics - self.middle) @ self.axes
        return coordinates

    def forward(self, coordinates: Tensor) -> Tensor:
        """Coordinates (clips, units) to embeddings (clips, units)."""
        kept = self.dropout(coordinates)
        with torch.autocast(kept.device.type, enabled=False):
            embeddings: Tensor = kept + self.map(kept)
        return embeddings


class FactorsBranch(nn.Module):
    """Predicts listener factors from the coordinates of a clip's statistics."""

    weight: Tensor  # (units, n_factors)
    share: Tensor  # of the factors' cosine in the sum of both, a scalar in [0, 1]

    def __init__(self, units: int, n_factors: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(units, n_factors))
        self.register_buffer("share", torch.zeros(()))

    @torch.no_grad()
    def fit(self, coordinates: Tensor, factors: Tensor, artist_index: Tensor, ridge: float) -> None:
        """Fit the ridge regression.

        Parameters
        ----------
        coordinates
            (clips, units), of the training clips.
        factors
            (artists, n_factors), of their artists.
        artist_index
            (clips,), the artist of each clip. All artists weigh the same.
        ridge
            In multiples of the mean eigenvalue of the coordinates' second moments.
        """
        x = nn.functional.normalize(coordinates.double(), dim=1)
        weights = 1 / torch.bincount(artist_index).double()[artist_index]
        weighted = x * weights[:, None]
        moments = weighted.T @ x
        moments.diagonal().add_(ridge * moments.trace() / len(moments))
        fitted = torch.linalg.solve(moments, weighted.T @ factors.double()[artist_index])
        self.weight.copy_(fitted)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Coordinates (clips, units) to factors (clips, n_factors)."""
        with torch.autocast(coordinates.device.type, enabled=False):
            factors: Tensor = nn.functional.normalize(coordinates, dim=1) @ self.weight
        return factors


def _principal_axes(rows: Tensor) -> Tensor:
    """Find the principal axes of rows (rows, n): (n, axes), widest first, with a fixed sign."""
    _, lengths, axes = torch.linalg.svd(rows, full_matrices=False)
    axes = axes[lengths > EPSILON * lengths[0]].T  # the rest is rounding error
    signed: Tensor = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    return signed


def _block(inputs: int, outputs: int, kernel_size: int, dilation: int) -> nn.Sequential:
    padding = dilation * (kernel_size - 1) // 2 + (kernel_size % 2 == 0)
    size = (1, kernel_size)
    conv = nn.Conv2d(inputs, outputs, size, padding=(0, padding), dilation=(1, dilation))
    return nn.Sequential(conv, nn.ReLU(), nn.BatchNorm2d(outputs))
