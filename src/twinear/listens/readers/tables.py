"""Tables with named columns: CSV and its relatives, JSON and Parquet.

Columns are found by the names in `listens.columns`, in any case, and where those are the usual
ones by their usual synonyms. Without a column of plays a row is one listen, with a time if there
is a column of times; without a column of listeners the file is one listener's.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from twinear.base.delimited import find_separator, split_line
from twinear.base.errors import nearest
from twinear.listens.readers.formats import USUAL_COLUMNS, TableColumns
from twinear.listens.readers.json_text import NOT_JSON, decode, first_value, read_values
from twinear.listens.readers.rows import LINE, POLARS_ERRORS, Piece, TextFile, unreadable
from twinear.listens.readers.text import split_table
from twinear.listens.readers.times import parse_times

# field -> how people call its column, without blanks, hyphens and underscores
SYNONYMS = {
    "listener": ("listener", "user", "userid", "username"),
    "artist": ("artist", "artistname"),
    "mbid": ("mbid", "artistmbid"),
    "plays": ("plays", "playcount", "count", "scrobbles"),
    "time": (
        *("timestamp", "listenedat", "uts", "time", "date", "utctime", "playedat", "endtime"),
    ),
}
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # as Excel writes it
ROWS = 2**17  # in a piece of JSON or Parquet
CHECKED_LINES = 1000  # of JSON, for its keys
NEAR = 0.75  # a name this like the wanted one is a misspelling
SHOWN = 8  # names of columns in a message


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that is recognised, and how it is read."""

    title: str
    assumed: str
    timed: bool
    read: Callable[[], Iterator[Piece]]


class _MissingColumnError(Exception):
    """A table is no table of listens."""


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """The number of the column of each field that there is; there always is an artist."""

    columns: Mapping[str, int]

    @property
    def timed(self) -> bool:
        return "plays" not in self.columns and "time" in self.columns

    def piece(self, frame: pl.LazyFrame, names: Sequence[str], listener: str, file: str) -> Piece:
        """Bring a table, of columns with these names, `LINE` and malformed, to a piece of rows."""

        def column(field: str, otherwise: str) -> pl.Expr:
            number = self.columns.get(field)
            return pl.lit(otherwise) if number is None else pl.col(names[number])

        fields = {
            "listener": column("listener", listener),
            "mbid": column("mbid", ""),
            "name": column("artist", ""),
        }
        if self.timed:
            fields["seconds"] = parse_times(names[self.columns["time"]])
        else:
            fields["plays"] = column("plays", "1")
        return Piece(frame=frame.select(LINE, "malformed", **fields), file=file)

    def assumed(self, names: Sequence[str], wanted: TableColumns) -> list[str]:
        """Say which columns were taken for what, where their names do not."""
        said = [
            f"{field}: column '{names[number]}'"
            for field, number in self.columns.items()
            if field != "time" and names[number] != getattr(wanted, field)
        ]
        if "listener" not in self.columns:
            said.append("listener: the file's name")
        if "plays" not in self.columns:
            said.append("each row one listen")
        if self.timed:
            said.append(f"time: column '{names[self.columns['time']]}', UTC unless it has a zone")
        return said


def table_of_text(file: TextFile, wanted: TableColumns) -> Table | str:
    """Recognise a table; say what it lacks if it is another text."""
    start = file.start.lstrip()
    try:
        if start.startswith((b"[", b"{")):
            return _json_table(file, wanted, is_array=start.startswith(b"["))
        return _delimited_table(file, wanted)
    except _MissingColumnError as error:
        return str(error)


def table_of_parquet(path: Path, name: str, listener: str, wanted: TableColumns) -> Table | str:
    """Recognise a table in Parquet; say what it lacks if it has other columns.

    Raises
    ------
    DataError
        It is damaged.
    """
    frame = pl.scan_parquet(path, glob=False)
    try:
        names = frame.collect_schema().names()
        fields = _find_fields(names, wanted)
    except POLARS_ERRORS as error:
        raise unreadable(name, error) from error
    except _MissingColumnError as error:
        return str(error)

    def read() -> Iterator[Piece]:
        rows = frame.with_row_index(LINE, 1).with_columns(malformed=pl.lit(False))
        shaped = fields.piece(rows, names, listener, name).frame
        try:
            for batch in shaped.collect_batches(chunk_size=ROWS, engine="streaming"):
                yield Piece(frame=batch.lazy(), file=name)
        except POLARS_ERRORS as error:
            raise unreadable(name, error) from error

    assumed = "; ".join(fields.assumed(names, wanted))
    return Table(title="table in Parquet", assumed=assumed, timed=fields.timed, read=read)


def _delimited_table(file: TextFile, wanted: TableColumns) -> Table:
    lines = file.start.decode(errors="replace").split("\n", 2)
    declared = SEPARATOR_LINE.fullmatch(lines[0].rstrip("\r"))
    n_header = 2 if declared and len(lines) > 1 else 1
    header = lines[n_header - 1].rstrip("\r")
    separator = declared[1] if declared else find_separator(header)
    names = [name.strip() for name in split_line(header, separator) or header.split(separator)]
    fields = _find_fields(names, wanted)

    def read() -> Iterator[Piece]:
        columns = [str(number) for number in range(len(names))]
        line = 1
        for chunk in file.chunks():
            rows = split_table(chunk, columns, separator).with_row_index(LINE, line)
            rows = rows.filter(pl.col(LINE) > n_header)
            yield fields.piece(rows, columns, file.listener, file.name)
            line += chunk.count(b"\n")

    how = {",": "comma", ";": "semicolon", "\t": "tab"}.get(separator, separator)
    assumed = "; ".join([f"separator {how}", *fields.assumed(names, wanted)])
    return Table(title="table of text", assumed=assumed, timed=fields.timed, read=read)


def _json_table(file: TextFile, wanted: TableColumns, is_array: bool) -> Table:
    names = list(dict.fromkeys(key for item in _first_items(file, is_array) for key in item))
    fields = _find_fields(names, wanted)

    def read() -> Iterator[Piece]:
        decoder = msgspec.json.Decoder(dict[str, object])
        keys = {f"{number}": names[number] for number in fields.columns.values()}
        schema = {"malformed": pl.Boolean} | dict.fromkeys(keys, pl.String)
        columns = [str(number) for number in range(len(names))]
        first = 1
        for items in _array_items(file) if is_array else _lines(file):
            rows = [_select_values(decoder, item, keys.values()) for item in items]
            frame = pl.LazyFrame(rows, schema=schema, orient="row").with_row_index(LINE, first)
            yield fields.piece(frame, columns, file.listener, file.name)
            first += len(items)

    return Table(
        title="table in JSON" if is_array else "table in JSON lines",
        assumed="; ".join(fields.assumed(names, wanted)),
        timed=fields.timed,
        read=read,
    )


def _lines(file: TextFile) -> Iterator[Sequence[bytes]]:
    for chunk in file.chunks():
        yield chunk.removesuffix(b"\n").split(b"\n")


def _array_items(file: TextFile) -> Iterator[Sequence[bytes | msgspec.Raw]]:
    items = read_values(file)
    for first in range(0, len(items), ROWS):
        yield items[first : first + ROWS]


def _first_items(file: TextFile, is_array: bool) -> Iterator[dict[str, object]]:
    """Decode the objects at the beginning of JSON lines or of an array."""
    if is_array:
        first = first_value(file.start)
        items = first if isinstance(first, list) else []
    else:
        items = [decode(line, dict) for line in file.start.splitlines()[:CHECKED_LINES]]
    return (item for item in items if isinstance(item, dict))


def _select_values(
    decoder: "msgspec.json.Decoder[dict[str, object]]",
    item: bytes | msgspec.Raw,
    keys: Iterable[str],
) -> tuple[bool | str | None, ...]:
    """Return whether an item is no object of plain values, then its values at the keys as text."""
    try:
        values = [*map(decoder.decode(item).get, keys)]
    except NOT_JSON:
        values = [True]
    if any(isinstance(value, (dict, list, bool)) for value in values):
        return (True, *(None for _ in keys))
    return (False, *(None if value is None else str(value) for value in values))


def _find_fields(names: Sequence[str], wanted: TableColumns) -> _Fields:
    """Find the columns of the fields.

    Raises
    ------
    _MissingColumnError
        There is no artist, or not a column that `listens.columns` names or that is misspelt.
    """
    columns = {}
    for field, synonyms in SYNONYMS.items():
        name = getattr(wanted, field, "")
        usual = name == getattr(USUAL_COLUMNS, field, "")
        number = _find_column(names, (name, *(synonyms if usual else ())))
        if number is not None:
            columns[field] = number
    others = [name for number, name in enumerate(names) if number not in columns.values()]
    if columns.keys() <= {"artist", "mbid"} and "file" in map(str.casefold, names):
        raise _MissingColumnError("is a table of clips")
    for field in ("artist", "listener", "plays"):
        name = getattr(wanted, field)
        if field in columns:
            continue
        if near := nearest(name, others, cutoff=NEAR):
            raise _MissingColumnError(f"has no column '{name}', did you mean '{near[0]}'?")
        if field == "artist" or name != getattr(USUAL_COLUMNS, field):
            shown = ", ".join(other[:40] for other in names[:SHOWN]) or "none"
            raise _MissingColumnError(f"has no column '{name}' but {shown}")
    return _Fields(columns=columns)


def _find_column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return the number of the first wanted column: named exactly so, then nearly so."""
    if wanted[0] in names:
        return names.index(wanted[0])
    plain = [re.sub(r"[\s_-]", "", name).casefold() for name in names]
    for each in wanted:
        each = re.sub(r"[\s_-]", "", each).casefold()
        if each and each in plain:
            return plain.index(each)
    return None
