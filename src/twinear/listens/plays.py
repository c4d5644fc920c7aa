"""The plays of a folder of listens, read back and checked.

The kernels that count co-listening are compiled and check no index: a row that is out of order, or
an artist that is not there, would be written beside their arrays. So whatever is read back is
checked for all that they rely on: baskets rise, artists rise within a basket and are in the table
of artists, and every number is a whole one.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from twinear.base.checksums import verify_checksums
from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.listens.rules import Array
from twinear.listens.sessions import Basket, Matrix

AGAIN = "run 'dvc repro listens'"
BASKETS: dict[Basket, str] = {"listener": "plays.parquet", "session": "sessions.parquet"}


def read_plays(folder: Path, basket: Basket, n_artists: int) -> tuple[Matrix, Array]:
    """Read the plays of every artist by every listener, or in every session.

    Returns (baskets, artists), and the listener of each basket; `DataError` for a file that is
    missing, has changed since it was written, or is not a table of plays.
    """
    path = require(folder / BASKETS[basket], AGAIN)
    verify_checksums(folder, [path.name], AGAIN)
    try:
        columns = {
            column: pl.read_parquet(path, columns=[column], glob=False)[column].to_numpy()
            for column in dict.fromkeys((basket, "artist", "plays", "listener"))
        }
        matrix, listener = group_plays(columns, basket, n_artists)
        if not matrix.nnz:
            raise ValueError("no plays")
        return matrix, listener
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise not_plays(path, error) from error


def group_plays(
    columns: Mapping[str, Array], basket: Basket, n_artists: int
) -> tuple[Matrix, Array]:
    """Group the rows of a table of plays by basket.

    Parameters
    ----------
    columns
        `listener`, `artist`, `plays`, and `session` where these are the baskets; each (rows,).

    Returns
    -------
    Plays, (baskets, artists), and the listener of each basket, (baskets,).

    Raises
    ------
    ValueError
        The rows are not in the order of baskets and artists, an artist is not among `n_artists`,
        a basket is of two listeners, or a number is missing, not whole, or too small.

    Examples
    --------
    >>> columns = {"listener": [3, 3, 5], "artist": [0, 2, 1], "plays": [7, 1, 4]}
    >>> plays, listener = group_plays({k: np.array(v) for k, v in columns.items()}, "listener", 3)
    >>> plays.toarray().tolist(), listener.tolist()
    ([[7, 0, 1], [0, 4, 0]], [3, 5])
    """
    for name, column in columns.items():
        if column.dtype.kind not in "iu" or np.ma.is_masked(column):
            raise ValueError(f"{name} holds what is no whole number")
    row, artist, plays, listener = (
        np.asarray(columns[name]) for name in (basket, "artist", "plays", "listener")
    )
    same = row[1:] == row[:-1]  # as the row before
    if (row[:1] < 0).any() or (row[1:] < row[:-1]).any():
        raise ValueError(f"{basket}s are out of order")
    if (listener[1:] < listener[:-1]).any() or (listener[1:] != listener[:-1])[same].any():
        raise ValueError("listeners are out of order")
    if artist.min(initial=0) < 0 or artist.max(initial=-1) >= n_artists:
        raise ValueError("an artist is not in artists.csv")
    if (artist[1:] <= artist[:-1])[same].any():
        raise ValueError(f"artists of a {basket} are out of order")
    if plays.min(initial=1) < 1:
        raise ValueError("an artist without plays")
    # a basket begins at the first row, and wherever a row is not of the basket before
    starts = np.concatenate([np.flatnonzero(np.append([len(row) > 0], ~same)), [len(row)]])
    starts = starts.astype(np.int32 if len(row) < 2**31 else np.int64)  # as in scipy
    matrix = csr_array((plays, artist, starts), shape=(len(starts) - 1, n_artists))
    return matrix, listener[starts[:-1]]


def not_plays(path: Path, error: BaseException) -> DataError:
    """Build the error for a file that is not a table of plays."""
    reason = (str(error).splitlines() or ["unreadable"])[0]
    return DataError(path, f"is not a table of plays ({reason})", remedy=AGAIN)
