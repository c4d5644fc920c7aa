"""Listener factors predicted from clips, added to a scorer in closed form.

The factors (`similarity.factors`) of the artists that a scorer may learn from are the target of a
ridge regression on the coordinates of their clips' statistics, or of their embeddings. With few
artists the target of pairs, their similarity, is mostly noise; factors are shared by all artists in
the listens, those without clips too.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from twinear.model.network import SiameseNet
from twinear.model.scorer import Scorer
from twinear.similarity.factors import Floats


def add_factors(
    scorer: Scorer, coordinates: Tensor, artist_index: np.ndarray, factors: Floats, ridge: float
) -> Scorer:
    """Add predicted listener factors to the embedding of a scorer with a statistics branch.

    Their weight is 0: see `weigh_factors`.

    Parameters
    ----------
    coordinates
        Of the statistics of the clips to learn from, (clips, units).
    artist_index
        The artist of each, a row of `factors`, (clips,).
    factors
        (artists, n_factors).
    ridge
        See `FactorsBranch.fit`.
    """
    net = SiameseNet(scorer.inputs, scorer.model, factors.shape[1]).eval()
    net.load_state_dict(scorer.net.state_dict(), strict=False)  # all but the factors
    assert net.factors is not None  # noqa: S101
    index = torch.from_numpy(artist_index)
    net.factors.fit(coordinates, torch.from_numpy(factors), index, ridge)
    return Scorer.from_net(net, scorer.spectrograms, scorer.model)


def weigh_factors(scorer: Scorer, weight: float) -> Scorer:
    """Set the weight of the factors' cosine beside that of the sound, which has 1."""
    share = np.asarray(weight / (1 + weight), np.float32)
    return replace(scorer, weights={**scorer.weights, "factors.share": share})
