"""Rows of listens, whatever file they come from: not yet read, and in pieces when they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.formats import ListensFiles


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
    locate
        Row of the frame -> its place, `file:line`; of rows that sum up listens, the first one's.
    summed
        Whether a row stands for as many listens as it has plays. A listen by several artists is
        one of each.
    outside
        Listens that were left out because their time is outside of the window.
    profiles
        listener: those with a profile; None where profiles are not known.
    """

    files: ListensFiles
    frame: pl.LazyFrame
    locate: Callable[[int], str]
    summed: bool = False
    outside: int = 0
    profiles: pl.LazyFrame | None = None

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Read what `query` asks of the rows."""
        try:
            return query.collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise unreadable(self.files.plays, error) from error


def tidy(frame: pl.LazyFrame, *more: str) -> pl.LazyFrame:
    """The columns of `Rows.frame` and `more`, of columns of any type."""
    plays = text("plays").cast(pl.Float64, strict=False)
    return frame.select("malformed", text("listener"), text("mbid"), text("name"), plays, *more)


def text(column: str) -> pl.Expr:
    """A column as text without surrounding blanks, "" where there is none."""
    return pl.col(column).cast(pl.String).fill_null("").str.strip_chars()


def unreadable(path: Path, error: pl.exceptions.PolarsError) -> DataError:
    """Say in one line why a file cannot be read."""
    reason = str(error).partition("\n")[0]
    return DataError(path, f"cannot be read ({reason})", remedy="mend it or export it again")
