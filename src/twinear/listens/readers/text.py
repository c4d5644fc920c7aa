"""Text split into fields: lines of tabs, and tables whose fields may be quoted.

A row is one line. In lines of tabs only tab and line feed have a meaning: quotes and carriage
returns are letters, and a line with another number of tabs is malformed. In tables a line with a
quote is split as `base.delimited` says; one with a quote that is not closed, or with too many
fields, is malformed; in one with too few the others are empty.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from twinear.base.delimited import split_line

EXTRA = "\n"  # a name that no column can have
ROW = "\nrow"


def split_tabs(source: Path | bytes, columns: Sequence[str]) -> pl.LazyFrame:
    r"""Split tab-separated text into `columns` and malformed; only a line feed ends a line.

    Examples
    --------
    >>> split_tabs(b"1\t2\n3\n", ["a", "b"]).collect().rows()
    [(False, '1', '2'), (True, '3', None)]
    """
    lines = _lines(source)
    line = pl.col("line").fill_null("")
    fields = line.str.splitn("\t", len(columns)).struct.rename_fields(list(columns))
    malformed = line.str.count_matches("\t", literal=True) != len(columns) - 1
    return lines.select(malformed=malformed, fields=fields).unnest("fields")


def split_table(text: bytes, columns: Sequence[str], separator: str) -> pl.LazyFrame:
    r"""Split a table's lines of text in valid UTF-8 into `columns` and malformed.

    Examples
    --------
    >>> split_table(b'a,"b, c"\n"d,e\n12" f\n', ["x", "y"], ",").collect().rows()
    [(False, 'a', 'b, c'), (True, None, None), (False, '12" f', None)]
    """
    if b'"' not in text:
        return _split_fast(text, columns, separator, quote=None)
    # What is not quoted as a whole goes through `split_line`: libraries lose other rows over it.
    text = text.replace(b"\0", b" ")  # `_lines` would cut the line there
    lines = _lines(text).collect()["line"].fill_null("")
    field = f'(?:[^"{separator}]*|"(?:[^"]|"")*")'
    usual = lines.str.contains(rf"^{field}(?:{_escape(separator)}{field})*\r?$")
    if usual.all():
        return _split_fast(text, columns, separator, quote='"')
    emptied = lines.zip_with(usual, pl.Series([""])).str.join("\n")[0].encode() + b"\n"
    fast = _split_fast(emptied, columns, separator, quote='"').with_row_index(ROW)
    fields = [split_line(line.rstrip("\r"), separator) for line in lines.filter(~usual)]
    n = len(columns)
    schema = {"malformed": pl.Boolean} | dict.fromkeys(columns, pl.String)
    none = [None] * n
    rows = [
        (True, *none) if row is None or len(row) > n else (False, *row, *none[len(row) :])
        for row in fields
    ]
    slow = pl.DataFrame(rows, schema=schema, orient="row").lazy()
    slow = slow.with_columns(pl.Series(ROW, (~usual).arg_true(), dtype=pl.UInt32))
    others = fast.filter(pl.Series(usual))
    return pl.concat([others, slow.select(ROW, *schema)]).sort(ROW).drop(ROW)


def _lines(source: Path | bytes) -> pl.LazyFrame:
    """Return the lines of a text; a zero byte ends one, and the rest of it is left out."""
    return pl.scan_csv(
        source,
        separator="\0",  # not in any text: a line is one field
        quote_char=None,
        has_header=False,
        schema={"line": pl.String},
        extra_columns="ignore",
        encoding="utf8-lossy",
        glob=False,
    )


def _escape(separator: str) -> str:
    return "\\|" if separator == "|" else separator


def _split_fast(
    text: bytes, columns: Sequence[str], separator: str, quote: str | None
) -> pl.LazyFrame:
    """Split lines of which each is a row for certain."""
    frame = pl.scan_csv(
        text,
        separator=separator,
        quote_char=quote,
        has_header=False,
        schema=dict.fromkeys([*columns, EXTRA], pl.String),
        extra_columns="ignore",
        missing_columns="insert",
        glob=False,
    )
    blank = pl.all_horizontal(pl.col(*columns).is_null())
    return frame.select((pl.col(EXTRA).is_not_null() | blank).alias("malformed"), *columns)
