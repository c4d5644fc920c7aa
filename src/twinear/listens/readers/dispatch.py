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
from twinear.listens.readers.events import ListenCounts, ListenRules, select_listens, timed_rows
from twinear.listens.readers.formats import ListensFile, ListensFiles, TableColumns
from twinear.listens.readers.lastfm_datasets import parse_lastfm_360k
from twinear.listens.readers.recognition import find_listens
from twinear.listens.readers.rows import POLARS_ERRORS, Piece, Rows, spool, unreadable

CHECKED_ROWS = 10_000


@contextmanager
def open_rows(
    sources: Path | Sequence[Path], form: str, columns: TableColumns, rules: ListenRules
) -> Iterator[Rows]:
    """Open the rows of all listens in some sources; temporary files are removed at the end.

    Parameters
    ----------
    form
        A value of `listens.format`.
    columns
        Of tables only.
    rules
        For formats with times only.

    Raises
    ------
    DataError
        No listens are recognised; a file that is damaged, columns that are missing or swapped; no
        listens in the period.
    ParamsError
        A period or sessions, but a format without times.
    """
    with TemporaryDirectory(prefix="twinear-") as folder:
        unpacked, spooled = Path(folder, "unpacked"), Path(folder, "rows")
        unpacked.mkdir()
        spooled.mkdir()
        files = find_listens(sources, form, columns, unpacked)
        try:
            rows = _rows(files, spooled, rules)
        except POLARS_ERRORS as error:
            raise unreadable(files.place, error) from error
        _require_columns_in_place(rows)
        yield rows


def _rows(files: ListensFiles, folder: Path, rules: ListenRules) -> Rows:
    untimed = [file for file in files.files if not file.timed]
    if not untimed:
        return timed_rows(
            files, folder, chain.from_iterable(file.read() for file in files.files), rules
        )
    without = f"but {untimed[0].recognised.format} has no times"
    if rules.period:
        raise ParamsError("listens.window", f"{rules.period}, {without}", remedy='set both to ""')
    if rules.keep_times:
        remedy = "set it to listener"
        raise ParamsError("similarity.basket", f"session, {without}", remedy=remedy)
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
    counts = ListenCounts()
    pieces = (_read_as_plays(file, rules, counts) for file in files.files)
    rows = spool(chain.from_iterable(pieces), folder)
    return Rows(
        files=files,
        frame=rows.frame,
        locate=rows.locate,
        days=counts.days,
        n_skipped=counts.skipped,
        profiles=with_profile,
    )


def _read_as_plays(file: ListensFile, rules: ListenRules, counts: ListenCounts) -> Iterator[Piece]:
    """Read a file; beside files of plays each single listen is a row of one play."""
    for piece in file.read():
        if file.timed:
            listens = select_listens(piece.frame, rules, counts).lazy()
            piece = replace(piece, frame=listens.with_columns(plays=pl.lit(1)))
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
