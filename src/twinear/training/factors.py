"""Listener factors predicted from clips, added to a scorer in closed form.

The factors (`similarity.factors`) of the artists that a scorer may learn from are the target of a
ridge regression on the coordinates of their clips' statistics, or of their embeddings. With few
artists the target of pairs, their similarity, is mostly noise; factors are shared by all artists in
the listens, those without clips too.
"""

import torch

from twinear.model.network import SiameseNet
from twinear.model.scorer import Scorer
from twinear.similarity.factors import Floats
from twinear.training.batches import Batches, Examples


def add_factors(
    scorer: Scorer, examples: Examples, factors: Floats, weight: float, ridge: float
) -> Scorer:
    """Add predicted listener factors to the embedding of a scorer with a statistics branch.

    Parameters
    ----------
    examples
        The artists to learn from, and their clips.
    factors
        Of these artists, (artists, n_factors).
    weight
        Of the cosine of the factors beside that of the sound.
    ridge
        See `FactorsBranch.fit`.
    """
    shape = scorer.model.model_copy(
        update={"listener_factors": factors.shape[1], "factors_weight": weight}
    )
    net = SiameseNet(scorer.inputs, shape).eval()
    net.load_state_dict(scorer.net.state_dict(), strict=False)  # all but the factors
    assert net.statistics is not None and net.factors is not None  # noqa: S101, PT018
    data = Batches.from_examples(examples, torch.device("cpu"))
    coordinates = net.statistics.project(data.compute_statistics(net.statistics))
    net.factors.fit(
        coordinates,
        torch.from_numpy(factors),
        torch.from_numpy(examples.artist_index),
        ridge,
    )
    return Scorer.from_net(net, scorer.spectrograms, shape)
