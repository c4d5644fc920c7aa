"""What systems are worth in listeners, as a plain text table for a terminal of 100 columns."""

from twinear.base.text import text_table
from twinear.ranking.listener_results import ListenerEquivalents
from twinear.ranking.summary import Numbers
from twinear.ranking.table import format_numbers


def format_listeners(worth: ListenerEquivalents, title: str) -> str:
    """Lay out the systems, best first, with the ceiling above them."""
    systems = sorted(worth.systems.items(), key=lambda each: -each[1].ndcg["value"])
    rows = [
        [name, format_numbers(each.ndcg), whole_numbers(each.listeners, worth.half)]
        for name, each in systems
    ]
    rows.insert(0, ["ceiling: the other half", format_numbers(worth.ceiling), f"{worth.half:,}"])
    header = [
        f"judged by {worth.half:,} listeners",
        "NDCG@10",
        f"worth listeners of {worth.half:,}",
    ]
    sampled = f"{worth.sampled:,} of " if worth.sampled < worth.listeners else ""
    facts = f"{sampled}{worth.listeners:,} listeners halved {worth.draws} times"
    if worth.queries < worth.artists:
        facts += f", {worth.queries:,} of {worth.artists:,} queries"
    return f"{title}; {facts}\n{text_table(header, rows, gap=2)}"


def whole_numbers(numbers: Numbers, half: int) -> str:
    """Write numbers of listeners with their interval; at the ends of the curve as bounds.

    Examples
    --------
    >>> whole_numbers({"value": 80.6, "low": 61.2, "high": 102.0}, 940)
    '81 [61, 102]'
    >>> whole_numbers({"value": 1.0, "low": 1.0, "high": 940.0}, 940)
    '≤ 1 [≤ 1, ≥ 940]'
    """
    value, low, high = (_bounded(numbers[part], half) for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _bounded(value: float, half: int) -> str:
    sign = "≤ " if value <= 1 else "≥ " if value >= half else ""
    return f"{sign}{value:,.0f}"
