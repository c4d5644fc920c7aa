"""The ranking as a plain text table, for a terminal of 100 columns."""

from twinear.base.text import format_interval, text_table
from twinear.ranking.summary import MetricTable, Numbers

SHOWN = {"ndcg@10": "NDCG@10", "unordered@10": "unordered@10", "mrr": "MRR"}
COMPARED = "ndcg@10"  # the metric whose difference is shown
NOTE = "Mean over the test artists [interval]; for chance the band that random rankings fall in."


def format_table(ranking: MetricTable, differences: MetricTable | None = None) -> str:
    """Lay out a few metrics of every system, and the lead of the first over each other.

    The arguments are the content of `reports/ranking.json` and `reports/differences.json`; without
    the second the column of the leads is left out.
    """
    header, notes = ["", *SHOWN.values()], [NOTE]
    rows = [
        [system, *(format_numbers(metrics[name]) for name in SHOWN)]
        for system, metrics in ranking.items()
    ]
    if differences is not None:
        header.append(f"{next(iter(ranking))} ahead, {SHOWN[COMPARED]}")
        for row in rows:
            if row[0] in differences:
                row.append(format_lead(differences[row[0]][COMPARED]))
        notes.append("* the interval of the paired difference excludes zero.")
    return "\n".join([text_table(header, rows), "", *notes])


def format_numbers(numbers: Numbers, sign: str = "") -> str:
    """Write a value and its interval."""
    return format_interval(numbers["value"], numbers["low"], numbers["high"], sign=sign)


def format_lead(numbers: Numbers) -> str:
    """Write a difference and its interval, starred where that excludes zero."""
    certain = numbers["low"] > 0 or numbers["high"] < 0
    return format_numbers(numbers, sign="+") + (" *" if certain else "")
