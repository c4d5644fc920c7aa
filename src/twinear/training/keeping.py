"""Whether what was trained is better than the untrained scorer, on artists it has not learned from.

Both scorers rank, for every held-out artist, all other artists of training and validation, and the
held-out ones alone. The value of a query is the mean NDCG@10 of the two. What was trained is kept
if the whole confidence interval of the paired difference is above 0.

The held-out artists are those of validation. What is learned in closed form is quick to learn
again: it is cross-fitted, so that every artist of training and validation is held out once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.metrics.ranking_metrics import Floats, query_ndcg, rank_truth

Kept = Literal["trained", "untrained"]
Keep = Literal["better", "always", "never"]
HeldOut = Literal["validation", "cross-fitted", "none"]

NDCG_AT = 10
N_BOOTSTRAP, CONFIDENCE = 2000, 0.95


@dataclass(frozen=True, kw_only=True)
class KeepDecision:
    """Which scorer was kept, and why.

    Attributes
    ----------
    keep
        `training.keep`.
    held_out
        Which artists it was measured on; "none" where nothing was learned.
    queries
        How many of them there are.
    untrained, trained
        Mean NDCG@10 over the queries; None where it was not measured.
    difference
        Trained minus untrained, paired.
    """

    kept: Kept
    keep: Keep
    held_out: HeldOut = "none"
    queries: int = 0
    untrained: float | None = None
    trained: float | None = None
    difference: Interval | None = None


def decide(
    untrained: Floats, trained: Floats, keep: Keep, held_out: HeldOut, seed: int
) -> KeepDecision:
    """Decide from the values of the queries, (queries,); NaN where one is not defined.

    Examples
    --------
    >>> values = np.full(50, 0.3)
    >>> decide(values, values + 0.01, "better", "validation", seed=1).kept
    'trained'
    >>> decide(values, values, "better", "validation", seed=1).kept
    'untrained'
    """
    difference = trained - untrained
    always: Kept = "trained" if keep == "always" else "untrained"
    if not np.isfinite(difference).any():
        return KeepDecision(kept=always, keep=keep, held_out=held_out)
    drawn = resamples(len(difference), N_BOOTSTRAP, np.random.default_rng(seed))
    [interval] = bootstrap(difference[:, None], drawn, CONFIDENCE)
    return KeepDecision(
        kept="trained" if interval.low > 0 else always,
        keep=keep,
        held_out=held_out,
        queries=int(np.isfinite(difference).sum()),
        untrained=float(np.nanmean(untrained)),
        trained=float(np.nanmean(trained)),
        difference=interval,
    )


def query_values(
    scores: Floats, similarity: Floats, held_out: Sequence[int] | np.ndarray, seed: int
) -> Floats:
    """Rank all artists, and the held-out ones, for each held-out artist, (held-out,).

    Parameters
    ----------
    scores, similarity
        (artists, artists).
    held_out
        Rows of the queries.
    """
    rows = np.asarray(held_out)
    others = np.arange(len(scores)) != rows[:, None]
    together = others & np.isin(np.arange(len(scores)), rows)
    values = []
    for candidates in (others, together):
        if not candidates.any(axis=1).all():
            continue  # one held-out artist has no other beside it
        rng = np.random.default_rng(seed)
        truth = rank_truth(similarity[rows], candidates, NDCG_AT, rng)
        values.append(query_ndcg(truth, scores[rows], NDCG_AT, rng))
    return np.asarray(np.mean(values, axis=0))
