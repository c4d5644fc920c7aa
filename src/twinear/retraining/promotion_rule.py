"""The rule by which a challenger becomes champion: a pure function of numbers.

A challenger must rank better than chance, always. Against a champion, query by query:

- on the same held-out queries it must be better: the lower bound of the mean paired difference of
  NDCG@10 is above zero;
- when the held-out queries changed with the data, it may be worse by less than a margin: the lower
  bound is above minus the margin. A scorer of today's data is worth a little.

Intervals are percentile bootstraps over the queries, the same resamples for every difference.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from twinear.base.errors import DataError
from twinear.base.params import Params
from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import RankingParams


class PromotionParams(Params):
    """What a challenger must show."""

    margin: float = Field(ge=0)
    min_queries: int = Field(ge=3)
    max_asymmetry: float = Field(gt=0)
    min_planted: float = Field(ge=-1, le=1)
    n_shuffles: int = Field(ge=20)


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """NDCG@10 of each held-out query, (queries,); NaN where it is not defined.

    Parameters
    ----------
    chance
        The mean over random rankings.
    champion
        None: there is none yet.
    same
        Whether the champion was promoted on these same queries, truth and clips.
    """

    challenger: Floats
    chance: Floats
    champion: Floats | None
    same: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the challenger becomes champion, why, and the numbers behind it."""

    promoted: bool
    reason: str
    numbers: dict[str, float]


def decide(match: Match, margin: float, params: RankingParams) -> Verdict:
    """Apply the rule.

    Raises
    ------
    DataError
        No query has a defined NDCG.
    """
    lead = _difference(match.challenger, match.chance, params)
    numbers = _means(match) | _named("lead", lead)
    if lead.low <= 0:
        return Verdict(
            promoted=False, reason=f"not better than chance: {_told(lead)}", numbers=numbers
        )
    if match.champion is None:
        reason = f"the first champion, better than chance: {_told(lead)}"
        return Verdict(promoted=True, reason=reason, numbers=numbers)
    apart = _difference(match.challenger, match.champion, params)
    numbers |= _named("difference", apart)
    promoted, reason = _against(apart, margin, same=match.same)
    return Verdict(promoted=promoted, reason=reason, numbers=numbers)


def _against(apart: Interval, margin: float, *, same: bool) -> tuple[bool, str]:
    if apart.low > 0:
        return True, f"better than the champion: {_told(apart)}"
    if same:
        return False, f"not better than the champion on the same queries: {_told(apart)}"
    if apart.low > -margin:
        return True, f"the data changed, and not worse by more than {margin:g}: {_told(apart)}"
    return False, f"the data changed, but it may be worse by more than {margin:g}: {_told(apart)}"


def _difference(one: Floats, other: Floats, params: RankingParams) -> Interval:
    apart = one - other
    apart = apart[np.isfinite(apart)]
    if not apart.size:
        raise DataError(
            "promotion",
            "NDCG@10 is defined for no held-out query",
            remedy="bring more listens or a larger test split",
        )
    drawn = resamples(len(apart), params.n_bootstrap, params.generator("bootstrap"))
    (interval,) = bootstrap(apart[:, None], drawn, params.confidence)
    return interval


def _means(match: Match) -> dict[str, float]:
    systems = {"challenger": match.challenger, "chance": match.chance, "champion": match.champion}
    found = {name: float(np.nanmean(each)) for name, each in systems.items() if each is not None}
    return found | {"queries": float(np.isfinite(match.challenger).sum())}


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _told(interval: Interval) -> str:
    value, low, high = (f"{each:+.3f}" for each in (interval.value, interval.low, interval.high))
    return f"NDCG@10 {value} [{low}, {high}]"
