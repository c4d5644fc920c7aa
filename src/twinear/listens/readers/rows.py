"""Rows of listens from any file, read lazily.

All but plain Last.fm-360K is read once, piece by piece, into Parquet files in a temporary folder:
`spool`.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.decompression import explain_full_disk
from twinear.listens.readers.formats import MAX_NAME, ListensFiles

# of a file that is damaged; a panic is no `Exception`
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
LINE = "\nline"  # a name that no column of a table can have
SCHEMA = {
    "malformed": pl.Boolean,
    "listener": pl.String,
    "mbid": pl.String,
    "name": pl.String,
    "plays": pl.Float64,
}
TIMES = "times"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of listens, not yet read.

    Parameters
    ----------
    frame
        listener, mbid, name (text without surrounding blanks, "" where missing), plays (float,
        null where not a number), malformed (bool).
    locate
        Row of the frame -> its place, `file:line`; for summed listens the place of the first.
    summed
        A row stands for as many listens as it has plays. A listen by several artists counts for
        each.
    timed
        The frame has also `TIMES`: the second since 1970 of each listen that a row stands for.
    days
        Of the first and the last listen, in UTC; "" where there are no times.
    n_outside, n_skipped
        Listens that were left out because they are outside of the period, or skipped.
    profiles
        listener, of those with a profile; None where profiles are not known.
    """

    files: ListensFiles
    frame: pl.LazyFrame
    locate: Callable[[int], str]
    summed: bool = False
    timed: bool = False
    days: tuple[str, str] = ("", "")
    n_outside: int = 0
    n_skipped: int = 0
    profiles: pl.LazyFrame | None = None

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query on the rows."""
        try:
            return query.collect(engine="streaming")
        except POLARS_ERRORS as error:
            raise unreadable(self.files.place, error) from error


def tidy(frame: pl.LazyFrame, *more: str) -> pl.LazyFrame:
    """Bring columns of any type to the types of `Rows.frame`; keep `more`."""
    plays = text("plays").cast(pl.Float64, strict=False)
    name = text("name")
    length = pl.col("name").cast(pl.String).str.len_chars().fill_null(0)
    malformed = pl.col("malformed") | (length > MAX_NAME)
    return frame.select(malformed, text("listener"), text("mbid"), name, plays, *more)


def text(column: str) -> pl.Expr:
    """Return a column as text without surrounding blanks, "" where missing."""
    return pl.col(column).cast(pl.String).fill_null("").str.strip_chars()


def unreadable(place: object, error: BaseException) -> DataError:
    """Make a one-line error for a file that polars cannot read."""
    reason = str(error).partition("\n")[0]
    return DataError(place, f"cannot be read ({reason})", remedy="fix it or export it again")


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A file of text, however it was packed and encoded.

    Parameters
    ----------
    name
        For messages: "listens/someone.csv", "export.zip:listens/2023/11.jsonl".
    listener
        To whom the listens belong where the format names no listener: the file's path without its
        suffixes, so that each file is one listener's.
    folder_listener
        The same where the files of a folder or an archive are parts of one listener's export: what
        holds them.
    encoding
        Of the file, as far as its first letters beyond ASCII say.
    start
        The first 64 KiB, in UTF-8 without a byte-order mark.
    chunks
        The whole text from its beginning, in valid UTF-8 without a byte-order mark, in pieces of
        some 8 MB that end with a line (the last may lack its line feed). Lines end with a line
        feed; a carriage return before it is left. JSON without line ends is one piece.
    """

    name: str
    listener: str
    folder_listener: str
    encoding: str = "utf-8"
    start: bytes
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of the rows.

    Parameters
    ----------
    frame
        `LINE` (of the file, from 1; of an array the number of the item) and the columns of
        `Rows.frame`, of any type; in a log of single listens `seconds` (since 1970, UTC, null where
        unreadable) instead of plays.
    file
        For messages.
    """

    frame: pl.LazyFrame
    file: str


@dataclass(frozen=True, kw_only=True)
class Spool:
    """Pieces of rows on disk.

    Parameters
    ----------
    files
        First row of each piece -> the file it is from, for messages.
    columns
        Of `frame`.
    """

    folder: Path
    files: dict[int, str]
    columns: pl.Schema

    @property
    def frame(self) -> pl.LazyFrame:
        """The rows of all pieces, in their order."""
        return self._rows.select(*self.columns) if self.files else pl.LazyFrame(schema=self.columns)

    @property
    def _rows(self) -> pl.LazyFrame:
        # by name: a folder that is called `a[b]*` is no pattern
        return pl.scan_parquet(sorted(self.folder.iterdir()), glob=False)

    def locate(self, row: int) -> str:
        """Return the place of a row, `file:line`."""
        file = self.files[max(first for first in self.files if first <= row)]
        return f"{file}:{self._rows.select(LINE).slice(row, 1).collect().item()}"


@dataclass(frozen=True, kw_only=True)
class ListensFormat:
    """A format of text files: how a file of it is recognised, and how its rows are read.

    Parameters
    ----------
    name
        The value of `listens.format`.
    title
        For people: "Spotify, extended streaming history".
    timed
        Its rows are single listens with a time.
    recognise
        What is assumed of the file ("times in UTC"; "" if nothing), None if it is of another
        format.
    read
        The rows of a file, in pieces.
    """

    name: str
    title: str
    timed: bool
    recognise: Callable[[TextFile], str | None]
    read: Callable[[TextFile], Iterator[Piece]]


@dataclass(frozen=True, kw_only=True)
class PairedFormat:
    """A format in which a second text file, in the same folder, names the artists.

    Parameters
    ----------
    usual
        The usual names of the two files.
    recognise
        Whether a file is the first of them, whatever its name.
    """

    name: str
    title: str
    usual: tuple[str, str]
    timed: bool
    read: Callable[[TextFile, TextFile], Iterator[Piece]]
    recognise: Callable[[TextFile], bool] = lambda _: False


def spool(pieces: Iterable[Piece], folder: Path, timed: bool = False) -> Spool:
    """Write the pieces, which have `TIMES` if `timed`, to an empty folder.

    Raises
    ------
    DataError
        The disk is full.
    """
    files: dict[int, str] = {}
    columns = pl.Schema(SCHEMA | ({TIMES: pl.List(pl.UInt32)} if timed else {}))
    n = 0
    for piece in pieces:
        frame = tidy(piece.frame, LINE, *([TIMES] if timed else [])).collect()
        if not frame.height:
            continue
        content = io.BytesIO()  # written by Python, so that a full disk is an OSError
        frame.write_parquet(content, compression="lz4")
        with explain_full_disk(folder):
            (folder / f"{len(files):08}.parquet").write_bytes(content.getvalue())
        files[n] = piece.file
        n += frame.height
    return Spool(folder=folder, files=files, columns=columns)
