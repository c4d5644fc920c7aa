"""From values per query to the numbers in `reports/`: means, intervals, differences, hubs."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pandas as pd

from twinear.base.errors import DataError
from twinear.metrics.bootstrap import Interval, band, bootstrap, resamples
from twinear.metrics.hubness import hubness
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import CHANCE, RankingParams, Systems

Numbers = dict[str, float]
Summary = dict[str, dict[str, Numbers]]  # system -> metric -> value, low, high
DIGITS = 6


def summarise(
    queries: pd.DataFrame, chance: Mapping[str, Floats], params: RankingParams
) -> Summary:
    """The mean of every metric over the queries, with its interval.

    The interval of a system says how the mean would vary with other queries. That of chance is
    the central band of the means of single random rankings of these same queries: a system inside
    it has not been told from a random one.

    Parameters
    ----------
    queries
        What `judge` returns.
    chance
        Metric -> (n_chance, queries), of `random_rankings`.

    Raises
    ------
    DataError
        A metric that is defined for no query.
    """
    table = _wide(queries)
    summary = _intervals(table, params)
    bands = {metric: band(each, params.confidence) for metric, each in chance.items()}
    return summary | {CHANCE: {metric: _rounded(each) for metric, each in bands.items()}}


def differences(queries: pd.DataFrame, params: RankingParams) -> Summary:
    """The first system minus each other, query by query: baseline -> metric -> interval."""
    table = _wide(queries)
    first, *baselines = table.columns.unique("system")
    apart = {other: table[first] - table[other] for other in baselines}
    return _intervals(pd.concat(apart, axis=1, names=["system"]), params)


def paired_differences(queries: pd.DataFrame, params: RankingParams) -> dict[str, Summary]:
    """Each system minus each later one, query by query: system -> other -> metric -> interval."""
    table = _wide(queries)
    pairs = list(combinations(table.columns.unique("system"), 2))
    apart = {pair: table[pair[0]] - table[pair[1]] for pair in pairs}
    joined = pd.concat({" ".join(map(str, pair)): each for pair, each in apart.items()}, axis=1)
    found = _intervals(joined, params)
    differences: dict[str, Summary] = {}
    for (system, other), numbers in zip(pairs, found.values(), strict=True):
        differences.setdefault(str(system), {})[str(other)] = numbers
    return differences


def as_metrics(summary: Summary) -> dict[str, float]:
    """One level of names, `system/metric`, with `_low` and `_high`, for experiment tracking."""
    return {
        f"{system}/{metric}{'' if part == 'value' else f'_{part}'}": value
        for system, metrics in summary.items()
        for metric, numbers in metrics.items()
        for part, value in numbers.items()
    }


def headline(summary: Summary) -> dict[str, float]:
    """NDCG@10 of the first system, under a name short enough to sort runs by."""
    numbers = next(iter(summary.values()))["ndcg@10"]
    ends = {f"ndcg@10_{end}": numbers[end] for end in ("low", "high")}
    return {"ndcg@10": numbers["value"]} | ends


def undefined(queries: pd.DataFrame) -> dict[str, int]:
    """How many queries each metric is not defined for; those that all have are left out."""
    lacking = queries[queries["value"].isna()].groupby("metric", sort=False)["query"].nunique()
    return {str(metric): int(count) for metric, count in lacking.items()}


def hubs(systems: Systems, params: RankingParams) -> dict[str, Numbers]:
    """The hubness of every system over all its artists; chance is a constant score."""
    first, *rest = systems.scores
    scores = {first: systems.scores[first], CHANCE: np.zeros(systems.truth.shape)}
    scores |= {system: systems.scores[system] for system in rest}
    found = {each: hubness(scores[each], params.generator("hubness")) for each in scores}
    return {
        system: {name: round(value, DIGITS) for name, value in asdict(each).items()}
        for system, each in found.items()
    }


def _wide(queries: pd.DataFrame) -> pd.DataFrame:
    """One row for each query, columns (system, metric), all in the order of the long table."""
    index = queries.set_index(["query", "system", "metric"])["value"]
    return index.unstack(["system", "metric"], sort=False)  # noqa: PD010 (a pivot drops NaN)


def _intervals(table: pd.DataFrame, params: RankingParams) -> Summary:
    values = table.to_numpy(dtype=np.float64)  # (queries, systems * metrics)
    names = list(map(tuple, table.columns))
    lacking = np.isnan(values).all(axis=0)
    if lacking.any():
        raise DataError(
            "similarity of the test artists",
            f"{names[int(lacking.argmax())][1]} is defined for none of {len(table)} queries",
            expected="some that share more listeners with one artist than with another",
            remedy="bring more listens or a larger test split",
        )
    drawn = resamples(len(table), params.n_bootstrap, params.generator("bootstrap"))
    found = bootstrap(values, drawn, params.confidence)
    summary: Summary = {}
    for (system, metric), each in zip(names, found, strict=True):
        summary.setdefault(system, {})[metric] = _rounded(each)
    return summary


def _rounded(interval: Interval) -> Numbers:
    return {name: round(value, DIGITS) + 0.0 for name, value in asdict(interval).items()}
