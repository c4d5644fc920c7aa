"""The report's tables, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twinear.metrics.bootstrap import Interval
from twinear.ranking.ranking import CHANCE, CORRECTED_NDCG
from twinear.report.inputs import MODEL, Metrics
from twinear.report.wording import (
    ABOVE,
    BELOW,
    HEADLINE,
    NAMES,
    OPEN,
    escape,
    metric_name,
    number,
    signed,
    system_name,
    verdict,
)

NONE = "–"  # a cell that says nothing
MARKS = {ABOVE: " ▲", BELOW: " ▼", OPEN: ""}

OURS = ("model", "L2", "chance")
PUBLISHED = ("2019: model", "2019: epoch 5", "2019: L2", "2019: chance")
# The poster of 2019: Last.fm-360K, 49 artists. (measure, n): model, its epoch 5, L2, chance.
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


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Write a Markdown table; the first `left` columns are text, the others figures."""
    rules = [":--" if column < left else "--:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rules, *rows))


def trivial(metric: str, ranking: Metrics) -> bool:
    """Tell whether every system, chance included, has a perfect 1: the metric then asks nothing."""
    values = [metrics[metric] for metrics in ranking.values() if metric in metrics]
    return all(abs(each.value - 1) < 1e-9 for each in values)


def poster_table(ranking: Metrics) -> str:
    """Tabulate our `edit@n` and `unordered@n` beside the poster's."""
    header = ["measure", *OURS, *PUBLISHED]
    rows = []
    for (measure, n), published in POSTER.items():
        metric = f"{measure}@{n}"
        ours = [_value(ranking, system, metric) for system in (MODEL, "l2", CHANCE)]
        theirs = [NONE if each is None else number(each, 4) for each in published]
        rows.append([metric, *ours, *theirs])
    return markdown_table(header, rows)


def _value(ranking: Metrics, system: str, metric: str) -> str:
    at = ranking.get(system, {}).get(metric)
    return NONE if at is None or trivial(metric, ranking) else number(at.value, 4)


def ranking_table(ranking: Metrics) -> str:
    """Tabulate every metric of every system, with intervals."""
    systems = ordered(ranking)
    rows = [
        [metric_name(metric), *(_cell(ranking, system, metric) for system in systems)]
        for metric in ranking[MODEL]
    ]
    return markdown_table(["", *map(system_name, systems)], rows)


def popularity_table(ranking: Metrics) -> str:
    """Tabulate NDCG beside the same corrected for popularity, a system a row."""
    metrics = (HEADLINE, CORRECTED_NDCG)
    rows = [
        [system_name(system), *(_cell(ranking, system, metric) for metric in metrics)]
        for system in ordered(ranking)
    ]
    return markdown_table(["", *map(metric_name, metrics)], rows)


def _cell(ranking: Metrics, system: str, metric: str) -> str:
    at = ranking[system].get(metric)
    if at is None or trivial(metric, ranking):
        return NONE
    return f"{number(at.value)} ({number(at.low)}–{number(at.high)})"


def difference_table(differences: Metrics, ranking: Metrics) -> str:
    """Tabulate the model minus each baseline, marked where the interval leaves 0 out."""
    baselines = ordered(differences)
    rows = [
        [metric_name(metric), *(_difference(differences[each].get(metric)) for each in baselines)]
        for metric in ranking[MODEL]
        if not trivial(metric, ranking)
    ]
    return markdown_table(["", *map(system_name, baselines)], rows)


def _difference(at: Interval | None) -> str:
    if at is None:
        return NONE
    return f"{signed(at.value)} ({signed(at.low)} to {signed(at.high)}){MARKS[verdict(at)]}"


def hubness_table(hubness: Mapping[str, Mapping[str, float]]) -> str:
    """Tabulate how evenly each system's lists use the artists."""
    columns = list(dict.fromkeys(key for values in hubness.values() for key in values))
    rows = [
        [system_name(system), *(_plain(hubness[system].get(column)) for column in columns)]
        for system in ordered(hubness)
    ]
    return markdown_table(["", *(each.replace("_", " ") for each in columns)], rows)


def ordered(systems: Mapping[str, object]) -> list[str]:
    """Put systems in the order of the report: the model, baselines, unknown ones, chance."""
    known = list(NAMES)
    place = {name: known.index(name) if name in known else len(known) - 1.5 for name in systems}
    return sorted(systems, key=place.__getitem__)


def counts_table(counts: Mapping[str, Any]) -> str:
    """Tabulate whatever a stage counted, nested as it may be."""
    rows = [[escape(name), _plain(value)] for name, value in _flat(counts)]
    return markdown_table(["", ""], rows)


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(each, Mapping):
            yield from _flat(each, f"{name}, ")
        else:
            yield name, each


def _plain(value: object) -> str:
    if isinstance(value, list):
        words = all(isinstance(each, str) for each in value)
        return escape(", ".join(value)) if words else _plain(len(value))
    if isinstance(value, float) and not value.is_integer():
        return number(value) if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{int(value):,}".replace("-", "−")
    return NONE if value is None else escape(str(value))
