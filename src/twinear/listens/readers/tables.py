"""Listens that are tables of plays: Last.fm-360K, HetRec 2011, and tables with named columns.

Plain text and Parquet are scanned where they stand; compressed text goes through `scratch`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import polars as pl

from twinear.base.errors import DataError, nearest
from twinear.listens.readers.decompression import beginning, chunks, compression, unpacked
from twinear.listens.readers.formats import ListensFiles, TableColumns, kind_of
from twinear.listens.readers.rows import Rows, text, tidy
from twinear.listens.readers.spool import LINE, Piece, keep
from twinear.listens.readers.text import csv_fields, csv_line, csv_names, fields

LASTFM_360K = ("listener", "mbid", "name", "plays")
PROFILES = ("listener", "gender", "age", "country", "signup")
HETREC = ("userID", "artistID", "weight")
HETREC_ARTISTS = ("id", "name", "url", "pictureURL")

Shape = Callable[[pl.LazyFrame], pl.LazyFrame]


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """How the text of a file is cut: its columns, and whether its first line names them."""

    columns: Sequence[str]
    headed: bool
    quoted: bool = False

    def cut(self, source: Path | bytes, skip: bool) -> pl.LazyFrame:
        """The columns and malformed; `skip` leaves out the header."""
        return (csv_fields if self.quoted else fields)(source, self.columns, int(skip))


def lastfm_360k(files: ListensFiles, scratch: Path) -> Rows:
    """The plays, and the profiles where they are."""
    rows = _rows(files, _Lines(columns=LASTFM_360K, headed=False), scratch, lambda frame: frame)
    if files.beside is None:
        return rows
    profiles = _whole(files.beside, _Lines(columns=PROFILES, headed=False))
    return Rows(
        files=files,
        frame=rows.frame,
        locate=rows.locate,
        profiles=profiles.select(text("listener")),
    )


def lastfm_360k_lines(text: bytes) -> pl.LazyFrame:
    """Lines of Last.fm-360K in the shape of `Rows.frame`."""
    return tidy(fields(text, LASTFM_360K))


def hetrec(files: ListensFiles, scratch: Path) -> Rows:
    """The plays, with the names of their artists; both files may lack their header."""
    plays, artists = files.plays, files.beside or files.plays
    played, named = _headed(plays, HETREC), _headed(artists, HETREC_ARTISTS)
    _require_columns(plays, played.columns, HETREC)
    _require_columns(artists, named.columns, ("id", "name"))
    names = named.cut(_decoded(artists), named.headed)
    names = names.select("name", artistID=text("id")).unique("artistID", keep="first")

    def shape(frame: pl.LazyFrame) -> pl.LazyFrame:
        joined = frame.with_columns(text("artistID")).join(
            names, on="artistID", how="left", maintain_order="left"
        )
        return joined.with_columns(listener="userID", mbid=pl.lit(""), plays="weight")

    return _rows(files, played, scratch, shape)


def table(files: ListensFiles, scratch: Path, columns: TableColumns) -> Rows:
    """A table with named columns."""
    path, kind = files.plays, kind_of(files.plays)
    if kind == ".parquet":
        frame = pl.scan_parquet(path, glob=False).with_columns(malformed=pl.lit(False))
        frame = _named(path, frame.collect_schema().names(), columns)(frame)
        return Rows(files=files, frame=tidy(frame), locate=partial(_of_row, path))
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(files, scratch, columns)
    start = beginning(path)
    names = csv_names(start) if kind == ".csv" else _tabs(start)
    lines = _Lines(columns=names, headed=True, quoted=kind == ".csv")
    return _rows(files, lines, scratch, _named(path, names, columns))


def _rows(files: ListensFiles, lines: _Lines, scratch: Path, shape: Shape) -> Rows:
    """Rows of text, scanned where it stands or, unpacked piece by piece, from scratch."""
    path = files.plays
    if compression(path):
        kept = keep(_pieces(path, lines, shape), scratch)
        locate = partial(_of_csv, path) if lines.quoted else kept.locate
        return Rows(files=files, frame=kept.frame, locate=locate)
    beginning(path)  # to see that it is text
    frame = tidy(shape(lines.cut(path, lines.headed)))
    locate = partial(_of_csv if lines.quoted else _of_line, path)
    if not lines.quoted and lines.headed:
        locate = partial(_of_line, path, first=2)
    return Rows(files=files, frame=frame, locate=locate)


def _pieces(path: Path, lines: _Lines, shape: Shape) -> Iterator[Piece]:
    first = 1
    with unpacked(path) as stream:
        for chunk in chunks(stream, path, lines.quoted):
            skip = lines.headed and first == 1
            frame = lines.cut(chunk, skip).with_row_index(LINE, first + skip)
            yield Piece(frame=shape(frame), file=str(path))
            first += chunk.count(b"\n")


def _whole(path: Path, lines: _Lines) -> pl.LazyFrame:
    """The text of a small file."""
    if not compression(path):
        beginning(path)
        return lines.cut(path, lines.headed)
    with unpacked(path) as stream:
        return lines.cut(b"".join(chunks(stream, path)), lines.headed)


def _headed(path: Path, usual: Sequence[str]) -> _Lines:
    """Tab-separated lines, the first of which may name the columns; else they are the usual."""
    names = _tabs(beginning(path))
    headed = bool(set(usual) & set(names))
    return _Lines(columns=names if headed else usual, headed=headed)


def _tabs(start: bytes) -> list[str]:
    line = start.partition(b"\n")[0]
    return line.decode("utf-8-sig", errors="replace").rstrip("\r\n").split("\t")


def _decoded(path: Path) -> bytes:
    """Read text as UTF-8, else as Windows-1252, as some copies of HetRec 2011 are; give UTF-8."""
    with unpacked(path) as stream:
        raw = b"".join(chunks(stream, path))
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace").encode()
    return raw


def _named(path: Path, names: Sequence[str], columns: TableColumns) -> Shape:
    """Give the named columns the names they have here."""
    needed = [columns.listener, columns.artist, columns.plays]
    _require_columns(path, names, needed, "name the columns in listens.columns")
    mbid = pl.col(columns.mbid) if columns.mbid in names else pl.lit("")

    def shape(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(
            listener=columns.listener, mbid=mbid, name=columns.artist, plays=columns.plays
        )

    return shape


def _require_columns(
    path: Path, names: Sequence[str], columns: Sequence[str], remedy: str = ""
) -> None:
    names = [name for name in names if name != "malformed"]
    for column in columns:
        if column not in names:
            there = ", ".join(nearest(column, names) or names)
            raise DataError(path, f"has no column '{column}' but {there}", remedy=remedy)


def _json_lines(files: ListensFiles, scratch: Path, columns: TableColumns) -> Rows:
    names = _keys(beginning(files.plays))
    _named(files.plays, names, columns)
    kept = keep(_json_pieces(files.plays, columns), scratch)
    return Rows(files=files, frame=kept.frame, locate=kept.locate)


def _keys(start: bytes) -> list[str]:
    """The keys of the first objects of JSON lines."""
    found: dict[str, None] = {}
    for line in start.splitlines()[:1000]:
        try:
            found |= dict.fromkeys(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except msgspec.DecodeError:
            continue
    return list(found)


def _json_pieces(path: Path, columns: TableColumns) -> Iterator[Piece]:
    wanted = (columns.listener, columns.mbid, columns.artist, columns.plays)
    decoder = msgspec.json.Decoder(dict[str, object])
    first = 1
    with unpacked(path) as stream:
        for chunk in chunks(stream, path):
            lines = chunk.removesuffix(b"\n").split(b"\n")
            rows = [_of_object(decoder, line, wanted) for line in lines]
            frame = pl.LazyFrame(rows, schema=dict.fromkeys(LASTFM_360K, pl.String), orient="row")
            malformed = pl.all_horizontal(pl.all().is_null())
            numbered = frame.with_columns(malformed=malformed).with_row_index(LINE, first)
            yield Piece(frame=numbered, file=str(path))
            first += len(lines)


def _of_object(
    decoder: "msgspec.json.Decoder[dict[str, object]]", line: bytes, keys: Sequence[str]
) -> tuple[str | None, ...]:
    """The values at the keys as text; None for all where the line is no object of plain values."""
    try:
        values = [decoder.decode(line).get(key, "") for key in keys]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return (None,) * len(keys)
    if any(isinstance(value, (dict, list, bool)) for value in values):
        return (None,) * len(keys)
    return tuple("" if value is None else str(value) for value in values)


def _of_line(path: Path, row: int, first: int = 1) -> str:
    return f"{path}:{row + first}"


def _of_csv(path: Path, row: int) -> str:
    return f"{path}:{csv_line(path, row)}"


def _of_row(path: Path, row: int) -> str:
    return f"{path}: row {row + 1}"
