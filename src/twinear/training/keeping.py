"""Whether what was learned is better than the untrained scorer, on artists it has not learned from.

Candidates come in order: the untrained scorer, what gradient descent made of it, then listener
factors with rising weights. Each ranks, for every held-out artist, all other artists of training
and validation, and the held-out ones alone. The value of a query is the mean NDCG@10 of the two.

- A network is trained once, and the held-out artists are those of validation. What was learned is
  kept if the whole confidence interval of the paired difference from untrained is above 0.
- What is learned in closed form alone is quick to learn again: it is cross-fitted, so that every
  artist is held out once, and taken by the one-standard-error rule: the first candidate within one
  standard error of the best, paired (Breiman et al., "Classification and regression trees", 1984,
  where it chooses the size of a tree). On real and on planted music it gained more than a whole
  interval at no more risk; see the lab book.
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
ROUNDING = 1e-12


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
        Mean NDCG@10 over the queries of the untrained scorer, and of what was learned at its best;
        None where it was not measured.
    difference
        Trained minus untrained, paired.
    factors_weight
        Of listener factors in the scorer that was kept; 0: none.
    """

    kept: Kept
    keep: Keep
    held_out: HeldOut = "none"
    queries: int = 0
    untrained: float | None = None
    trained: float | None = None
    difference: Interval | None = None
    factors_weight: float = 0.0


def choose(values: Floats) -> int:
    """Choose the first candidate within one paired standard error of the best.

    Parameters
    ----------
    values
        (candidates, queries); a query that is not defined (NaN) for one is ignored.

    Examples
    --------
    >>> choose(np.array([[0.1, 0.5, 0.3], [0.2, 0.6, 0.4], [0.2, 0.59, 0.42]]))
    1
    """
    defined = values[:, np.isfinite(values).all(axis=0)]
    if defined.shape[1] < 2:
        return 0
    behind = defined[defined.mean(axis=1).argmax()] - defined
    error = behind.std(axis=1, ddof=1) / np.sqrt(defined.shape[1])
    return int(np.argmax(behind.mean(axis=1) <= error + ROUNDING))


def decide(values: Floats, keep: Keep, held_out: HeldOut, seed: int) -> tuple[KeepDecision, int]:
    """Decide from the values of the candidates, (candidates, queries); the first is untrained.

    Returns
    -------
    The decision, and the row of the candidate that is kept.

    Examples
    --------
    >>> better = np.stack([np.full(50, 0.3), np.full(50, 0.31)])
    >>> decision, row = decide(better, "better", "validation", seed=1)
    >>> decision.kept, row
    ('trained', 1)
    >>> decide(better[[0, 0]], "better", "validation", seed=1)[1]
    0
    """
    learned = 1 + choose(values[1:])
    difference = values[learned] - values[0]
    if not np.isfinite(difference).any():
        row = learned if keep == "always" else 0
        return KeepDecision(kept="trained" if row else "untrained", keep=keep), row
    drawn = resamples(len(difference), N_BOOTSTRAP, np.random.default_rng(seed))
    [interval] = bootstrap(difference[:, None], drawn, CONFIDENCE)
    better = choose(values) > 0 if held_out == "cross-fitted" else interval.low > 0
    row = learned if better or keep == "always" else 0
    decision = KeepDecision(
        kept="trained" if row else "untrained",
        keep=keep,
        held_out=held_out,
        queries=int(np.isfinite(difference).sum()),
        untrained=float(np.nanmean(values[0])),
        trained=float(np.nanmean(values[learned])),
        difference=interval,
    )
    return decision, row


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
