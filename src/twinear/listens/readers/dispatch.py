"""Open files of listens as rows of one shape, and check that their columns are in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from twinear.artists.identity import MBID
from twinear.base.errors import DataError, ParamsError
from twinear.listens.readers.events import ListenRules, lastfm_1k
from twinear.listens.readers.formats import TIMED, ListensFiles, TableColumns
from twinear.listens.readers.listenbrainz import listenbrainz
from twinear.listens.readers.rows import Rows, unreadable
from twinear.listens.readers.tables import hetrec, lastfm_360k, table

CHECKED_ROWS = 10_000


@contextmanager
def open_rows(files: ListensFiles, columns: TableColumns, rules: ListenRules) -> Iterator[Rows]:
    """Open the rows of listens; temporary files are removed at the end.

    Parameters
    ----------
    columns
        Of tables only.
    rules
        For formats with times only.

    Raises
    ------
    DataError
        A file that is damaged or of another format than its name says, columns that are missing
        or swapped; no listens in the period.
    ParamsError
        A period or sessions, but a format without times.
    """
    if files.format not in TIMED:
        if rules.period:
            found = f"{rules.period}, but {files.format} has no times"
            raise ParamsError("listens.window", found, remedy='set both to ""')
        if rules.keep_times:
            found = f"session, but {files.format} has no times"
            raise ParamsError("similarity.basket", found, remedy="set it to listener")
    with TemporaryDirectory(prefix="twinear-") as folder:
        try:
            match files.format:
                case "lastfm_360k":
                    rows = lastfm_360k(files, Path(folder))
                case "lastfm_1k":
                    rows = lastfm_1k(files, Path(folder), rules)
                case "hetrec":
                    rows = hetrec(files, Path(folder))
                case "listenbrainz":
                    rows = listenbrainz(files, Path(folder), rules)
                case "table":
                    rows = table(files, Path(folder), columns)
        except pl.exceptions.PolarsError as error:
            raise unreadable(files.plays, error) from error
        _require_columns_in_place(rows)
        yield rows


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
            raise DataError(rows.files.plays, found, remedy=remedy)
