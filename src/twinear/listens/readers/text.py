"""Text cut into fields: tab-separated and CSV, of a file or of a piece of one.

In tab-separated text only tab and line feed mean anything: quotes and carriage returns are
letters, and a line with another number of tabs is malformed. CSV is quoted as in RFC 4180; there
a row with too many fields is malformed, and one with too few has empty ones.
"""

import csv
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from twinear.listens.readers.decompression import unpacked

EXTRA = "\n"  # a name that no column can have


def fields(source: Path | bytes, columns: Sequence[str], skip_lines: int = 0) -> pl.LazyFrame:
    """Tab-separated text as `columns` and malformed; only a line feed ends a line."""
    lines = pl.scan_csv(
        source,
        separator="\0",  # in no text: a line is one field
        quote_char=None,
        has_header=False,
        skip_lines=skip_lines,
        schema={"line": pl.String},
        extra_columns="ignore",
        encoding="utf8-lossy",
        glob=False,
    )
    line = pl.col("line").fill_null("")
    cut = line.str.splitn("\t", len(columns)).struct.rename_fields(list(columns))
    malformed = line.str.count_matches("\t", literal=True) != len(columns) - 1
    return lines.select(malformed=malformed, fields=cut).unnest("fields")


def csv_fields(source: Path | bytes, columns: Sequence[str], skip_rows: int = 0) -> pl.LazyFrame:
    """CSV as `columns` and malformed."""
    frame = pl.scan_csv(
        source,
        has_header=False,
        skip_rows=skip_rows,
        schema=dict.fromkeys([*columns, EXTRA], pl.String),
        extra_columns="ignore",
        missing_columns="insert",
        glob=False,
    )
    return frame.with_columns(malformed=pl.col(EXTRA).is_not_null()).drop(EXTRA)


def csv_names(start: bytes) -> list[str]:
    """The names of a CSV's columns, as the beginning of the file has them."""
    return pl.scan_csv(start, infer_schema=False).collect_schema().names()


def csv_line(path: Path, row: int) -> int:
    """The line of a CSV in which a row begins; the first row after the header is 0."""
    with unpacked(path) as stream:
        letters = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv.reader(letters)
        for _ in islice(reader, row + 1):
            pass
        return reader.line_num + 1
