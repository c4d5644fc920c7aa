"""Scores of artists by all pairs of their clips, which the blocks of queries must equal."""

import torch
from torch import Tensor

from twinear.model.heads import Cosine
from twinear.model.network import SiameseNet
from twinear.model.pooling import Pooling
from twinear.training.losses import by_artist


def scores_by_all_pairs(u: Tensor, net: SiameseNet, index: Tensor, pooling: Pooling) -> Tensor:
    """Scores of artists, (artists, artists), by the logits of all pairs of their clips.

    The inner product of mean embeddings is the mean of those of clip pairs, and the square of a
    length one of an artist with itself.
    """
    head, logits, n_artists = net.head, net.head.logit(u, u), int(index.max()) + 1
    if pooling == "pairs" or not isinstance(head, Cosine):
        return by_artist(torch.sigmoid(logits), index, n_artists)
    products = by_artist((logits - head.bias) / head.scale, index, n_artists)
    lengths = products.diagonal().sqrt()
    return torch.sigmoid(head.bias + head.scale * products / lengths / lengths[:, None])
