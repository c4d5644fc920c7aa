"""How a network ranks the validation artists, and what its logits mean.

An epoch is chosen by how its network ranks them (NDCG@10 of each among the others), never by test
artists. They also calibrate the logits of an objective that knows only orders.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from twinear.base.errors import DataError
from twinear.metrics.ranking_metrics import Truth, others, query_ndcg, rank_truth
from twinear.model.heads import Cosine
from twinear.model.network import SiameseNet
from twinear.model.pooling import Pooling
from twinear.training.batches import Batches
from twinear.training.losses import OBJECTIVES, ObjectiveName, by_artist, calibration

NDCG_AT = 10
BLOCK = 256  # clips encoded at a time
MOST_PAIRED = 4096  # clips all of whose pairs are in memory at a time
SHORTEST = 1e-12  # square of the length of a mean embedding


@dataclass(frozen=True, kw_only=True, eq=False)
class Validator:
    """The validation artists and their clips."""

    clips: Batches  # on the network's device
    truth: Truth  # the similarity by listens, as `rank_validation` ranks it
    objective: ObjectiveName
    precision: str
    seed: int  # breaks ties

    def __call__(self, net: SiameseNet) -> tuple[float, float]:
        """Compute the objective and NDCG@10 of the validation artists among themselves.

        The objective is infinite and the NDCG is NaN where the logits are not finite.
        """
        logits = self.logits(net)
        artist_index = torch.from_numpy(self.clips.artist_index).to(logits.device)
        loss = float(OBJECTIVES[self.objective](logits, artist_index, self.clips.target))
        if not math.isfinite(loss):
            return math.inf, math.nan
        generator = np.random.default_rng(self.seed)
        scores = by_artist(torch.sigmoid(logits), artist_index, len(self.clips.clips)).cpu().numpy()
        return loss, float(np.nanmean(query_ndcg(self.truth, scores, NDCG_AT, generator)))

    def logits(self, net: SiameseNet) -> Tensor:
        """Compute the logits of all pairs of clips, (clips, clips)."""
        return all_logits(self.clips, net, self.precision)

    def calibrate(self, net: SiameseNet) -> tuple[float, float]:
        """Find the slope and shift of the logit that bring scores near the similarity."""
        if self.objective == "mse":
            return 1.0, 0.0
        artist_index, target = self.clips.artist_index, self.clips.target.cpu().numpy()
        logits = self.logits(net).cpu().numpy()
        different = artist_index[:, None] != artist_index
        return calibration(logits[different], target[np.ix_(artist_index, artist_index)][different])


@torch.no_grad()
def all_logits(clips: Batches, net: SiameseNet, precision: str) -> Tensor:
    """Compute the logits of all pairs of clips, (clips, clips), each encoded once."""
    u = encode_all(clips, net, precision)
    return net.head.logit(u, u)


@torch.no_grad()
def encode_all(clips: Batches, net: SiameseNet, precision: str) -> Tensor:
    """Encode all clips, (clips, units)."""
    net.eval()
    n_clips = len(clips.artist_index)
    blocks = np.array_split(np.arange(n_clips), math.ceil(n_clips / BLOCK))
    return torch.cat([clips.take(rows).encode(net, precision) for rows in blocks])


@torch.no_grad()
def score_all(
    u: Tensor, net: SiameseNet, artist_index: Tensor, n_artists: int, pooling: Pooling
) -> Tensor:
    """Score artists by the embeddings of their clips, (clips, units), as `artist_scores` does.

    Of more than `MOST_PAIRED` clips the pairs are never all in memory.

    Returns
    -------
    (artists, artists), in (0, 1).
    """
    head, counts = net.head, torch.bincount(artist_index, minlength=n_artists).clamp(min=1)
    if len(u) <= MOST_PAIRED:
        return artist_scores(head.logit(u, u), net, artist_index, n_artists, pooling)
    if pooling == "mean" and isinstance(head, Cosine):
        mean = u.new_zeros((n_artists, u.shape[1])).index_add_(0, artist_index, u)
        unit = torch.nn.functional.normalize(mean, dim=1, eps=SHORTEST**0.5)
        return torch.sigmoid(head.bias + head.scale * unit @ unit.T)
    sums = u.new_zeros((n_artists, n_artists))
    for rows in torch.arange(len(u)).split(MOST_PAIRED // 8):
        scores = torch.sigmoid(head.logit(u[rows], u))  # (rows, clips)
        of_artists = scores.new_zeros((len(rows), n_artists)).index_add_(1, artist_index, scores)
        sums.index_add_(0, artist_index[rows], of_artists)
    return sums / counts / counts[:, None]


def artist_scores(
    logits: Tensor, net: SiameseNet, artist_index: Tensor, n_artists: int, pooling: Pooling
) -> Tensor:
    """Score artists by the logits of all pairs of their clips, as a catalogue does.

    Parameters
    ----------
    logits
        (clips, clips), of the head of `net`.
    pooling
        `mean`: the score of the mean embeddings. Their inner product is the mean of those of clip
        pairs, and the square of a length one of an artist with itself.

    Returns
    -------
    (artists, artists), in (0, 1).
    """
    head = net.head
    if pooling == "pairs" or not isinstance(head, Cosine):
        return by_artist(torch.sigmoid(logits), artist_index, n_artists)
    products = by_artist((logits - head.bias) / head.scale, artist_index, n_artists)
    lengths = products.diagonal().clamp(min=SHORTEST).sqrt()
    return torch.sigmoid(head.bias + head.scale * products / lengths / lengths[:, None])


def rank_validation(similarity: np.ndarray, seed: int) -> Truth:
    """Rank the validation artists (artists, artists) for each other; some must be similar."""
    candidates = others(len(similarity))
    truth = rank_truth(similarity, candidates, NDCG_AT, np.random.default_rng(seed))
    if not (truth.similarity > 0).any():
        raise DataError(
            "training",
            "no two validation artists share a listener",
            remedy="bring more listens, or give validation a larger share in split.fractions",
        )
    return truth
