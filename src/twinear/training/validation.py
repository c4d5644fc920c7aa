"""How a network ranks the validation artists, and what its logits mean.

An epoch is chosen by how its network ranks them (NDCG@10 of each among the others), never by test
artists. They also calibrate the logits of an objective that knows only orders.

The pairs of few artists' clips are all computed at once. Of more than `WHOLE` clips only a block is
in memory: a number of artists are queries (`training.max_queries`), all are candidates, the
logits of some are calibrated. The objective of more than `GROUP` artists is that of groups.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from twinear.base.errors import DataError
from twinear.metrics.ranking_metrics import Floats, Ints, Truth, query_ndcg, rank_truth
from twinear.model.heads import Cosine
from twinear.model.network import SiameseNet
from twinear.model.pooling import Pooling
from twinear.similarity.similarity import SimilarityMatrix, dense
from twinear.training.batches import Batches
from twinear.training.losses import OBJECTIVES, ObjectiveName, by_artist, calibration

NDCG_AT = 10
BLOCK = 256  # clips encoded at a time
WHOLE = 8192  # clips whose pairs are computed at once
GROUP = 256  # artists compared by the objective at a time: its memory may grow with their cube
CALIBRATED = 1024  # artists whose logits are calibrated, of more clips than that
SCORES = 2**24  # scores of queries and candidates in memory
SHORTEST = 1e-12  # square of the length of a mean embedding


@dataclass(frozen=True, kw_only=True, eq=False)
class Validator:
    """The validation artists and their clips."""

    clips: Batches  # on the network's device
    queries: Ints  # the artists that rank the others
    truth: Truth  # the similarity by listens, as `rank_validation` ranks it
    objective: ObjectiveName
    precision: str
    seed: int  # breaks ties

    @torch.no_grad()
    def __call__(self, net: SiameseNet) -> tuple[float, float]:
        """Compute the objective and NDCG@10 of the validation artists among themselves.

        The objective is infinite and the NDCG is NaN where the logits are not finite.
        """
        u, clips = encode_clips(self.clips, net, self.precision), self.clips
        artists, whole = np.arange(len(clips.clips)), None
        if len(u) <= WHOLE:
            logits, artist_index = net.head.logit(u, u), torch.from_numpy(clips.artist_index)
            artist_index = artist_index.to(u.device)
            scores = by_artist(_below_one(logits), artist_index, len(artists))
            whole = scores.cpu().numpy()
        if whole is not None and len(artists) <= GROUP:
            loss = self._loss(logits, artist_index, artists)
        else:
            losses = []
            for group in np.array_split(artists, math.ceil(len(artists) / GROUP)):
                of_group = np.concatenate([clips.clips[artist] for artist in group])
                some = u[torch.from_numpy(of_group).to(u.device)]
                index = torch.from_numpy(clips.artist_index[of_group] - group[0]).to(u.device)
                losses.append(self._loss(net.head.logit(some, some), index, group))
            loss = float(np.mean(losses))
        if not math.isfinite(loss):
            return math.inf, math.nan
        if whole is not None:
            rows = whole[self.queries]
        else:
            scored = score_queries(u, net, clips, self.queries, "pairs")
            rows = np.concatenate([scores for _, scores in scored])
        generator = np.random.default_rng(self.seed)
        return loss, float(np.nanmean(query_ndcg(self.truth, rows, NDCG_AT, generator)))

    def _loss(self, logits: Tensor, artist_index: Tensor, artists: Ints) -> float:
        objective = OBJECTIVES[self.objective]
        return float(objective(logits, artist_index, self.clips.target_of(artists)))

    def calibrate(self, net: SiameseNet) -> tuple[float, float]:
        """Find the slope and shift of the logit that bring scores near the similarity."""
        if self.objective == "mse":
            return 1.0, 0.0
        target = self.clips.target
        similarity = target.cpu().numpy() if isinstance(target, Tensor) else target
        every = np.arange(len(self.clips.clips))
        u = encode_clips(self.clips, net, self.precision)
        return calibrate_artists(u, net, self.clips, similarity, every)


@torch.no_grad()
def encode_clips(clips: Batches, net: SiameseNet, precision: str) -> Tensor:
    """Encode every clip once, (clips, units)."""
    net.eval()
    n_clips = len(clips.artist_index)
    blocks = np.array_split(np.arange(n_clips), math.ceil(n_clips / BLOCK))
    return torch.cat([clips.take(rows).encode(net, precision) for rows in blocks])


@torch.no_grad()
def calibrate_artists(
    u: Tensor, net: SiameseNet, clips: Batches, similarity: SimilarityMatrix, artists: Ints
) -> tuple[float, float]:
    """Calibrate the logits of the pairs of clips of some artists; see `losses.calibration`.

    `u` are the embeddings of all clips. With more than `WHOLE` clips some of the artists are taken.
    """
    index = clips.artist_index
    if len(u) > WHOLE:
        step = math.ceil(len(artists) / CALIBRATED)
        rows = np.concatenate([clips.clips[artist] for artist in artists[::step]])
        u, index = u[torch.from_numpy(rows).to(u.device)], index[rows]
    logits = net.head.logit(u, u).cpu().numpy()
    inside = np.isin(index, artists)
    pairs = (index[:, None] != index) & inside & inside[:, None]
    if not pairs.any():
        return 1.0, 0.0
    found, row = np.unique(index, return_inverse=True)
    target = dense(similarity[found][:, found])
    return calibration(logits[pairs], target[np.ix_(row, row)][pairs])


@torch.no_grad()
def score_queries(
    u: Tensor, net: SiameseNet, clips: Batches, queries: Ints, pooling: Pooling
) -> Iterator[tuple[Ints, Floats]]:
    """Score all artists for some queries, a block of queries at a time.

    `u` are the embeddings of all clips.

    Yields
    ------
    Some of the queries, and their scores minus 1, (queries, artists).
    """
    head, n_artists = net.head, len(clips.clips)
    index = torch.from_numpy(clips.artist_index).to(u.device)
    n_clips = torch.bincount(index, minlength=n_artists)[:, None]
    by_mean = pooling == "mean" and isinstance(head, Cosine)
    if by_mean:
        sums = _sum_by_artist(u, index, n_artists)
        means = torch.nn.functional.normalize(sums / n_clips, dim=1, eps=math.sqrt(SHORTEST))
    widest = n_artists if by_mean else len(u) * max(map(len, clips.clips))
    n_blocks = min(math.ceil(len(queries) * widest / SCORES), len(queries))
    for block in np.array_split(queries, n_blocks):
        if by_mean:
            rows = head.logit(means[torch.from_numpy(block).to(u.device)], means)
            yield block, _below_one(rows).cpu().numpy()
            continue
        of_block = np.concatenate([clips.clips[query] for query in block])
        lengths = [len(clips.clips[query]) for query in block]
        at = torch.from_numpy(np.repeat(np.arange(len(block)), lengths)).to(u.device)
        scores = _below_one(head.logit(u[torch.from_numpy(of_block).to(u.device)], u))
        of_queries = _sum_by_artist(scores, at, len(block))  # (queries, clips)
        sums = _sum_by_artist(of_queries.T, index, n_artists).T
        pairs = torch.tensor(lengths, device=u.device)[:, None] * n_clips[:, 0]
        yield block, (sums / pairs).cpu().numpy()


def _below_one(logits: Tensor) -> Tensor:
    """Compute scores minus 1, which keep their order where the scores themselves are 1.

    An objective that knows only orders makes logits ever larger: above 17 the score in float32 is
    1, above 36 in float64.
    """
    return -torch.sigmoid(-logits.double())


def _sum_by_artist(values: Tensor, artist_index: Tensor, n_artists: int) -> Tensor:
    """Add the rows of each artist's clips, (clips, n) to (artists, n)."""
    return values.new_zeros(n_artists, values.shape[1]).index_add_(0, artist_index, values)


def rank_validation(similarity: SimilarityMatrix, queries: Ints, seed: int) -> Truth:
    """Rank the validation artists (artists, artists) for some of them; some must be similar."""
    candidates = np.arange(similarity.shape[0]) != queries[:, None]
    values = dense(similarity[queries])
    truth = rank_truth(values, candidates, NDCG_AT, np.random.default_rng(seed))
    if not (truth.similarity > 0).any():
        raise DataError(
            "training",
            "no two validation artists share a listener",
            remedy="bring more listens, or give validation a larger share in split.fractions",
        )
    return truth


def choose_queries(artists: Ints, most: int, seed: int) -> Ints:
    """Draw at most so many artists, 0: all, in their order.

    Examples
    --------
    >>> choose_queries(np.array([3, 5, 8, 9]), 0, seed=1).tolist()
    [3, 5, 8, 9]
    >>> len(choose_queries(np.array([3, 5, 8, 9]), 2, seed=1))
    2
    """
    if not 0 < most < len(artists):
        return artists
    return np.sort(np.random.default_rng(seed).choice(artists, most, replace=False))
