"""Text split into fields: tab-separated and CSV, of a file or of a piece of one.

In tab-separated text only tab and line feed have a meaning: quotes and carriage returns are
letters, and a line with another number of tabs is malformed. CSV is quoted as in RFC 4180: a row
with too many fields is malformed, in one with too few the others are empty.
"""

import csv
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from twinear.listens.readers.decompression import decompressed

EXTRA = "\n"  # a name that no column can have


def split_tabs(source: Path | bytes, columns: Sequence[str], skip: int = 0) -> pl.LazyFrame:
    r"""Split tab-separated text into `columns` and malformed; only a line feed ends a line.

    Examples
    --------
    >>> split_tabs(b"1\t2\n3\n", ["a", "b"]).collect().rows()
    [(False, '1', '2'), (True, '3', None)]
    """
    lines = pl.scan_csv(
        source,
        separator="\0",  # not in any text: a line is one field
        quote_char=None,
        has_header=False,
        skip_lines=skip,
        schema={"line": pl.String},
        extra_columns="ignore",
        encoding="utf8-lossy",
        glob=False,
    )
    line = pl.col("line").fill_null("")
    fields = line.str.splitn("\t", len(columns)).struct.rename_fields(list(columns))
    malformed = line.str.count_matches("\t", literal=True) != len(columns) - 1
    return lines.select(malformed=malformed, fields=fields).unnest("fields")


def split_csv(source: Path | bytes, columns: Sequence[str], skip: int = 0) -> pl.LazyFrame:
    """Split CSV into `columns` and malformed."""
    frame = pl.scan_csv(
        source,
        has_header=False,
        skip_rows=skip,
        schema=dict.fromkeys([*columns, EXTRA], pl.String),
        extra_columns="ignore",
        missing_columns="insert",
        glob=False,
    )
    return frame.with_columns(malformed=pl.col(EXTRA).is_not_null()).drop(EXTRA)


def csv_names(start: bytes) -> list[str]:
    """Return the names of a CSV's columns from the beginning of the file."""
    return pl.scan_csv(start, infer_schema=False).collect_schema().names()


def csv_line(path: Path, row: int) -> int:
    """Return the line of a CSV in which a row begins; row 0 is the first after the header."""
    with decompressed(path) as stream:
        reader = csv.reader(
            io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        )
        for _ in islice(reader, row + 1):
            pass
        return reader.line_num + 1
