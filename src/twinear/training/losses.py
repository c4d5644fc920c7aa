"""What training minimises: the difference between scores and the artists' similarity.

An objective takes the logits of all pairs of clips in a step, (clips, clips), the artist of each
clip, (clips,) from 0, and the similarity of these artists, (artists, artists), whose diagonal is
ignored. It returns a scalar to minimise.

- `mse`: mean squared difference of score and similarity over clip pairs, as in the original.
- `listwise`: each artist ranks the others of the step; cross-entropy between the softmax of its
  logits and its similarities, normalised to sum 1 (the top-one probability of ListNet: Cao, Qin,
  Liu, Tsai and Li, "Learning to rank: from pairwise approach to listwise approach", ICML 2007).
- `approx_ndcg`: one minus NDCG with each artist's rank replaced by a sum of sigmoids (Qin, Liu
  and Li, "A general approximation framework for direct optimization of information retrieval
  measures", Information Retrieval 13, 2010).

The last two depend on orders only: their logits have no unit until `calibration` gives them one.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, logit
from torch import Tensor

from twinear.metrics.popularity import divide_by_popularity
from twinear.similarity.similarity import SimilarityMatrix

ObjectiveName = Literal["mse", "listwise", "approx_ndcg"]
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
NEVER = -1e9  # a logit that ranks last and has no gradient; -inf would give NaN
MOST_PAIRS = 10**6  # to calibrate with
MAX_LOGIT = 14.0  # the logit of a similarity of one millionth


def mse(logits: Tensor, artist_index: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error over all ordered pairs of clips of different artists."""
    similarity = target[artist_index][:, artist_index]  # (clips, clips)
    error = (torch.sigmoid(logits) - similarity).square()
    return _mean_where(error, artist_index[:, None] != artist_index)


def listwise(logits: Tensor, artist_index: Tensor, target: Tensor) -> Tensor:
    """Compute the softmax cross-entropy of every artist's ranking.

    Artists that are similar to no other are left out.
    """
    others = target.masked_fill(_itself(target), 0)
    mass = others.sum(dim=1)
    ranked = by_artist(logits, artist_index, len(target)).masked_fill(_itself(target), NEVER)
    loss = -(others * torch.log_softmax(ranked, dim=1)).sum(dim=1)
    return _mean_where(loss / mass.clamp(min=1e-12), mass > 0)


def approx_ndcg(logits: Tensor, artist_index: Tensor, target: Tensor) -> Tensor:
    """Compute one minus the smooth NDCG over all the other artists of the step."""
    gain = target.masked_fill(_itself(target), 0)
    ranked = by_artist(logits, artist_index, len(target)).masked_fill(_itself(target), NEVER)
    ahead = torch.sigmoid(ranked[:, None, :] - ranked[:, :, None])  # (query, artist, other)
    rank = 0.5 + ahead.sum(dim=2)  # an artist is half ahead of itself
    found = (gain / torch.log2(1 + rank)).sum(dim=1)
    places = torch.arange(1, len(target) + 1, device=gain.device)
    ideal = (gain.sort(dim=1, descending=True).values / torch.log2(1.0 + places)).sum(dim=1)
    return _mean_where(1 - found / ideal.clamp(min=1e-12), ideal > 0)


OBJECTIVES: dict[ObjectiveName, Objective] = {
    "mse": mse,
    "listwise": listwise,
    "approx_ndcg": approx_ndcg,
}


def by_artist(values: Tensor, artist_index: Tensor, n_artists: int) -> Tensor:
    """Average over clip pairs, (clips, clips) to (artists, artists).

    Examples
    --------
    Two clips of the first artist, one of the second:

    >>> values = torch.tensor([[9.0, 9.0, 1.0], [9.0, 9.0, 3.0], [1.0, 3.0, 5.0]])
    >>> by_artist(values, torch.tensor([0, 0, 1]), n_artists=2).tolist()
    [[9.0, 2.0], [2.0, 5.0]]
    """
    mean = torch.nn.functional.one_hot(artist_index, n_artists).to(values.dtype)  # (clips, artists)
    mean = mean / mean.sum(dim=0).clamp(min=1)
    return mean.T @ values @ mean


def without_popularity(similarity: SimilarityMatrix, strength: float) -> SimilarityMatrix:
    """Divide the similarity by what the popularity of both artists lets expect.

    With `strength` 1, `S[a, b] / (m[a] m[b])` where m is an artist's mean similarity to the others,
    as in `metrics.popularity`; 0 leaves it as it is. Scaled so that the largest stays what it is;
    the diagonal becomes 0. A sparse similarity gives a sparse one.

    Examples
    --------
    The first artist is popular and therefore similar to all. Of what popularity does not explain,
    the other two have the most in common:

    >>> similarity = np.array([[1.0, 0.4, 0.4], [0.4, 1.0, 0.2], [0.4, 0.2, 1.0]])
    >>> without_popularity(similarity, strength=0.0)[0].tolist()
    [0.0, 0.4, 0.4]
    >>> without_popularity(similarity, strength=1.0).round(3)[:, 1:].tolist()
    [[0.4, 0.4], [0.0, 0.267], [0.267, 0.0]]
    """
    if not isinstance(similarity, np.ndarray):
        return _sparse_without_popularity(similarity, strength)
    off = np.where(np.eye(len(similarity), dtype=bool), 0, similarity)
    mean = off.sum(axis=1) / max(len(off) - 1, 1)
    expected = np.maximum(mean, 1e-12) ** strength
    corrected = divide_by_popularity(off, expected, expected)
    scaled: np.ndarray = corrected * (off.max() / max(corrected.max(), 1e-12))
    return scaled


def _sparse_without_popularity(similarity: csr_array, strength: float) -> csr_array:
    entries = similarity.tocoo()
    row, column = entries.coords
    values = np.where(row == column, 0, entries.data)
    mean = np.bincount(row, values, similarity.shape[0]) / max(similarity.shape[0] - 1, 1)
    expected = np.maximum(mean, 1e-12) ** strength
    corrected = values / (expected[row] * expected[column])
    scaled = corrected * (values.max(initial=0) / max(corrected.max(initial=0), 1e-12))
    without = csr_array((scaled.astype(values.dtype), (row, column)), shape=similarity.shape)
    without.eliminate_zeros()
    return without


def calibration(logits: np.ndarray, similarity: np.ndarray) -> tuple[float, float]:
    """Find the slope (> 0) and shift of the logit that make its sigmoid the expected similarity.

    Least squares over pairs (pairs,) that training has not seen, of many of them over evenly spaced
    ones; the order of scores is kept.

    Examples
    --------
    >>> logits = np.array([-2.0, -1.0, 0.0, 1.0])
    >>> slope, shift = calibration(logits, similarity=expit(0.5 * logits - 1))
    >>> round(slope, 2), round(shift, 2)
    (0.5, -1.0)
    """
    step = math.ceil(len(logits) / MOST_PAIRS)
    logits, similarity = logits[::step], similarity[::step]
    middle, spread = float(logits.mean()), float(logits.std())
    spread = spread if spread > 1e-6 else 1.0  # logits that are all the same
    standard = (logits - middle) / spread

    def loss(free: np.ndarray) -> float:
        return float(np.square(expit(_steepness(free[0]) * standard + free[1]) - similarity).mean())

    level = float(np.clip(logit(similarity.mean()), -MAX_LOGIT, MAX_LOGIT))
    found = minimize(loss, [0.0, level], method="Nelder-Mead", options={"maxiter": 2000})
    slope = _steepness(found.x[0]) / spread
    return slope, float(found.x[1]) - slope * middle


def _steepness(free: float) -> float:
    return float(np.exp(np.clip(free, -10, 10)))


def _itself(target: Tensor) -> Tensor:
    return torch.eye(len(target), dtype=torch.bool, device=target.device)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    kept = torch.where(chosen, values, 0.0)
    return kept.sum() / chosen.sum().clamp(min=1)
