"""The rule by which a challenger becomes champion: a pure function of numbers.

A challenger must always rank better than chance, and must not be worse than the untrained scorer:
the upper bound of the mean paired difference of NDCG@10 must not be below zero. Against a champion,
query by query:

- on the same held-out queries it must be better: the lower bound of the mean paired difference of
  NDCG@10 is above zero, by bootstrap and by Student's t. Where few queries differ at all, as
  between two seeds of one training, a bootstrap calls 1.3 standard errors certain;
- if the held-out queries changed with the data, it may be worse by less than a margin: the lower
  bound is above minus the margin. A scorer of the present data is worth a little. But then the new
  data themselves may be wrong, and a champion cannot tell: it ranks as badly. So the challenger
  must rank far above the same scores with shuffled labels, by `min_deviations` of their standard
  deviations.

Intervals are percentile bootstraps over the queries, with the same resamples for every difference.
They take queries as independent, which is good enough for two scorers that rank the same artists,
and too narrow for the lead on chance: the queries share their candidates, and a lucky match of a
few artists lifts them all. Shuffling keeps what they share. In simulated retrainings
(`benchmarks/simulated_retraining.py`) the interval alone took luck for knowledge too often.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import Field
from scipy.stats import t as student

from twinear.base.errors import DataError
from twinear.base.params import Params
from twinear.base.text import format_interval
from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import RankingParams

ROUNDING = 1e-12


class PromotionParams(Params):
    """The conditions of a promotion."""

    margin: float = Field(ge=0)
    min_queries: int = Field(ge=3)
    max_asymmetry: float = Field(gt=0)
    min_planted: float = Field(ge=-1, le=1)
    min_deviations: float = Field(ge=0)
    n_shuffles: int = Field(ge=20)


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryNdcg:
    """NDCG@10 of each held-out query, (queries,) if not said; NaN where it is not defined."""

    challenger: Floats
    chance: Floats  # the mean over random rankings
    # (n_shuffles,): mean over the queries where the labels of the challenger's scores are shuffled
    shuffled: Floats
    champion: Floats | None  # None if there is no champion to compare with
    untrained: Floats | None  # by the untrained scorer of the present clips; None: not compared
    same_queries: bool  # the champion was promoted on these same queries, truth and clips


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """Whether the challenger becomes champion, the reason, and the numbers."""

    promoted: bool
    reason: str
    numbers: dict[str, float]


def decide(ndcg: QueryNdcg, rule: PromotionParams, params: RankingParams) -> RuleOutcome:
    """Apply the rule; `DataError` if no query has a defined NDCG."""
    margin = rule.margin
    lead = _difference(ndcg.challenger, ndcg.chance, params)
    systems = {
        "challenger": ndcg.challenger,
        "chance": ndcg.chance,
        "untrained": ndcg.untrained,
        "champion": ndcg.champion,
    }
    numbers = {
        name: float(np.nanmean(values)) for name, values in systems.items() if values is not None
    }
    numbers |= {"queries": float(np.isfinite(ndcg.challenger).sum()), **_bounds("lead", lead)}
    above = numbers["challenger"] - float(ndcg.shuffled.mean())
    numbers["deviations"] = above / max(float(ndcg.shuffled.std(ddof=1)), ROUNDING)
    if lead.low <= 0:
        reason = f"not better than chance: {_format(lead)}"
        return RuleOutcome(promoted=False, reason=reason, numbers=numbers)
    if ndcg.untrained is not None:
        gain = _difference(ndcg.challenger, ndcg.untrained, params)
        numbers |= _bounds("gain", gain)
        if gain.high < 0:
            reason = f"worse than the untrained scorer: {_format(gain)}"
            return RuleOutcome(promoted=False, reason=reason, numbers=numbers)
    if ndcg.champion is None:
        reason = f"no champion to compare with, better than chance: {_format(lead)}"
        return RuleOutcome(promoted=True, reason=reason, numbers=numbers)
    if not ndcg.same_queries and numbers["deviations"] < rule.min_deviations:
        reason = (
            f"the data changed, and it is not clearly above shuffled labels: NDCG@10 {above:+.3f}, "
            f"{numbers['deviations']:.1f} standard deviations, least {rule.min_deviations:g}"
        )
        return RuleOutcome(promoted=False, reason=reason, numbers=numbers)
    difference = _difference(ndcg.challenger, ndcg.champion, params)
    numbers |= _bounds("difference", difference)
    better = difference.low > 0 and _exceeds_error(ndcg.challenger - ndcg.champion, params)
    promoted = better if ndcg.same_queries else difference.low > -margin
    if better:
        reason = "better than the champion"
    elif ndcg.same_queries:
        reason = "not better than the champion on the same queries"
    elif promoted:
        reason = f"the data changed, and not worse by more than {margin:g}"
    else:
        reason = f"the data changed, but it may be worse by more than {margin:g}"
    reason = f"{reason}: {_format(difference)}"
    return RuleOutcome(promoted=promoted, reason=reason, numbers=numbers)


def _difference(first: Floats, second: Floats, params: RankingParams) -> Interval:
    """The mean paired difference over the queries for which it is defined."""
    differences = first - second
    differences = differences[np.isfinite(differences)]
    if not differences.size:
        remedy = "add listens, or enlarge the test split"
        raise DataError("promotion", "NDCG@10 is defined for no held-out query", remedy=remedy)
    drawn = resamples(len(differences), params.n_bootstrap, params.generator("bootstrap"))
    (interval,) = bootstrap(differences[:, None], drawn, params.confidence)
    return interval


def _exceeds_error(differences: Floats, params: RankingParams) -> bool:
    """Whether the mean is above 0 by Student's t as well, at the same confidence."""
    defined = differences[np.isfinite(differences)]
    error = float(defined.std(ddof=1)) / math.sqrt(len(defined))
    return float(defined.mean()) > error * student.ppf(
        (1 + params.confidence) / 2, len(defined) - 1
    )


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _format(interval: Interval) -> str:
    return f"NDCG@10 {format_interval(**asdict(interval), sign='+')}"
