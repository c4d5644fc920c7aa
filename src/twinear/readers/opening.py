"""Open files of listens as rows of one shape, and look whether their columns are in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from twinear.artists import MBID
from twinear.errors import DataError, ParamsError
from twinear.readers.events import lastfm_1k
from twinear.readers.formats import TIMED, ListensFiles, TableColumns
from twinear.readers.listenbrainz import listenbrainz
from twinear.readers.rows import Rows, unreadable
from twinear.readers.tables import hetrec, lastfm_360k, table
from twinear.readers.window import Window

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
    """Most names, or most listeners beside ids that are none, look like MBIDs: a mistake."""
    head = rows.collect(rows.frame.head(LOOKED_AT).filter(~pl.col("malformed")))
    if not head.height:
        return
    ids = pl.all().str.to_lowercase().str.contains(f"^{MBID.pattern}$")
    shares = head.select("listener", "mbid", "name").select(ids).mean().row(0, named=True)
    filled = (head["mbid"] != "").mean()
    of_listener = shares["listener"] > 0.5 and shares["mbid"] == 0 and filled
    for column in ("listener",) * bool(of_listener) + ("name",) * (shares["name"] > 0.5):
        found = (
            f"the column of the {'artist' if column == 'name' else column} holds MusicBrainz ids"
        )
        remedy = "columns are swapped: mend the file or listens.columns"
        raise DataError(rows.files.plays, found, remedy=remedy)
