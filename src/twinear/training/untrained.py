"""The untrained scorer: the plain cosine of clip statistics, or of an embedding.

It needs no listens. It is the statistics branch of the network before the first step of training,
while its map is the identity: statistics standardised over the clips, every block with an equal
weight, on the principal axes of the artists. A training starts from the same axes (`fit_axes`).
"""

from collections.abc import Mapping
from math import ceil

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinear.model.network import SiameseNet, StatisticsBranch
from twinear.model.params import ModelParams
from twinear.model.scorer import Scorer, input_of
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.batches import BLOCK
from twinear.training.embeddings_share import at_share, candidate_shares

MOST = 20_000  # clips that the axes are found from; of more, evenly spaced ones
FEW = 10  # artists; of fewer, every clip counts as an artist of its own


def untrained_scorer(
    clips: Spectrograms, params: ModelParams, blocks: Mapping[str, Tensor] | None = None
) -> Scorer:
    """Fit the statistics branch to clips, without a step of training.

    Parameters
    ----------
    clips
        At least one; pass those of training artists only to compare it with a trained scorer. With
        `spectrograms.embeddings: auto` it takes the first of `params.embeddings_shares`.
    params
        The shape of the network. Of it only the statistics branch is taken, with a cosine: layers
        that have not been trained say nothing.
    blocks
        The statistics of these clips, where they are known, see `compute_blocks`.
    """
    clips, params = at_share(clips, params, candidate_shares(clips.front, params)[0])
    shape = params.model_copy(update={"branches": "statistics", "head": "cosine"})
    net = SiameseNet(input_of(clips), shape).eval()
    assert net.statistics is not None  # noqa: S101
    rows = np.arange(0, len(clips.values), ceil(len(clips.values) / MOST))
    if blocks is None:
        blocks = compute_blocks(clips, rows)
    else:
        blocks = {name: block[torch.from_numpy(rows)] for name, block in blocks.items()}
    artist_index, artists = pd.factorize(clips.clips["artist"].iloc[rows])
    if len(artists) < FEW:
        artist_index = np.arange(len(rows))
    fit_axes(net.statistics, join_blocks(blocks, net.statistics), artist_index)
    return Scorer.from_net(net, clips.front, shape)


@torch.no_grad()
def compute_blocks(clips: Spectrograms, rows: np.ndarray) -> dict[str, Tensor]:
    """Compute the statistics of some clips, by the names of their blocks, (rows, n) each."""
    inputs = input_of(clips)
    parts = [
        inputs.statistics(
            torch.from_numpy(np.array(clips.values[some], dtype=np.float32)),
            torch.from_numpy(np.array(clips.joined[some], dtype=np.float32)),
        )
        for some in np.split(rows, range(BLOCK, len(rows), BLOCK))
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def join_blocks(blocks: Mapping[str, Tensor], branch: StatisticsBranch) -> Tensor:
    """Put the blocks that a branch takes side by side, (clips, n)."""
    return torch.cat([blocks[name] for name in branch.names], dim=1)


def fit_axes(branch: StatisticsBranch, statistics: Tensor, artist_index: np.ndarray) -> None:
    """Standardise the statistics (clips, n) and find the axes of the artists, (clips,) from 0."""
    branch.fit(statistics, torch.from_numpy(artist_index).to(statistics.device))
