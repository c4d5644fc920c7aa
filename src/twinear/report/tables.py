"""The report's tables, as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

from twinear.base.text import markdown_table
from twinear.metrics.bootstrap import Interval
from twinear.ranking.listener_results import ListenerEquivalents
from twinear.ranking.listener_table import whole_numbers
from twinear.ranking.ranking import CATALOGUE, CHANCE, CORRECTED_NDCG, HEADLINE, SIAMESE
from twinear.report.inputs import Metrics
from twinear.report.wording import (
    ABOVE,
    BELOW,
    NAMES,
    OPEN,
    STEPS,
    conclude,
    escape,
    interval,
    metric_name,
    number,
    system_name,
)
from twinear.training.keeping import KeepDecision

EMPTY = "–"
MARKS = {ABOVE: " ▲", BELOW: " ▼", OPEN: ""}
OURS = {CATALOGUE: "catalogue", SIAMESE: "network", "l2": "L2", CHANCE: "chance"}
PUBLISHED = ("2019: network", "2019: epoch 5", "2019: L2", "2019: chance")
# The poster of 2019: Last.fm-360K, 49 artists. (measure, n): network, its epoch 5, L2, chance.
POSTER = {
    ("edit", 3): (0.1224, 0.0884, 0.0748, None),
    ("edit", 5): (0.1469, 0.1592, 0.1143, None),
    ("edit", 10): (0.1796, 0.2000, 0.1653, None),
    ("edit", 25): (0.1633, 0.1502, 0.1543, None),
    ("unordered", 3): (0.1293, 0.0952, 0.0748, 0.0625),
    ("unordered", 5): (0.1796, 0.1878, 0.1388, 0.1042),
    ("unordered", 10): (0.3163, 0.3551, 0.3020, 0.2083),
    ("unordered", 25): (0.5731, 0.5976, 0.5543, 0.5208),
}


def is_trivial(metric: str, ranking: Metrics) -> bool:
    """Whether every system, chance included, reaches 1: the metric then distinguishes nothing."""
    values = [metrics[metric] for metrics in ranking.values() if metric in metrics]
    return all(abs(at.value - 1) < 1e-9 for at in values)


def poster_table(ranking: Metrics) -> str:
    """Tabulate our `edit@n` and `unordered@n` beside the poster's."""
    rows = []
    for (measure, n), published in POSTER.items():
        metric = f"{measure}@{n}"
        row = [metric]
        for system in OURS:
            at = ranking.get(system, {}).get(metric)
            row.append(EMPTY if at is None or is_trivial(metric, ranking) else number(at.value, 4))
        row += [EMPTY if value is None else number(value, 4) for value in published]
        rows.append(row)
    return markdown_table(["measure", *OURS.values(), *PUBLISHED], rows)


def ranking_table(ranking: Metrics) -> str:
    """Tabulate every metric of every system, with intervals."""
    systems = ordered(ranking)
    rows = [
        [metric_name(metric), *(_cell(ranking, system, metric) for system in systems)]
        for metric in ranking[CATALOGUE]
    ]
    return markdown_table(["", *map(system_name, systems)], rows)


def popularity_table(ranking: Metrics) -> str:
    """Tabulate NDCG and NDCG corrected for popularity, a system in each row."""
    metrics = (HEADLINE, CORRECTED_NDCG)
    rows = [
        [system_name(system), *(_cell(ranking, system, metric) for metric in metrics)]
        for system in ordered(ranking)
    ]
    return markdown_table(["", *map(metric_name, metrics)], rows)


def _cell(ranking: Metrics, system: str, metric: str) -> str:
    at = ranking[system].get(metric)
    return EMPTY if at is None or is_trivial(metric, ranking) else interval(at)


def listener_table(worth: ListenerEquivalents) -> str:
    """Tabulate what every system is worth in listeners, the ceiling first."""
    rows = [
        [system_name(system), _numbers(at.ndcg), whole_numbers(at.listeners, worth.half)]
        for system in ordered(worth.systems)
        for at in [worth.systems[system]]
    ]
    ceiling = ["ceiling: the other half", _numbers(worth.ceiling), f"{worth.half:,}"]
    return markdown_table(["", metric_name(HEADLINE), "listeners"], [ceiling, *rows])


def _numbers(at: Mapping[str, float]) -> str:
    return interval(Interval(value=at["value"], low=at["low"], high=at["high"]))


def difference_table(differences: Metrics, ranking: Metrics) -> str:
    """Tabulate the catalogue minus each system, marked where the interval excludes 0."""

    def difference(at: Interval | None) -> str:
        return EMPTY if at is None else interval(at, sign="+") + MARKS[conclude(at)]

    systems = ordered(differences)
    rows = [
        [metric_name(metric), *(difference(differences[each].get(metric)) for each in systems)]
        for metric in ranking[CATALOGUE]
        if not is_trivial(metric, ranking)
    ]
    return markdown_table(["", *map(system_name, systems)], rows)


def learning_table(decision: KeepDecision) -> str:
    """Tabulate what each step of learning added on held-out artists; empty where none was tried."""
    rows = [
        [
            STEPS[step.step],
            f"{step.queries:,}",
            EMPTY if step.before is None else number(step.before),
            EMPTY if step.after is None else number(step.after),
            EMPTY if step.difference is None else interval(step.difference, sign="+"),
            "yes" if step.better or decision.keep == "always" else "no",
        ]
        for step in decision.steps
    ]
    ndcg = metric_name(HEADLINE)
    header = ["", "held-out artists", f"{ndcg} before", "after", "added", "kept"]
    return markdown_table(header, rows) if rows else ""


def hubness_table(hubness: Mapping[str, Mapping[str, float]]) -> str:
    """Tabulate how evenly each system recommends the artists."""
    columns = list(dict.fromkeys(key for values in hubness.values() for key in values))
    rows = [
        [system_name(system), *(_plain(hubness[system].get(column)) for column in columns)]
        for system in ordered(hubness)
    ]
    return markdown_table(["", *(column.replace("_", " ") for column in columns)], rows)


def ordered(systems: Mapping[str, object]) -> list[str]:
    """Sort systems for the report: trained ones, baselines, unknown ones, chance.

    Examples
    --------
    >>> ordered({"chance": 0, "mine": 0, "l2": 0, "siamese": 0, "catalogue": 0})
    ['catalogue', 'siamese', 'l2', 'mine', 'chance']
    """
    known = list(NAMES)
    place = {name: known.index(name) if name in known else len(known) - 1.5 for name in systems}
    return sorted(systems, key=place.__getitem__)


def counts_table(counts: Mapping[str, Any]) -> str:
    """Tabulate what a stage counted, nested or not."""
    rows = [[escape(name), _plain(value)] for name, value in _flat(counts)]
    return markdown_table(["", ""], rows)


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, part in value.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(part, Mapping):
            yield from _flat(part, f"{name}, ")
        else:
            yield name, part


def _plain(value: object) -> str:
    if isinstance(value, list):
        words = all(isinstance(word, str) for word in value)
        return escape(", ".join(value)) if words else _plain(len(value))
    if isinstance(value, float) and not value.is_integer():
        return number(value) if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{int(value):,}".replace("-", "−")
    return EMPTY if value is None else escape(str(value))
