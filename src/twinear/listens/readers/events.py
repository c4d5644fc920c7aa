"""Logs of single listens, each with a time: what all of them need.

Listens outside of the period are left out; the others are summed by listener and artist, a piece
at a time. A line without a readable time is malformed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.formats import ListensFiles
from twinear.listens.readers.period import Period
from twinear.listens.readers.rows import LINE, Piece, Rows, spool, text

YEAR_1 = datetime(1, 1, 1, tzinfo=UTC).timestamp()
YEAR_9999 = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(kw_only=True)
class PeriodCounts:
    """Listens inside and outside of the period, and the times of the first and the last.

    It is filled while the pieces are read. Times are seconds since 1970.
    """

    inside: int = 0
    outside: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    def add_times(self, first: float, last: float) -> None:
        """Extend the times by the first and the last of some listens."""
        self.first, self.last = min(self.first, first), max(self.last, last)


def timed_rows(files: ListensFiles, folder: Path, pieces: Iterable[Piece], period: Period) -> Rows:
    """Open rows of pieces that hold single listens, with `seconds` instead of plays; summed.

    Raises
    ------
    DataError
        There are listens, but none in the period.
    """
    counts = PeriodCounts()
    summed = (_sum_listens(piece, period, counts) for piece in pieces)
    return summed_rows(files, folder, summed, period, counts)


def _sum_listens(piece: Piece, period: Period, counts: PeriodCounts) -> Piece:
    """Sum the listens of a piece that are in the period; one without a time is malformed."""
    seconds = pl.col("seconds").cast(pl.Float64, strict=False)
    malformed = pl.col("malformed") | seconds.is_null()
    fields = {  # those of malformed lines mean nothing
        column: pl.when(~malformed).then(text(column)).otherwise(pl.lit(""))
        for column in ("listener", "mbid", "name")
    }
    first, end = period.seconds
    inside = (pl.col("seconds") >= first) & (pl.col("seconds") < end)
    listens = piece.frame.select(LINE, malformed=malformed, seconds=seconds, **fields).collect()
    timed = listens.filter(~pl.col("malformed"))
    n_inside = timed.filter(inside).height
    counts.inside += n_inside
    counts.outside += timed.height - n_inside
    if timed.height:
        times = timed.select(first=pl.col("seconds").min(), last=pl.col("seconds").max())
        counts.add_times(*times.row(0))
    remaining = listens.lazy().filter(pl.col("malformed") | inside)
    groups = remaining.group_by("malformed", "listener", "mbid", "name")
    sums = groups.agg(plays=pl.len(), **{LINE: pl.col(LINE).min()}).sort(LINE)
    return Piece(frame=sums, file=piece.file)


def summed_rows(
    files: ListensFiles, folder: Path, pieces: Iterable[Piece], period: Period, counts: PeriodCounts
) -> Rows:
    """Open rows of pieces in which the plays are numbers of listens.

    Raises
    ------
    DataError
        There are listens, but none in the period.
    """
    spooled = spool(pieces, folder)
    if counts.outside and not counts.inside:
        first, last = (
            datetime.fromtimestamp(min(max(seconds, YEAR_1), YEAR_9999), UTC).date().isoformat()
            for seconds in (counts.first, counts.last)
        )
        found = f"has no listens {period}, only from {first} to {last}"
        raise DataError(files.place, found, remedy="change listens.window")
    return Rows(
        files=files,
        frame=spooled.frame,
        locate=spooled.locate,
        summed=True,
        n_outside=counts.outside,
    )
