"""Learn from clips alone: two parts of one clip should be encoded alike.

Each step takes some clips, cuts two random parts out of each, and asks the encoder to find the
other part of the same clip among all parts of the step (the normalised temperature-scaled
cross-entropy of Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning
of visual representations", ICML 2020). No listens are needed, so clips of artists without
listens take part; clips of validation and test artists never do.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from twinear.base.params import Params
from twinear.model.inputs import LogMel
from twinear.model.network import SiameseNet
from twinear.training.augmentation import AugmentationParams, augment, cropped


class PretrainingParams(Params):
    """How long, and how much of a clip one part is."""

    epochs: int = Field(ge=0)
    min_crop: float = Field(gt=0, lt=1)
    temperature: float = Field(gt=0)
    batch_clips: int = Field(ge=2)


def pretrain(
    net: SiameseNet,
    x: Tensor,
    joined: Tensor,
    params: PretrainingParams,
    augmentation: AugmentationParams,
    learning_rate: float,
    identity_decay: float,
    generator: torch.Generator,
) -> None:
    """Train the encoder of a network in place.

    `x`, (clips, n_bands, n_frames), and `joined`, (clips, n_dims), are on the network's device, the
    generator on the CPU. As in training, `identity_decay` draws the map of the statistics branch
    towards the identity.
    """

    def part(x: Tensor) -> Tensor:
        cut = cropped(x, params.min_crop, generator)
        if isinstance(net.inputs, LogMel):
            cut = augment(cut, augmentation, net.inputs.top_db, generator)
        return cut

    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    net.train()
    for _ in range(params.epochs):
        order = torch.randperm(len(x), generator=generator)
        n_steps = max(len(x) // params.batch_clips, 1)
        for rows in order.tensor_split(n_steps):
            some = x[rows.to(x.device)].float()
            parts = torch.cat([part(some), part(some)])
            beside = joined[rows.to(x.device)].repeat(2, 1)
            u = torch.nn.functional.normalize(net.encode(parts, beside).float(), dim=1)
            loss = agreement(u, params.temperature) + identity_decay * map_size(net)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def agreement(u: Tensor, temperature: float) -> Tensor:
    """Compute the loss of embeddings (2 clips, units) of length 1: first parts, then second."""
    n = len(u) // 2
    itself = torch.eye(2 * n, dtype=torch.bool, device=u.device)
    logits = (u @ u.T / temperature).masked_fill(itself, -math.inf)
    other = torch.arange(2 * n, device=u.device).roll(n)
    return torch.nn.functional.cross_entropy(logits, other)


def map_size(net: SiameseNet) -> Tensor | float:
    """Square the distance of the map of the statistics branch from the identity."""
    return 0.0 if net.statistics is None else net.statistics.map.weight.square().sum()
