"""Open files of listens as rows of one shape, and check that their columns are in place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from twinear.artists.identity import MBID
from twinear.base.errors import DataError, ParamsError
from twinear.listens.readers.events import timed_rows
from twinear.listens.readers.formats import ListensFile, ListensFiles, TableColumns
from twinear.listens.readers.lastfm_datasets import parse_lastfm_360k
from twinear.listens.readers.period import Period
from twinear.listens.readers.recognition import find_listens
from twinear.listens.readers.rows import Piece, Rows, spool, unreadable

CHECKED_ROWS = 10_000


@contextmanager
def open_rows(
    sources: Path | Sequence[Path], form: str, columns: TableColumns, period: Period
) -> Iterator[Rows]:
    """Open the rows of all listens in some sources; temporary files are removed at the end.

    Parameters
    ----------
    form
        A value of `listens.format`.
    columns
        Of tables only.
    period
        For formats with times only.

    Raises
    ------
    DataError
        No listens are recognised; a file that is damaged, columns that are missing or swapped; no
        listens in the period.
    ParamsError
        A period, but a format without times.
    """
    with TemporaryDirectory(prefix="twinear-") as folder:
        unpacked, spooled = Path(folder, "unpacked"), Path(folder, "rows")
        unpacked.mkdir()
        spooled.mkdir()
        files = find_listens(sources, form, columns, unpacked)
        try:
            rows = _rows(files, spooled, period)
        except pl.exceptions.PolarsError as error:
            raise unreadable(files.place, error) from error
        _require_columns_in_place(rows)
        yield rows


def _rows(files: ListensFiles, folder: Path, period: Period) -> Rows:
    untimed = [file for file in files.files if not file.timed]
    if not untimed:
        return timed_rows(
            files, folder, chain.from_iterable(file.read() for file in files.files), period
        )
    if period:
        found = f"{period}, but {untimed[0].recognised.format} has no times"
        raise ParamsError("listens.window", found, remedy='set both to ""')
    profiles = [file.profiles for file in files.files]
    known = [each for each in profiles if each is not None]
    with_profile = pl.concat(known) if len(known) == len(profiles) else None
    scannable = files.files[0].scannable
    if scannable and len(files.files) == 1:
        return Rows(
            files=files,
            frame=parse_lastfm_360k(scannable),
            locate=lambda row: f"{files.place}:{row + 1}",
            profiles=with_profile,
        )
    rows = spool(chain.from_iterable(map(_read_as_plays, files.files)), folder)
    return Rows(files=files, frame=rows.frame, locate=rows.locate, profiles=with_profile)


def _read_as_plays(file: ListensFile) -> Iterator[Piece]:
    """Read a file; beside files of plays each single listen is a row of one play."""
    for piece in file.read():
        if file.timed:
            seconds = pl.col("seconds").cast(pl.Float64, strict=False)
            frame = piece.frame.with_columns(
                malformed=pl.col("malformed") | seconds.is_null(), plays=pl.lit(1)
            )
            piece = replace(piece, frame=frame)
        yield piece


def _require_columns_in_place(rows: Rows) -> None:
    """Raise `DataError` where a column holds the ids that belong to another.

    Most names are MBIDs other than the row's own; or most listeners are MBIDs, and no MBID is.
    """
    head = rows.collect(rows.frame.head(CHECKED_ROWS).filter(~pl.col("malformed")))
    is_id = {
        column: pl.col(column).str.to_lowercase().str.contains(f"^{MBID.pattern}$")
        for column in ("listener", "mbid", "name")
    }
    some_mbid, no_mbid = (pl.col("mbid") != "").any(), ~is_id["mbid"].any()
    is_swapped = head.select(
        artist=(is_id["name"] & (pl.col("name") != pl.col("mbid"))).mean() > 0.5,
        listener=(is_id["listener"].mean() > 0.5) & some_mbid & no_mbid,
    )
    for column, swapped in is_swapped.row(0, named=True).items():
        if swapped:
            found = f"the column of the {column} holds MusicBrainz ids"
            remedy = "columns are swapped: fix the file or listens.columns"
            raise DataError(rows.files.place, found, remedy=remedy)
