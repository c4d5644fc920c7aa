"""Names, numbers, intervals and tables as text: the one place that decides how they look."""

import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest


def one_line(text: str | None) -> str:
    r"""Return a text on one line, in composed Unicode; file systems may store accents separately.

    Examples
    --------
    >>> one_line("Sigur  Ro\N{COMBINING ACUTE ACCENT}s\n(live)")
    'Sigur Rós (live)'
    """
    return unicodedata.normalize("NFC", " ".join((text or "").replace("\0", " ").split()))


def format_number(value: float, decimals: int = 3, sign: str = "") -> str:
    """Write a number without its leading zero.

    Parameters
    ----------
    sign
        "+" writes the sign of positive numbers too.

    Examples
    --------
    >>> format_number(0.2684), format_number(-0.031), format_number(1), format_number(-0.0001)
    ('.268', '-.031', '1.000', '.000')
    >>> format_number(0.25, decimals=2, sign="+"), format_number(float("nan"))
    ('+.25', 'n/a')
    """
    if math.isnan(value):
        return "n/a"
    return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:{sign}z.{decimals}f}")  # z: no negative zero


def format_interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    """Write a value and its interval.

    Examples
    --------
    >>> format_interval(0.268, 0.25, 0.285)
    '.268 [.250, .285]'
    >>> format_interval(0.1, -0.05, 0.25, sign="+")
    '+.100 [-.050, +.250]'
    """
    texts = [format_number(each, sign=sign) for each in (value, low, high)]
    return "{} [{}, {}]".format(*texts)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], gap: int = 3) -> str:
    """Lay out left-aligned columns with a rule under the header, for a terminal.

    Rows may be shorter than the header.

    Examples
    --------
    >>> print(text_table(["", "MRR"], [["catalogue", ".5"], ["l2", ".25"]]))
                MRR
    ---------------
    catalogue   .5
    l2          .25
    """
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip_longest(*table, fillvalue="")]
    lines = [(" " * gap).join(map(str.ljust, row, widths)).rstrip() for row in table]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, *, padded: bool = False
) -> str:
    """Write a Markdown table; the first `left` columns are text, the others are numbers.

    Parameters
    ----------
    padded
        Align the columns for readers of the source too.

    Examples
    --------
    >>> print(markdown_table(["system", "MRR"], [["l2", ".25"]]))
    | system | MRR |
    | :-- | --: |
    | l2 | .25 |
    >>> print(markdown_table(["system", "MRR"], [["l2", ".25"]], padded=True))
    | system | MRR |
    | :----- | --: |
    | l2     | .25 |
    """
    columns = []
    for at, (title, *cells) in enumerate(zip(header, *rows, strict=True)):
        width = max(3, *map(len, [title, *cells])) if padded else 0
        dashes = "-" * max(2, width - 1)
        align, rule = (str.ljust, f":{dashes}") if at < left else (str.rjust, f"{dashes}:")
        columns.append([align(cell, width) for cell in (title, rule, *cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))
