"""The untrained scorer: the plain cosine of clip statistics, or of an embedding.

It needs no listens. It is the statistics branch of the network before the first step of training,
while its map is the identity: statistics standardised over the clips, every block with an equal
weight, on the principal axes of the artists. A training starts from the same axes (`fit_axes`).
"""

from math import ceil

import numpy as np
import pandas as pd
import torch

from twinear.model.network import SiameseNet, StatisticsBranch
from twinear.model.params import ModelParams
from twinear.model.scorer import Scorer, input_of
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.clip_statistics import ClipStatistics
from twinear.training.embeddings_share import at_share, candidate_shares

MOST = 20_000  # clips that the axes are found from; of more, evenly spaced ones
FEW = 10  # artists; of fewer, every clip counts as an artist of its own


def untrained_scorer(
    clips: Spectrograms, params: ModelParams, statistics: ClipStatistics | None = None
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
    statistics
        Those of all these clips, where they are known.
    """
    clips, params = at_share(clips, params, candidate_shares(clips.front, params)[0])
    shape = params.model_copy(update={"branches": "statistics", "head": "cosine"})
    inputs = input_of(clips)
    net = SiameseNet(inputs, shape).eval()
    assert net.statistics is not None  # noqa: S101
    rows = _some(len(clips.clips))
    if statistics is None:
        statistics = ClipStatistics.of_clips(clips.select(rows), inputs)
    else:
        statistics = statistics.select(rows)
    artist_index, artists = pd.factorize(clips.clips["artist"].iloc[rows])
    if len(artists) < FEW:
        artist_index = np.arange(len(rows))
    fit_axes(net.statistics, statistics, artist_index)
    return Scorer.from_net(net, clips.front, shape)


def fit_axes(
    branch: StatisticsBranch, statistics: ClipStatistics, artist_index: np.ndarray
) -> None:
    """Standardise the statistics and find the axes of the artists, (clips,) from 0.

    Of more than `MOST` clips evenly spaced ones are taken.
    """
    if len(statistics) > MOST:
        rows = _some(len(statistics))
        statistics, artist_index = statistics.select(rows), pd.factorize(artist_index[rows])[0]
    device = branch.axes.device
    joined = statistics.join(branch.names).to(device)
    branch.fit(joined, torch.from_numpy(artist_index).to(device))


def _some(n_clips: int) -> np.ndarray:
    return np.arange(0, n_clips, ceil(n_clips / MOST))
