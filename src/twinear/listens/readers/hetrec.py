"""HetRec 2011: the plays in one file, the names of their artists in another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from twinear.base.errors import DataError, nearest
from twinear.listens.readers.rows import LINE, PairedFormat, Piece, TextFile, text
from twinear.listens.readers.text import split_tabs

PLAYS = ("userID", "artistID", "weight")
ARTISTS = ("id", "name", "url", "pictureURL")


@dataclass(frozen=True, kw_only=True)
class _Tabs:
    """The columns of a file, and whether its first line names them."""

    columns: Sequence[str]
    header: bool


def _is_hetrec(file: TextFile) -> bool:
    """Whether a file names the columns of plays."""
    return set(_first_line(file)) >= set(PLAYS)


def read_hetrec(plays: TextFile, artists: TextFile) -> Iterator[Piece]:
    """Read the plays with the names of their artists; both files may lack their header.

    Raises
    ------
    DataError
        A column is missing.
    """
    plays_tabs, artists_tabs = _tabs(plays, PLAYS), _tabs(artists, ARTISTS)
    _require_columns(plays, plays_tabs.columns, PLAYS)
    _require_columns(artists, artists_tabs.columns, ("id", "name"))
    names = _names(artists, artists_tabs).collect()
    line = 1
    for chunk in plays.chunks():
        rows = split_tabs(chunk, plays_tabs.columns).with_row_index(LINE, line)
        rows = rows.filter(pl.col(LINE) > int(plays_tabs.header)).with_columns(text("artistID"))
        rows = rows.join(names.lazy(), on="artistID", how="left", maintain_order="left")
        frame = rows.with_columns(listener="userID", mbid=pl.lit(""), plays="weight")
        yield Piece(frame=frame, file=plays.name)
        line += chunk.count(b"\n")


def _names(artists: TextFile, tabs: _Tabs) -> pl.LazyFrame:
    lines = split_tabs(b"".join(artists.chunks()), tabs.columns).slice(int(tabs.header))
    return lines.select("name", artistID=text("id")).unique("artistID", keep="first")


def _tabs(file: TextFile, usual: Sequence[str]) -> _Tabs:
    """Find out whether the first line names the columns; else they are the usual ones."""
    names = _first_line(file)
    header = bool(set(usual) & set(names))
    return _Tabs(columns=names if header else usual, header=header)


def _first_line(file: TextFile) -> list[str]:
    """Split the first line; names of columns are brought to their usual case."""
    line = file.start.partition(b"\n")[0].decode(errors="replace").rstrip("\r")
    usual = {name.casefold(): name for name in (*PLAYS, *ARTISTS)}
    return [usual.get(field.strip().casefold(), field) for field in line.split("\t")]


def _require_columns(file: TextFile, names: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in names:
            similar = ", ".join(nearest(column, names) or names)
            raise DataError(file.name, f"has no column '{column}' but {similar}")


HETREC = PairedFormat(
    name="hetrec",
    title="HetRec 2011",
    usual=("user_artists.dat", "artists.dat"),
    timed=False,
    read=read_hetrec,
    recognise=_is_hetrec,
)
