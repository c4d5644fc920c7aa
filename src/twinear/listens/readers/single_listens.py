"""Single listens of an export, put together to pieces of rows."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import msgspec
import polars as pl

from twinear.base.delimited import split_line
from twinear.base.errors import DataError
from twinear.listens.readers.json_text import read_values
from twinear.listens.readers.rows import LINE, Piece, TextFile
from twinear.listens.readers.times import parse_times

PIECE_ITEMS = 100_000  # in memory at once, about 50 MB
MAX_COMMENTS = 10  # lines before a header
CHANGE_FORMAT = "change listens.format"


class Listen(NamedTuple):
    """A listen to an artist.

    Parameters
    ----------
    time
        In any form that `parse_times` reads.
    skipped
        The player says that it was skipped, or it is no music.
    seconds_played
        None where unknown.
    """

    name: str
    time: str | float | None
    listener: str
    mbid: str = ""
    skipped: bool = False
    seconds_played: float | None = None


Parsed = Sequence[Listen] | None  # of an item: a listen for each artist; none; None: malformed
MALFORMED: Parsed = None
NO_LISTEN: Parsed = ()


def listen_pieces(file: TextFile, items: Iterable[tuple[int, Parsed]]) -> Iterator[Piece]:
    """Put the listens of numbered items together."""
    items = iter(items)
    schema = {
        LINE: pl.Int64,
        "malformed": pl.Boolean,
        "name": pl.String,
        "time": pl.String,
        "listener": pl.String,
        "mbid": pl.String,
        "skipped": pl.Boolean,
        "seconds_played": pl.Float64,
    }
    while batch := list(islice(items, PIECE_ITEMS)):
        rows = [
            (number, False, listen.name, _text(listen.time), *listen[2:])
            for number, listens in batch
            for listen in listens or ()
        ]
        nothing = (True, "", None, "", "", False, None)
        rows += [(number, *nothing) for number, listens in batch if listens is MALFORMED]
        frame = pl.LazyFrame(rows, schema=schema, orient="row").sort(LINE, maintain_order=True)
        seconds = parse_times("time")
        yield Piece(frame=frame.with_columns(seconds=seconds).drop("time"), file=file.name)


def _text(time: str | float | None) -> str | None:
    return None if time is None or isinstance(time, bool) else str(time)


def numbered_lines(file: TextFile) -> Iterator[tuple[int, str]]:
    """Return the lines that are not blank with their numbers, from 1."""
    chunks = (chunk.removesuffix(b"\n").split(b"\n") for chunk in file.chunks())
    for number, line in enumerate(chain.from_iterable(chunks), 1):
        if line.strip():
            yield number, line.decode(errors="replace").rstrip("\r")


def first_lines(file: TextFile, n: int = 20) -> list[str]:
    """Return the first lines that are not blank and complete."""
    lines = file.start.decode(errors="replace").split("\n")
    lines = lines[:-1] if len(lines) > 1 else lines
    return [line.rstrip("\r") for line in lines if line.strip()][:n]


def json_pieces(file: TextFile, parse: Callable[[bytes | msgspec.Raw], Parsed]) -> Iterator[Piece]:
    """Put the listens of the items of a JSON text together; `parse` gets an item's text."""
    return listen_pieces(file, enumerate(map(parse, read_values(file)), 1))


def row_pieces(
    file: TextFile,
    separator: str,
    columns: Collection[str],
    parse: Callable[[dict[str, str]], Parsed],
) -> Iterator[Piece]:
    """Put the listens of the rows below a table's header together.

    Parameters
    ----------
    columns
        Those that the header must have, in lower case; lines before it are no rows.
    parse
        Gets a row by column. One with another number of fields than the header is malformed.

    Raises
    ------
    DataError
        No header.
    """
    header = find_header(file, separator, columns)
    if header is None:
        raise DataError(file.name, f"has no columns {', '.join(columns)}", remedy=CHANGE_FORMAT)

    def rows() -> Iterator[tuple[int, Parsed]]:
        is_below = False
        for number, line in numbered_lines(file):
            if is_below:
                fields = split_line(line, separator) or ()
                is_row = len(fields) == len(header)
                yield number, parse(dict(zip(header, fields, strict=True))) if is_row else MALFORMED
            is_below = is_below or header_names(line, separator) == header

    return listen_pieces(file, rows())


def find_header(file: TextFile, separator: str, columns: Collection[str]) -> list[str] | None:
    """Return the names of the columns, in lower case, from the first lines; None if some lack."""
    headers = (header_names(line, separator) for line in first_lines(file, MAX_COMMENTS))
    return next((header for header in headers if set(columns) <= set(header)), None)


def header_names(line: str, separator: str) -> list[str]:
    """Return the names of the columns, in lower case.

    Examples
    --------
    >>> header_names('"Artist";"Track Name"', ";")
    ['artist', 'track name']
    """
    return [name.strip().lower() for name in split_line(line, separator) or ()]
