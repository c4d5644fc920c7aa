"""Rows that come in pieces, kept on disk while they are used.

What polars cannot scan in place (compressed text, JSON lines, logs of single listens) is read
once, piece by piece, into Parquet files in a temporary folder.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.rows import tidy

LINE = "\nline"  # a name that no column of a table can have
SCHEMA = {
    "malformed": pl.Boolean,
    "listener": pl.String,
    "mbid": pl.String,
    "name": pl.String,
    "plays": pl.Float64,
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of the rows.

    Parameters
    ----------
    frame
        The columns of `Rows.frame`, of any type, and `LINE` (of the file, from 1).
    file
        Its file, for messages.
    """

    frame: pl.LazyFrame
    file: str


@dataclass(frozen=True, kw_only=True)
class Spool:
    """Pieces of rows on disk; `files` maps the first row of each piece to its file."""

    folder: Path
    files: dict[int, str]

    @property
    def frame(self) -> pl.LazyFrame:
        """The rows of all pieces, in their order."""
        if not self.files:
            return pl.LazyFrame(schema=SCHEMA)
        return pl.scan_parquet(self.folder / "*.parquet").select(*SCHEMA)

    def locate(self, row: int) -> str:
        """Return the place of a row, `file:line`."""
        file = self.files[max(first for first in self.files if first <= row)]
        lines = pl.scan_parquet(self.folder / "*.parquet").select(LINE)
        return f"{file}:{lines.slice(row, 1).collect().item()}"


def spool(pieces: Iterable[Piece], folder: Path) -> Spool:
    """Write the pieces to an empty folder.

    Raises
    ------
    DataError
        The disk is full.
    """
    files: dict[int, str] = {}
    n = 0
    for number, piece in enumerate(pieces):
        frame = tidy(piece.frame, LINE).collect()
        if not frame.height:
            continue
        content = io.BytesIO()  # written by Python, so that a full disk is an OSError
        frame.write_parquet(content, compression="lz4")
        try:
            (folder / f"{number:08}.parquet").write_bytes(content.getbuffer())
        except OSError as error:
            found = f"has no room for what is read ({error.strerror or error})"
            raise DataError(folder, found, remedy="set TMPDIR to a larger disk") from error
        files[n] = piece.file
        n += frame.height
    return Spool(folder=folder, files=files)
