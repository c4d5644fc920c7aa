"""Logs with a line for each listen: Last.fm-1K, and what every such log needs.

Listens are left out where their time is outside of the window and summed up by listener and
artist, a piece at a time. A line without a time that can be read is malformed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from twinear.base.errors import DataError
from twinear.listens.readers.decompression import chunks, unpacked
from twinear.listens.readers.formats import ListensFiles
from twinear.listens.readers.period import Window
from twinear.listens.readers.rows import Rows, text
from twinear.listens.readers.spool import LINE, Piece, keep
from twinear.listens.readers.text import fields

LASTFM_1K = ("listener", "time", "mbid", "name", "recording_mbid", "recording")
TIME = "%Y-%m-%dT%H:%M:%SZ"
YEAR_1 = datetime(1, 1, 1, tzinfo=UTC).timestamp()
END_OF_YEARS = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(kw_only=True)
class Seen:
    """What was seen of the times of the listens, to say it when none is left.

    Parameters
    ----------
    inside, outside
        Listens in the window and out of it.
    first, last
        Seconds since 1970.
    """

    inside: int = 0
    outside: int = 0
    first: float = field(default=float("inf"))
    last: float = field(default=float("-inf"))

    def note(self, first: float, last: float) -> None:
        """Note the first and the last time of some listens."""
        self.first, self.last = min(self.first, first), max(self.last, last)


def lastfm_1k(files: ListensFiles, scratch: Path, window: Window) -> Rows:
    """The listens of Last.fm-1K, summed up."""
    seen = Seen()
    return summed(files, scratch, window, _lastfm_1k(files.plays, window, seen), seen)


def summed(
    files: ListensFiles, scratch: Path, window: Window, pieces: Iterable[Piece], seen: Seen
) -> Rows:
    """Rows of pieces in which the plays are listens.

    Raises
    ------
    DataError
        There are listens, and none is in the window.
    """
    kept = keep(pieces, scratch)
    if seen.outside and not seen.inside:
        days = (_day(seen.first), _day(seen.last))
        raise DataError(
            files.plays,
            f"has no listens {window}, those it has are from {days[0]} to {days[1]}",
            remedy="mend listens.window",
        )
    return Rows(
        files=files, frame=kept.frame, locate=kept.locate, summed=True, outside=seen.outside
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(min(max(seconds, YEAR_1), END_OF_YEARS), UTC).date().isoformat()


def _lastfm_1k(path: Path, window: Window, seen: Seen) -> Iterator[Piece]:
    first = 1
    with unpacked(path) as stream:
        for chunk in chunks(stream, path):
            listens = _timed(fields(chunk, LASTFM_1K).with_row_index(LINE, first)).collect()
            yield Piece(frame=_in_window(listens, window, seen), file=str(path))
            first += chunk.count(b"\n")


def _timed(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Give each listen its time in seconds; the fields of malformed lines mean nothing."""
    seconds = text("time").str.to_datetime(TIME, strict=False).dt.epoch("s").cast(pl.Float64)
    bad = pl.col("malformed") | seconds.is_null()
    named = {
        column: pl.when(~bad).then(text(column)).otherwise(pl.lit(""))
        for column in ("listener", "mbid", "name")
    }
    return frame.select(LINE, malformed=bad, seconds=seconds, **named)


def _in_window(listens: pl.DataFrame, window: Window, seen: Seen) -> pl.LazyFrame:
    """Leave out what is outside of the window, sum up the rest."""
    first, end = window.seconds
    timed = listens.filter(~pl.col("malformed"))["seconds"]
    inside = (pl.col("seconds") >= first) & (pl.col("seconds") < end)
    n_inside = timed.to_frame().filter(inside).height
    seen.inside += n_inside
    seen.outside += timed.len() - n_inside
    if timed.len():
        low, high = (
            listens.filter(~pl.col("malformed"))
            .select(low=pl.col("seconds").min(), high=pl.col("seconds").max())
            .row(0)
        )
        seen.note(low, high)
    kept = listens.lazy().filter(pl.col("malformed") | inside)
    groups = kept.group_by("malformed", "listener", "mbid", "name")
    return groups.agg(plays=pl.len(), **{LINE: pl.col(LINE).min()}).sort(LINE)
