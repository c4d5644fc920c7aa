"""From values for each query to the numbers in `reports/`: means, intervals, differences, hubs."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pandas as pd

from twinear.base.errors import DataError
from twinear.metrics.bootstrap import Interval, band, bootstrap, resamples
from twinear.metrics.hubness import hubness
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import CHANCE, RankingParams, with_chance

Numbers = dict[str, float]
MetricTable = dict[str, dict[str, Numbers]]  # system -> metric -> value, low, high
# what stands in the place of a table of metrics, where there are no listens
NOTE = "note"
NO_TRUTH = {NOTE: "no listens: nothing to judge by"}
DIGITS = 6  # of the numbers in reports


def summarise(
    queries: pd.DataFrame, chance: Mapping[str, Floats], params: RankingParams
) -> MetricTable:
    """Average every metric over the queries, with its interval.

    The interval of a system shows how the mean would vary with other queries. That of chance is
    the central band of the means of single random rankings of these same queries: a system inside
    it cannot be distinguished from a random one. `queries` is the result of `evaluate_queries`,
    `chance` that of `random_rankings`: metric -> (draws, queries).

    Raises
    ------
    DataError
        A metric that is defined for no query.
    """
    summary = _intervals(_wide(queries), params)
    bands = {metric: band(drawn, params.confidence) for metric, drawn in chance.items()}
    return summary | {CHANCE: {metric: _rounded(each) for metric, each in bands.items()}}


def differences(queries: pd.DataFrame, params: RankingParams) -> MetricTable:
    """Subtract each system from the first, query by query: system -> metric -> interval."""
    table = _wide(queries)
    first, *rest = table.columns.unique("system")
    leads = {other: table[first] - table[other] for other in rest}
    return _intervals(pd.concat(leads, axis=1, names=["system"]), params)


def paired_differences(queries: pd.DataFrame, params: RankingParams) -> dict[str, MetricTable]:
    """Subtract each later system from each: system -> other -> metric -> interval."""
    table = _wide(queries)
    pairs = list(combinations(table.columns.unique("system"), 2))
    leads = {f"{system} {other}": table[system] - table[other] for system, other in pairs}
    intervals = _intervals(pd.concat(leads, axis=1), params)
    by_system: dict[str, MetricTable] = {}
    for (system, other), numbers in zip(pairs, intervals.values(), strict=True):
        by_system.setdefault(str(system), {})[str(other)] = numbers
    return by_system


def count_undefined(queries: pd.DataFrame) -> dict[str, int]:
    """Count the queries that a metric is not defined for; without the metrics that always are."""
    undefined = queries[queries["value"].isna()].groupby("metric", sort=False)["query"].nunique()
    return {str(metric): int(count) for metric, count in undefined.items()}


def measure_hubness(scores: Mapping[str, Floats], params: RankingParams) -> dict[str, Numbers]:
    """Measure the hubness of every system over all its artists; chance is a constant score.

    `scores` are system -> (artists, artists), a row for each query.
    """
    constant = np.zeros_like(next(iter(scores.values())))
    measured = {
        system: asdict(hubness(table, params.generator("hubness")))
        for system, table in with_chance(scores, constant).items()
    }
    return {
        system: {name: round(value, DIGITS) for name, value in measures.items()}
        for system, measures in measured.items()
    }


def _wide(queries: pd.DataFrame) -> pd.DataFrame:
    """Make one row for each query, columns (system, metric), all in the order of the long table."""
    index = queries.set_index(["query", "system", "metric"])["value"]
    return index.unstack(["system", "metric"], sort=False)  # noqa: PD010 (a pivot drops NaN)


def _intervals(table: pd.DataFrame, params: RankingParams) -> MetricTable:
    values = table.to_numpy(dtype=np.float64)  # (queries, systems * metrics)
    names = list(map(tuple, table.columns))
    undefined = np.isnan(values).all(axis=0)
    if undefined.any():
        raise DataError(
            "similarity of the test artists",
            f"{names[int(undefined.argmax())][1]} is defined for none of {len(table)} queries",
            expected="queries that share more listeners with one artist than with another",
            remedy="bring more listens or a larger test split",
        )
    drawn = resamples(len(table), params.n_bootstrap, params.generator("bootstrap"))
    computed = bootstrap(values, drawn, params.confidence)
    intervals: MetricTable = {}
    for (system, metric), interval in zip(names, computed, strict=True):
        intervals.setdefault(system, {})[metric] = _rounded(interval)
    return intervals


def _rounded(interval: Interval) -> Numbers:
    return {name: round(value, DIGITS) + 0.0 for name, value in asdict(interval).items()}  # no -0.0
