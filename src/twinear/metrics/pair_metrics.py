"""Metrics of a ranking against pairs that are similar or not, for each query.

- `auc`: the probability that a similar candidate has a higher score than another one.
- `recall@20`: the share of the similar candidates among the first 20.
- `ndcg@10`: with a gain of 1 for a similar candidate.

Ties of score are broken at random, so that a constant score ranks by chance. None is defined for a
query without a similar candidate, nor `auc` where all are similar: NaN.
"""

import numpy as np
import numpy.typing as npt

from twinear.metrics.ranking_metrics import Floats, Truth, query_ndcg, ranked

PAIR_METRICS = ("auc", "recall@20", "ndcg@10")
RECALL, NDCG = 20, 10


def pair_metrics(
    truth: Truth, scores: npt.ArrayLike, generator: np.random.Generator
) -> dict[str, Floats]:
    """Evaluate a system's scores, (queries, artists), by every metric of `PAIR_METRICS`.

    In `truth`, a candidate with a similarity above 0 is similar.

    Examples
    --------
    >>> from twinear.metrics.ranking_metrics import rank_truth
    >>> similar, candidates = np.array([[1.0, 0.0, 1.0, 0.0]]), np.ones((1, 4), dtype=np.bool_)
    >>> truth = rank_truth(similar, candidates, 4, np.random.default_rng(0))
    >>> values = pair_metrics(truth, [[0.9, 0.7, 0.5, 0.1]], np.random.default_rng(0))
    >>> values["auc"].tolist(), values["recall@20"].tolist()
    ([0.75], [1.0])
    """
    ndcg = query_ndcg(truth, scores, NDCG, generator)
    order = ranked(scores, truth.candidates, generator)
    similar = np.take_along_axis(truth.similarity > 0, order, axis=1)
    n_similar = similar.sum(axis=1)
    # candidates come first, so that whatever stands before a similar one is a candidate
    others_before = (np.cumsum(~similar, axis=1) * similar).sum(axis=1)
    n_pairs = n_similar * (truth.n_candidates - n_similar)
    found = similar[:, :RECALL].sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return {
            "auc": np.asarray(1 - others_before / n_pairs),
            "recall@20": np.asarray(found / n_similar),
            "ndcg@10": ndcg,
        }
