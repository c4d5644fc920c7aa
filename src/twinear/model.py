"""The siamese 1-D convolutional network: an `nn.Module` and nothing else.

Both clips go through the same encoder (the original's layers: convolution over time with the mel
bands as channels, ReLU, batch normalisation, max pooling; a dense layer). Two embeddings meet in
the weighted L1 head, the original's logistic neuron on `|u - v|`:

    score = sigmoid(b - sum_k w_k |u_k - v_k|)

A clip is encoded once, however many pairs it is in; the head scores all pairs of two sets of
embeddings. The weights w may be negative, as in the original: the sum is one L1 distance over the
positive weights minus one over the negative.

The convolutions are 1-D, over time; they are written as 2-D ones of height 1, because PyTorch's
channels-last kernels are then 1.5 (float32) to 3 (bfloat16) times as fast on a CPU. The module
does not know files, artists or losses.
"""

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from twinear.params import Params

Positive = Annotated[int, Field(gt=0)]


class ModelParams(Params):
    """The shape of the network; saved with its weights."""

    conv_depth: int = Field(ge=1, le=12)
    kernel_size: int = Field(ge=1, le=31)
    channels: Positive
    pool: tuple[Positive, ...]
    dense_units: Positive

    @property
    def pools(self) -> list[int]:
        """The max pooling after each layer but the last: `pool`, cut or filled with 1."""
        return [*self.pool, *[1] * self.conv_depth][: self.conv_depth - 1]


class SiameseNet(nn.Module):
    """Encoder and head.

    Parameters
    ----------
    n_mels
        Bands of the log-mel spectrograms.
    params
        The shape of the network.
    """

    def __init__(self, n_mels: int, params: ModelParams) -> None:
        super().__init__()
        widths = [n_mels] + [params.channels] * params.conv_depth
        self.blocks = nn.ModuleList(_block(a, b, params.kernel_size) for a, b in pairwise(widths))
        self.pools = nn.ModuleList(_pool(each) for each in params.pools)
        self.dense = nn.Sequential(nn.Linear(params.channels, params.dense_units), nn.ReLU())
        self.weight = nn.Parameter(torch.full((params.dense_units,), params.dense_units**-0.5))
        self.bias = nn.Parameter(torch.zeros(()))

    def encode(self, x: Tensor) -> Tensor:
        """Log-mel spectrograms (clips, n_mels, n_frames) to embeddings (clips, dense_units)."""
        x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        for block, pool in zip(self.blocks, [*self.pools, nn.AdaptiveMaxPool2d(1)], strict=True):
            x = pool(block(x))  # (clips, channels, 1, frames), then (clips, channels, 1, 1)
        embeddings: Tensor = self.dense(x.flatten(1))
        return embeddings

    def logit(self, u: Tensor, v: Tensor) -> Tensor:
        """The head before the sigmoid: (a, dense_units) and (b, dense_units) to (a, b)."""
        plus, minus = self.weight.clamp(min=0), (-self.weight).clamp(min=0)
        return self.bias - _l1(u * plus, v * plus) + _l1(u * minus, v * minus)

    def score(self, u: Tensor, v: Tensor) -> Tensor:
        """The score in (0, 1) of every pair: (a, dense_units) and (b, dense_units) to (a, b)."""
        return torch.sigmoid(self.logit(u, v))

    def forward(self, x: Tensor) -> Tensor:
        """Pairs of spectrograms (pairs, 2, n_mels, n_frames) to scores (pairs,)."""
        u, v = self.encode(x[:, 0]), self.encode(x[:, 1])
        return torch.sigmoid(self.bias - (u - v).abs() @ self.weight)


def _block(inputs: int, outputs: int, kernel_size: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, (1, kernel_size), padding=(0, kernel_size // 2))
    return nn.Sequential(conv, nn.ReLU(), nn.BatchNorm2d(outputs))


def _pool(size: int) -> nn.MaxPool2d:
    return nn.MaxPool2d((1, size), ceil_mode=True)


def _l1(u: Tensor, v: Tensor) -> Tensor:
    return torch.cdist(u, v, p=1)
