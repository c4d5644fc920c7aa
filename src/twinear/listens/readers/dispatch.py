"""Open files of listens as rows of one shape, and look whether their columns are in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from twinear.artists.identity import MBID
from twinear.base.errors import DataError, ParamsError
from twinear.listens.readers.events import lastfm_1k
from twinear.listens.readers.formats import TIMED, ListensFiles, TableColumns
from twinear.listens.readers.listenbrainz import listenbrainz
from twinear.listens.readers.period import Window
from twinear.listens.readers.rows import Rows, unreadable
from twinear.listens.readers.tables import hetrec, lastfm_360k, table

LOOKED_AT = 10_000


@contextmanager
def open_rows(files: ListensFiles, columns: TableColumns, window: Window) -> Iterator[Rows]:
    """Open the rows of listens; what has to be unpacked for them is removed at the end.

    Parameters
    ----------
    columns
        Matters to tables only.
    window
        Matters to formats with times only.

    Raises
    ------
    DataError
        A file of another kind than its name says, damaged, without the columns or with columns
        swapped; no listens in the window.
    ParamsError
        A window, and a format without times.
    """
    if window and files.format not in TIMED:
        found = f"{window}, but {files.format} has no times"
        raise ParamsError("listens.window", found, remedy='set both to ""')
    with TemporaryDirectory(prefix="twinear-") as folder:
        try:
            rows = _open(files, columns, window, Path(folder))
        except pl.exceptions.PolarsError as error:
            raise unreadable(files.plays, error) from error
        _require_in_place(rows)
        yield rows


def _open(files: ListensFiles, columns: TableColumns, window: Window, scratch: Path) -> Rows:
    match files.format:
        case "lastfm_360k":
            return lastfm_360k(files, scratch)
        case "lastfm_1k":
            return lastfm_1k(files, scratch, window)
        case "hetrec":
            return hetrec(files, scratch)
        case "listenbrainz":
            return listenbrainz(files, scratch, window)
        case "table":
            return table(files, scratch, columns)


def _require_in_place(rows: Rows) -> None:
    """Raise `DataError` where a column holds the ids that belong to another.

    Most names are MBIDs other than the row's own; or most listeners are, and no MBID is one.
    """
    head = rows.collect(rows.frame.head(LOOKED_AT).filter(~pl.col("malformed")))
    is_id = {
        column: pl.col(column).str.to_lowercase().str.contains(f"^{MBID.pattern}$")
        for column in ("listener", "mbid", "name")
    }
    some_mbid, no_mbid = (pl.col("mbid") != "").any(), ~is_id["mbid"].any()
    wrong = {
        "artist": (is_id["name"] & (pl.col("name") != pl.col("mbid"))).mean() > 0.5,
        "listener": (is_id["listener"].mean() > 0.5) & some_mbid & no_mbid,
    }
    found = head.select(**wrong).row(0, named=True)
    for column in (column for column in wrong if found[column]):
        raise DataError(
            rows.files.plays,
            f"the column of the {column} holds MusicBrainz ids",
            remedy="columns are swapped: mend the file or listens.columns",
        )
