"""Files of listens as they come, scanned as rows of one shape.

Three formats: Last.fm-360K (tab-separated, no header, optionally with its profiles), HetRec 2011
(`user_artists.dat` with `artists.dat`, each with or without its header) and tables with named
columns (CSV, TSV, Parquet).

In tab-separated text only tab and line feed mean anything: quotes and carriage returns are
letters, and a line with another number of tabs is malformed. CSV is quoted as in RFC 4180; there
a row with too many fields is malformed, and one with too few has empty ones. Nothing is read
before `Rows.collect`, and then in pieces, so that a file may be larger than memory. This module
does not judge what a row says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from twinear.errors import DataError, nearest
from twinear.files import require
from twinear.params import Params

Format = Literal["lastfm_360k", "hetrec", "table"]

# The file of plays, by which a format is recognised, and the file that belongs beside it.
PLAYS: dict[Format, str] = {
    "lastfm_360k": "usersha1-artmbid-artname-plays.tsv",
    "hetrec": "user_artists.dat",
}
BESIDE: dict[Format, str] = {"lastfm_360k": "usersha1-profile.tsv", "hetrec": "artists.dat"}
TABLES = (".csv", ".tsv", ".parquet")

RECOGNISED = f"{', '.join(PLAYS.values())} or one *{', *'.join(TABLES)}"
REMEDY = "bring listens in with 'twinear import'"


class TableColumns(Params):
    """The names of a table's columns; that of `mbid` may be missing from it."""

    listener: str
    artist: str
    mbid: str
    plays: str


@dataclass(frozen=True, kw_only=True)
class ListensFiles:
    """The files of one source of listens."""

    format: Format
    plays: Path
    beside: Path | None = None  # profiles of Last.fm-360K, artists of HetRec

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [self.plays] if self.beside is None else [self.plays, self.beside]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of listens, not yet read.

    Parameters
    ----------
    files
        Where they come from.
    frame
        listener, mbid, name (text without surrounding blanks, "" where there is none), plays
        (float, null where it is no number), malformed (bool).
    profiles
        listener: those with a profile; None where profiles are not known.
    """

    files: ListensFiles
    frame: pl.LazyFrame
    profiles: pl.LazyFrame | None = None

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Read what `query` asks of the rows."""
        try:
            return query.collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise unreadable(self.files.plays, error) from error


def find_listens(source: Path, form: Format | Literal["auto"] = "auto") -> ListensFiles:
    """Find the files of listens: `source` is one of them, or the folder that holds them.

    Raises
    ------
    DataError
        Nothing there, nothing recognised, or more than one table.
    """
    require(source, REMEDY)
    paths = [source] if source.is_file() else sorted(filter(Path.is_file, source.iterdir()))
    known = _recognised(paths) if form == "auto" else form
    usual = [path for path in paths if path.name == PLAYS.get(known)]
    tables = [
        path for path in paths if path.suffix.lower() in TABLES and path.name not in BESIDE.values()
    ]
    plays = require(_only_one(source, usual or tables), REMEDY)
    return ListensFiles(format=known, plays=plays, beside=_beside(plays, known))


def _beside(plays: Path, known: Format) -> Path | None:
    if known not in BESIDE:
        return None
    beside = plays.with_name(BESIDE[known])
    if known == "hetrec":
        return require(beside, "put it beside the listens")
    return beside if beside.is_file() else None


def _recognised(paths: Sequence[Path]) -> Format:
    names = {path.name for path in paths}
    return next((known for known, name in PLAYS.items() if name in names), "table")


def _only_one(source: Path, paths: list[Path]) -> Path:
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "no listens"
        raise DataError(source, f"holds {found}", expected=RECOGNISED, remedy=REMEDY)
    return paths[0]


def scan_listens(files: ListensFiles, columns: TableColumns) -> Rows:
    """Scan the rows of listens; `columns` matters to tables only.

    Raises
    ------
    DataError
        A file of another kind than its name says, or without the columns.
    """
    try:
        if files.format == "lastfm_360k":
            return _lastfm_360k(files)
        if files.format == "hetrec" and files.beside:
            frame = _hetrec(files.plays, files.beside)
        else:
            frame = _table(files.plays, columns)
    except pl.exceptions.PolarsError as error:
        raise unreadable(files.plays, error) from error
    return Rows(files=files, frame=_tidy(frame))


def lastfm_360k_rows(source: Path | bytes) -> pl.LazyFrame:
    """The lines of Last.fm-360K in the shape of `Rows.frame`."""
    return _tidy(_fields(source, ["listener", "mbid", "name", "plays"]))


def _lastfm_360k(files: ListensFiles) -> Rows:
    frame = lastfm_360k_rows(files.plays)
    if files.beside is None:
        return Rows(files=files, frame=frame)
    profiles = _fields(files.beside, ["listener", "gender", "age", "country", "signup"])
    return Rows(files=files, frame=frame, profiles=profiles.select(_text("listener")))


def _hetrec(plays: Path, artists: Path) -> pl.LazyFrame:
    played = _headed(plays, ["userID", "artistID", "weight"])
    named = _headed(artists, ["id", "name", "url", "pictureURL"], _decoded(artists))
    _require_columns(plays, played, ["userID", "artistID", "weight"])
    _require_columns(artists, named, ["id", "name"])
    names = named.select("name", artistID=_text("id")).unique("artistID", keep="first")
    return (
        played.with_columns(_text("artistID"))
        .join(names, on="artistID", how="left", maintain_order="left")
        .select("malformed", "name", listener="userID", mbid=pl.lit(""), plays="weight")
    )


def _table(path: Path, columns: TableColumns) -> pl.LazyFrame:
    frame = {".csv": _csv, ".tsv": _headed, ".parquet": _parquet}[path.suffix](path)
    needed = [columns.listener, columns.artist, columns.plays]
    names = _require_columns(path, frame, needed, "name the columns in listens.columns")
    return frame.select(
        "malformed",
        listener=columns.listener,
        mbid=columns.mbid if columns.mbid in names else pl.lit(""),
        name=columns.artist,
        plays=columns.plays,
    )


def _require_columns(
    path: Path, frame: pl.LazyFrame, columns: Sequence[str], remedy: str = ""
) -> list[str]:
    """Return all columns of the file if the needed ones are among them."""
    names = [name for name in frame.collect_schema().names() if name != "malformed"]
    for column in columns:
        if column not in names:
            there = ", ".join(nearest(column, names) or names)
            raise DataError(path, f"has no column '{column}' but {there}", remedy=remedy)
    return names


def _parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False).with_columns(malformed=pl.lit(False))


def _csv(path: Path) -> pl.LazyFrame:
    _require_text(path)
    names = pl.scan_csv(path, infer_schema=False, glob=False).collect_schema().names()
    frame = pl.scan_csv(
        path,
        has_header=False,
        skip_rows=1,
        schema=dict.fromkeys([*names, "\n"], pl.String),  # a name that no column can have
        extra_columns="ignore",
        missing_columns="insert",
        glob=False,
    )
    return frame.with_columns(malformed=pl.col("\n").is_not_null()).drop("\n")


def _headed(path: Path, usual: Sequence[str] = (), source: bytes | None = None) -> pl.LazyFrame:
    """Tab-separated text whose first line names the columns; without it they are the usual."""
    _require_text(path)
    with path.open("rb") as file:
        names = file.readline().decode("utf-8-sig", errors="replace").rstrip("\r\n").split("\t")
    text = path if source is None else source
    if usual and not set(usual) & set(names):
        return _fields(text, usual)
    return _fields(text, names, skip_lines=1)


def _fields(source: Path | bytes, columns: Sequence[str], skip_lines: int = 0) -> pl.LazyFrame:
    """Tab-separated text as `columns` and malformed; only a line feed ends a line."""
    if isinstance(source, Path):
        _require_text(source)
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
    fields = line.str.splitn("\t", len(columns)).struct.rename_fields(list(columns))
    malformed = line.str.count_matches("\t", literal=True) != len(columns) - 1
    return lines.select(malformed=malformed, fields=fields).unnest("fields")


def _tidy(frame: pl.LazyFrame) -> pl.LazyFrame:
    plays = _text("plays").cast(pl.Float64, strict=False)
    return frame.select("malformed", _text("listener"), _text("mbid"), _text("name"), plays)


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null("").str.strip_chars()


def _require_text(path: Path) -> None:
    with path.open("rb") as file:
        if b"\0" in file.read(1 << 16):
            raise DataError(path, "is binary", expected="text in UTF-8", remedy=REMEDY)


def _decoded(path: Path) -> bytes:
    """Read text as UTF-8, else as Windows-1252, as some copies of HetRec 2011 are; give UTF-8."""
    text = path.read_bytes()
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", errors="replace").encode()
    return text


def unreadable(path: Path, error: pl.exceptions.PolarsError) -> DataError:
    """What to say of a file that polars cannot read."""
    reason = str(error).partition("\n")[0]
    return DataError(path, f"cannot be read ({reason})", remedy="mend it or export it again")
