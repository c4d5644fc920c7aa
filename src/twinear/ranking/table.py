"""The ranking as a plain text table, for people at a terminal of 100 columns."""

from itertools import zip_longest

from twinear.ranking.summary import Numbers, Summary

SHOWN = {"ndcg@10": "NDCG@10", "unordered@10": "unordered@10", "mrr": "MRR"}
CHOSEN = "ndcg@10"  # the metric whose difference is shown
NOTE = "Mean over the test artists [interval]; for chance the band that random rankings stay in."


def format_table(ranking: Summary, differences: Summary | None = None) -> str:
    """Lay out a few metrics of every system, and how far the first is ahead of each other.

    Parameters
    ----------
    ranking
        The content of `reports/ranking.json`.
    differences
        The content of `reports/differences.json`; without it that column is left out.
    """
    first = next(iter(ranking))
    head = ["", *SHOWN.values()]
    rows = [
        [system, *(cell(metrics[name]) for name in SHOWN)] for system, metrics in ranking.items()
    ]
    if differences is not None:
        head.append(f"{first} ahead, {SHOWN[CHOSEN]}")
        for row in rows:
            row.append(lead(differences[row[0]][CHOSEN]) if row[0] in differences else "")
    return "\n".join([*align([head, *rows]), "", NOTE, *_legend(differences)])


def _legend(differences: Summary | None) -> list[str]:
    return [] if differences is None else ["* the interval of the paired difference excludes zero."]


def cell(numbers: Numbers, sign: str = "") -> str:
    """A value and its interval: `.268 [.250, .285]`."""
    value, low, high = (figure(numbers[each], sign) for each in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def lead(numbers: Numbers) -> str:
    """A difference and its interval, starred where that excludes zero."""
    certain = numbers["low"] > 0 or numbers["high"] < 0
    return cell(numbers, "+") + (" *" if certain else "")


def figure(value: float, sign: str = "") -> str:
    """Three digits without the leading zero, as in `.268`, `-.031` or `1.00`."""
    text = f"{value:{sign}.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text[:-1]


def align(rows: list[list[str]], gap: int = 3) -> list[str]:
    """Columns side by side, `gap` apart, with a rule under the first row."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = ((" " * gap).join(map(str.ljust, row, widths)).rstrip() for row in rows)
    head, *body = lines
    return [head, "-" * max(map(len, [head, *body])), *body]
