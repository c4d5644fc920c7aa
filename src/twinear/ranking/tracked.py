"""The figures of a ranking for experiment tracking: few, and of the system under test alone.

A page of runs is read in seconds if a run has one figure to be ranked by and few others. All
measures of all systems are in one table beside them.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from twinear.ranking.key_figures import best_baseline
from twinear.ranking.ranking import CORRECTED_NDCG, HEADLINE, SIAMESE
from twinear.ranking.summary import MetricTable, Numbers
from twinear.ranking.table import format_numbers

SHOWN = (HEADLINE, CORRECTED_NDCG, "recall@10", "map", "mrr", "unordered@10")
LEAD = "lead_on_best_baseline"


def tracked_metrics(
    summary: MetricTable, differences: MetricTable, hubs: Mapping[str, Numbers]
) -> dict[str, float]:
    """Name the figures of the first system: some measures with their intervals, lead, hubs.

    Parameters
    ----------
    summary, differences, hubs
        As `ranking.json`, `differences.json` and `hubness.json` hold them.

    Returns
    -------
    Name -> value; `_low` and `_high` end the names of the ends of an interval. The lead is that of
    NDCG@10 on the baseline with the highest; it is left out where there is no baseline.
    """
    first = next(iter(summary))
    named = interval_metrics(summary[first], SHOWN)
    if SIAMESE in summary and first != SIAMESE:
        named |= interval_metrics(summary[SIAMESE], [HEADLINE], f"{SIAMESE}/")
    best = best_baseline(summary)
    if best in differences:
        named |= interval_metrics({LEAD: differences[best][HEADLINE]}, [LEAD])
    return named | hubs[first]


def interval_metrics(
    metrics: Mapping[str, Numbers], names: Sequence[str], prefix: str = ""
) -> dict[str, float]:
    """Name value and interval of some measures, those that there are.

    Examples
    --------
    >>> interval_metrics({"mrr": {"value": 0.5, "low": 0.4, "high": 0.6}}, ["mrr", "map"], "all/")
    {'all/mrr': 0.5, 'all/mrr_low': 0.4, 'all/mrr_high': 0.6}
    """
    return {
        f"{prefix}{name}{'' if part == 'value' else f'_{part}'}": value
        for name in names
        if name in metrics
        for part, value in metrics[name].items()
    }


def tabulate_systems(summary: MetricTable) -> pd.DataFrame:
    """Lay out every measure of every system: a row for each measure, a column for each system.

    The measures that are tracked come first.

    Examples
    --------
    >>> interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    >>> print(tabulate_systems({"l2": {"mrr": interval}, "chance": {"mrr": interval}}))
      measure                 l2             chance
    0     mrr  .500 [.400, .600]  .500 [.400, .600]
    """
    every = dict.fromkeys(measure for metrics in summary.values() for measure in metrics)
    measures = [name for name in SHOWN if name in every]
    measures += [name for name in every if name not in SHOWN]
    rows = [
        {
            "measure": measure,
            **{
                system: format_numbers(metrics[measure])
                for system, metrics in summary.items()
                if measure in metrics
            },
        }
        for measure in measures
    ]
    return pd.DataFrame(rows)
