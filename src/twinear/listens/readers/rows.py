"""Rows of listens from any file, read lazily."""

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
        Their source.
    frame
        listener, mbid, name (text without surrounding blanks, "" where missing), plays (float,
        null where not a number), malformed (bool).
    locate
        Row of the frame -> its place, `file:line`; for summed listens the place of the first.
    summed
        A row stands for as many listens as it has plays. A listen by several artists counts for
        each.
    n_outside
        Listens that were left out because they are outside of the period.
    profiles
        listener, of those with a profile; None where profiles are not known.
    """

    files: ListensFiles
    frame: pl.LazyFrame
    locate: Callable[[int], str]
    summed: bool = False
    n_outside: int = 0
    profiles: pl.LazyFrame | None = None

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query on the rows."""
        try:
            return query.collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise unreadable(self.files.plays, error) from error


def tidy(frame: pl.LazyFrame, *more: str) -> pl.LazyFrame:
    """Bring columns of any type to the types of `Rows.frame`; keep `more`."""
    plays = text("plays").cast(pl.Float64, strict=False)
    return frame.select("malformed", text("listener"), text("mbid"), text("name"), plays, *more)


def text(column: str) -> pl.Expr:
    """Return a column as text without surrounding blanks, "" where missing."""
    return pl.col(column).cast(pl.String).fill_null("").str.strip_chars()


def unreadable(path: Path, error: pl.exceptions.PolarsError) -> DataError:
    """Make a one-line error for a file that polars cannot read."""
    reason = str(error).partition("\n")[0]
    return DataError(path, f"cannot be read ({reason})", remedy="fix it or export it again")
