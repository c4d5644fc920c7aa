"""Logs of single listens, each with a time: what all of them need.

Listens outside of the period are left out; the others are summed by listener and artist, a piece
at a time. A line without a readable time is malformed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from twinear.base.errors import ParamsError
from twinear.listens.readers.formats import ListensFiles
from twinear.listens.readers.period import Period
from twinear.listens.readers.rows import LINE, TIMES, Piece, Rows, spool, text

GROUP = ("malformed", "listener", "mbid", "name")
MAX_SUMS = 500_000  # added up in memory, about 100 MB
MAX_LISTENS = 10_000_000
LAST_SECOND = 2**32 - 1  # in the year 2106
YEAR_1 = datetime(1, 1, 1, tzinfo=UTC).timestamp()
YEAR_9999 = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(frozen=True, kw_only=True)
class ListenRules:
    """Which single listens count, and whether their times are needed.

    Parameters
    ----------
    min_played_seconds
        Listens that were played for a shorter time do not count; those of unknown time do.
    keep_times
        The rows have the times of their listens.
    """

    period: Period
    min_played_seconds: float = 0
    keep_times: bool = False


@dataclass(kw_only=True)
class ListenCounts:
    """Listens that count and that do not, and the times of the first and the last.

    It is filled while the pieces are read. Times are seconds since 1970.
    """

    inside: int = 0
    outside: int = 0
    skipped: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    @property
    def days(self) -> tuple[str, str]:
        """The days of the first and the last listen, counted or not, in UTC; "" if none."""
        if self.first > self.last:
            return "", ""
        first, last = (
            datetime.fromtimestamp(min(max(seconds, YEAR_1), YEAR_9999), UTC).date().isoformat()
            for seconds in (self.first, self.last)
        )
        return first, last


def timed_rows(
    files: ListensFiles, folder: Path, pieces: Iterable[Piece], rules: ListenRules
) -> Rows:
    """Open rows of pieces that hold single listens, with `seconds` instead of plays; summed.

    A piece may also have the columns `skipped` (the player says so) and `seconds_played`.

    Raises
    ------
    ParamsError
        There are listens, but none in the period.
    """
    counts = ListenCounts()
    spooled = spool(_sum_pieces(pieces, rules, counts), folder, rules.keep_times)
    if counts.outside and not counts.inside:
        first, last = counts.days
        found = f"no listens {rules.period} in {files.place}, only from {first} to {last}"
        raise ParamsError("listens.window", found, remedy="change it")
    return Rows(
        files=files,
        frame=spooled.frame,
        locate=spooled.locate,
        summed=True,
        timed=rules.keep_times,
        days=counts.days,
        n_outside=counts.outside,
        n_skipped=counts.skipped,
    )


def _sum_pieces(
    pieces: Iterable[Piece], rules: ListenRules, counts: ListenCounts
) -> Iterator[Piece]:
    """Sum the listens of each piece, and the sums of consecutive pieces of a file."""
    sums: list[pl.DataFrame] = []
    file = ""
    for piece in pieces:
        n_rows = sum(part.height for part in sums)
        n_listens = sum(part["plays"].sum() for part in sums)
        if sums and (piece.file != file or n_rows > MAX_SUMS or n_listens > MAX_LISTENS):
            yield Piece(frame=_add_sums(sums), file=file)
            sums = []
        listens = select_listens(piece.frame, rules, counts).lazy()
        grouped = {"plays": pl.len(), LINE: pl.col(LINE).min()}
        if rules.keep_times:
            grouped[TIMES] = pl.col("seconds").fill_null(0).clip(0, LAST_SECOND).cast(pl.UInt32)
        sums.append(listens.group_by(GROUP).agg(**grouped).sort(LINE).collect())
        file = piece.file
    if sums:
        yield Piece(frame=_add_sums(sums), file=file)


def _add_sums(sums: list[pl.DataFrame]) -> pl.LazyFrame:
    """Add up the plays of all parts by listener and artist, in the order of the first lines."""
    if len(sums) == 1:
        return sums[0].lazy()
    added = {"plays": pl.col("plays").sum(), LINE: pl.col(LINE).min()}
    if TIMES in sums[0].columns:
        added[TIMES] = pl.col(TIMES).explode()
    return pl.concat(sums).lazy().group_by(GROUP).agg(**added).sort(LINE)


def select_listens(frame: pl.LazyFrame, rules: ListenRules, counts: ListenCounts) -> pl.DataFrame:
    """Select the listens of a piece that count, and count all; one without a time is malformed."""
    columns = frame.collect_schema().names()
    seconds = pl.col("seconds").cast(pl.Float64, strict=False)
    malformed = pl.col("malformed") | seconds.is_null() | seconds.is_nan()
    fields = {  # those of malformed lines mean nothing
        column: pl.when(~malformed).then(text(column)).otherwise(pl.lit("")) for column in GROUP[1:]
    }
    skipped = pl.lit(False)
    if "skipped" in columns:
        skipped |= pl.col("skipped").fill_null(False)
    if "seconds_played" in columns:
        played = pl.col("seconds_played").cast(pl.Float64, strict=False)
        skipped |= (played < rules.min_played_seconds).fill_null(False)
    listens = frame.select(
        LINE, malformed=malformed, seconds=seconds, skipped=skipped, **fields
    ).collect()
    first, end = rules.period.seconds
    timed, counted = ~pl.col("malformed"), ~pl.col("skipped")
    inside = (pl.col("seconds") >= first) & (pl.col("seconds") < end)
    n_inside, n_outside, n_skipped, earliest, latest = listens.select(
        (timed & inside & counted).sum(),
        outside=(timed & ~inside).sum(),
        skipped=(timed & inside & ~counted).sum(),
        first=pl.col("seconds").filter(timed).min().fill_null(counts.first),
        last=pl.col("seconds").filter(timed).max().fill_null(counts.last),
    ).row(0)
    counts.inside += n_inside
    counts.outside += n_outside
    counts.skipped += n_skipped
    counts.first, counts.last = min(counts.first, earliest), max(counts.last, latest)
    return listens.filter(~timed | (inside & counted))
