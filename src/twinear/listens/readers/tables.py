"""Listens in tables of plays: Last.fm-360K, HetRec 2011, and tables with named columns.

Plain text and Parquet are scanned in place; compressed text goes through `spool`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import polars as pl

from twinear.base.errors import DataError, nearest
from twinear.listens.readers.decompression import beginning, chunks, compression, decompressed
from twinear.listens.readers.formats import ListensFiles, TableColumns, file_type
from twinear.listens.readers.rows import LINE, Piece, Rows, spool, text, tidy
from twinear.listens.readers.text import csv_line, csv_names, split_csv, split_tabs

LASTFM_360K = ("listener", "mbid", "name", "plays")
PROFILES = ("listener", "gender", "age", "country", "signup")
HETREC = ("userID", "artistID", "weight")
HETREC_ARTISTS = ("id", "name", "url", "pictureURL")

Shape = Callable[[pl.LazyFrame], pl.LazyFrame]  # a file's columns -> those of `Rows.frame`


@dataclass(frozen=True, kw_only=True)
class _TextFormat:
    """The columns of a text, whether its first line names them, and whether it is CSV."""

    columns: Sequence[str]
    header: bool = False
    is_csv: bool = False

    def split(self, source: Path | bytes, skip_header: bool) -> pl.LazyFrame:
        """Split text into the columns and malformed."""
        return (split_csv if self.is_csv else split_tabs)(source, self.columns, int(skip_header))


def lastfm_360k(files: ListensFiles, folder: Path) -> Rows:
    """Open the plays, and the profiles if there are any."""
    rows = _text_rows(files, _TextFormat(columns=LASTFM_360K), folder, lambda frame: frame)
    if files.beside is None:
        return rows
    if compression(files.beside):
        profiles = split_tabs(_read_whole(files.beside), PROFILES)
    else:
        beginning(files.beside)  # raises if it is not text
        profiles = split_tabs(files.beside, PROFILES)
    return replace(rows, profiles=profiles.select(text("listener")))


def parse_lastfm_360k(lines: bytes) -> pl.LazyFrame:
    """Parse lines of Last.fm-360K to the columns of `Rows.frame`."""
    return tidy(split_tabs(lines, LASTFM_360K))


def hetrec(files: ListensFiles, folder: Path) -> Rows:
    """Open the plays with the names of their artists; both files may lack their header."""
    plays, artists = files.plays, files.beside or files.plays
    plays_format = _tabs_format(plays, HETREC)
    artists_format = _tabs_format(artists, HETREC_ARTISTS)
    _require_columns(plays, plays_format.columns, HETREC)
    _require_columns(artists, artists_format.columns, ("id", "name"))
    content = _read_whole(artists)
    try:
        content.decode()
    except UnicodeDecodeError:  # some copies are in Windows-1252
        content = content.decode("cp1252", errors="replace").encode()
    names = artists_format.split(content, artists_format.header)
    names = names.select("name", artistID=text("id")).unique("artistID", keep="first")

    def shape(frame: pl.LazyFrame) -> pl.LazyFrame:
        joined = frame.with_columns(text("artistID")).join(
            names, on="artistID", how="left", maintain_order="left"
        )
        return joined.with_columns(listener="userID", mbid=pl.lit(""), plays="weight")

    return _text_rows(files, plays_format, folder, shape)


def table(files: ListensFiles, folder: Path, columns: TableColumns) -> Rows:
    """Open a table with named columns."""
    path, kind = files.plays, file_type(files.plays)
    if kind == ".parquet":
        frame = pl.scan_parquet(path, glob=False).with_columns(malformed=pl.lit(False))
        frame = _rename_columns(path, frame.collect_schema().names(), columns)(frame)
        return Rows(files=files, frame=tidy(frame), locate=lambda row: f"{path}: row {row + 1}")
    start = beginning(path)
    if kind in (".jsonl", ".ndjson"):
        names: dict[str, None] = {}  # in order of appearance
        for line in start.splitlines()[:1000]:
            try:
                names |= dict.fromkeys(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
            except msgspec.DecodeError:
                continue
        _rename_columns(path, list(names), columns)
        spooled = spool(_read_json_lines(path, columns), folder)
        return Rows(files=files, frame=spooled.frame, locate=spooled.locate)
    is_csv = kind == ".csv"
    text_format = _TextFormat(
        columns=csv_names(start) if is_csv else _tab_names(start), header=True, is_csv=is_csv
    )
    shape = _rename_columns(path, text_format.columns, columns)
    return _text_rows(files, text_format, folder, shape)


def _text_rows(files: ListensFiles, text_format: _TextFormat, folder: Path, shape: Shape) -> Rows:
    """Open rows of text, scanned in place or, if compressed, decompressed piece by piece."""
    path, header = files.plays, text_format.header
    if compression(path):
        spooled = spool(_read_pieces(path, text_format, shape), folder)
        rows = Rows(files=files, frame=spooled.frame, locate=spooled.locate)
    else:
        beginning(path)  # raises if it is not text
        frame = tidy(shape(text_format.split(path, header)))
        rows = Rows(files=files, frame=frame, locate=lambda row: f"{path}:{row + 1 + header}")
    if text_format.is_csv:  # a row may have several lines
        return replace(rows, locate=lambda row: f"{path}:{csv_line(path, row)}")
    return rows


def _read_pieces(path: Path, text_format: _TextFormat, shape: Shape) -> Iterator[Piece]:
    first_line = 1
    with decompressed(path) as stream:
        for chunk in chunks(stream, path, text_format.is_csv):
            skip_header = text_format.header and first_line == 1
            frame = text_format.split(chunk, skip_header)
            frame = frame.with_row_index(LINE, first_line + skip_header)
            yield Piece(frame=shape(frame), file=str(path))
            first_line += chunk.count(b"\n")


def _read_whole(path: Path) -> bytes:
    """Read the text of a small file."""
    with decompressed(path) as stream:
        return b"".join(chunks(stream, path))


def _tabs_format(path: Path, usual: Sequence[str]) -> _TextFormat:
    """Find out whether the first line names the columns; else they are the usual ones."""
    names = _tab_names(beginning(path))
    header = bool(set(usual) & set(names))
    return _TextFormat(columns=names if header else usual, header=header)


def _tab_names(start: bytes) -> list[str]:
    line = start.partition(b"\n")[0]
    return line.decode("utf-8-sig", errors="replace").rstrip("\r\n").split("\t")


def _rename_columns(path: Path, names: Sequence[str], columns: TableColumns) -> Shape:
    """Return the function that renames a table's columns to those of `Rows.frame`."""
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
            similar = ", ".join(nearest(column, names) or names)
            raise DataError(path, f"has no column '{column}' but {similar}", remedy=remedy)


def _read_json_lines(path: Path, columns: TableColumns) -> Iterator[Piece]:
    keys = (columns.listener, columns.mbid, columns.artist, columns.plays)
    schema = dict.fromkeys(LASTFM_360K, pl.String)
    decoder = msgspec.json.Decoder(dict[str, object])
    first_line = 1
    with decompressed(path) as stream:
        for chunk in chunks(stream, path):
            lines = chunk.removesuffix(b"\n").split(b"\n")
            rows = [_select_values(decoder, line, keys) for line in lines]
            frame = pl.LazyFrame(rows, schema=schema, orient="row").with_row_index(LINE, first_line)
            malformed = pl.all_horizontal(pl.col(*schema).is_null())
            yield Piece(frame=frame.with_columns(malformed=malformed), file=str(path))
            first_line += len(lines)


def _select_values(
    decoder: "msgspec.json.Decoder[dict[str, object]]", line: bytes, keys: Sequence[str]
) -> tuple[str | None, ...]:
    """Return the values at the keys as text; all None unless it is an object of plain values."""
    try:
        values = [decoder.decode(line).get(key, "") for key in keys]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return (None,) * len(keys)
    if any(isinstance(value, (dict, list, bool)) for value in values):
        return (None,) * len(keys)
    return tuple("" if value is None else str(value) for value in values)
