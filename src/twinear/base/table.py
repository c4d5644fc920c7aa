"""Small tables that people bring, as text: clips, lists of artists, redirects, scores, embeddings.

One reader for all of them. Encoding and separator are recognised, a record is one line, known
columns are found whatever the case and the blanks of the header, and every value stays the text
that it is: an artist may be called NA, null or nan. A table is read whole or not at all: the first
damaged line is an error with its number. Tables larger than memory are read by `listens.readers`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from twinear.base.delimited import find_separator, split_line
from twinear.base.encoding import detect_encoding
from twinear.base.errors import DataError, nearest
from twinear.base.files import require

EXCEL_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # a first line that Excel heeds
NOT_CLOSED = "has a quoted field that is not closed"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table with a header; every column has a value, "" where the line has none."""

    line: int  # of the file, from 1
    values: dict[str, str]  # column -> text without blanks around it


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a header, and what its text was taken for."""

    path: Path
    header: list[str]  # "" for a column without a name, as spreadsheets write some
    lines: list[tuple[int, str]]  # below the header
    encoding: str
    separator: str

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [column for column in self.header if column]

    @cached_property
    def rows(self) -> list[Row]:
        """The rows; `DataError` for a damaged line."""
        return list(self.scan())

    def scan(self) -> Iterator[Row]:
        """Yield the rows one by one, for a table of many columns."""
        for n, line in self.lines:
            fields = split_fields(line, self.separator, self.path, n)
            if len(fields) > len(self.header):
                close = f"put fields that hold '{self.separator}' in double quotes"
                raise DataError(f"{self.path}:{n}", "has more fields than the header", remedy=close)
            pairs = zip_longest(self.header, fields, fillvalue="")
            values = {column: field for column, field in pairs if column}
            if any(values.values()):
                yield Row(line=n, values=values)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The lines of a text that are not blank: (number from 1, text)."""

    lines: list[tuple[int, str]]
    encoding: str


def read_lines(path: Path, remedy: str) -> Lines:
    """Read the lines of a text of any encoding.

    Raises
    ------
    DataError
        Missing, empty, or bytes that are no letters of the encoding.
    """
    content = require(path, remedy).read_bytes()
    encoding = detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"has a byte that is no text in {encoding.upper()}"
        raise DataError(f"{path}:{line}", found, remedy="save the file as UTF-8") from None
    end = "\n" if "\n" in text else "\r"  # before 2001 a Mac ended lines by the latter alone
    lines = [(n, line.strip("\r")) for n, line in enumerate(text.split(end), 1)]
    return Lines(lines=[(n, line) for n, line in lines if line.strip()], encoding=encoding)


def read_table(
    path: Path, known: Sequence[str], remedy: str, required: Collection[str] = ()
) -> Table:
    """Read a table with a header.

    Parameters
    ----------
    known
        Columns that are found in any case. Others keep their spelling.
    required
        Those of them that must be there.
    remedy
        What to do about a missing file or column.

    Raises
    ------
    DataError
        Missing, empty, without a required column, a known column twice, or a damaged header.
    """
    read = read_lines(path, remedy)
    if not read.lines:
        raise DataError(path, "is empty", remedy=remedy)
    first = EXCEL_SEPARATOR.fullmatch(read.lines[0][1].strip())
    (top, header), *lines = read.lines[1:] if first and len(read.lines) > 1 else read.lines
    separator = first[1] if first else find_separator(header)
    columns = []
    for field in split_fields(header, separator, path, top):
        name = field.lower()
        columns.append(name if name in known else field)
        if name in known and columns.count(name) > 1:
            raise DataError(f"{path}:{top}", f"has two columns '{name}'", remedy="rename one")
    for column in required:
        if column not in columns:
            near = nearest(column, columns)
            raise DataError(
                f"{path}:{top}",
                f"has no column '{column}'",
                expected=" and ".join(required),
                remedy=f"rename '{near[0]}'?" if near else remedy,
            )
    return Table(
        path=path, header=columns, lines=lines, encoding=read.encoding, separator=separator
    )


def split_fields(line: str, separator: str, path: Path, n: int) -> list[str]:
    """Split line `n` of a file into fields without blanks around them; `DataError` if damaged."""
    fields = split_line(line, separator)
    if fields is None:
        raise DataError(f"{path}:{n}", NOT_CLOSED, remedy="close it, or remove the quote")
    return [field.strip() for field in fields]
