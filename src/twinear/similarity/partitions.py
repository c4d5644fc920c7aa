"""Listens in parts: all listeners in memory, or ranges of listeners that each fit into it.

A part is a range of listeners, because the files are sorted by listener: only the range is read.
Every count is a sum over the parts: how the listens are divided changes no result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from twinear.artists.identity import read_artists
from twinear.base.checksums import verify_checksums
from twinear.base.errors import ParamsError
from twinear.base.files import require
from twinear.compute.memory import FIXED, limited_engine, literal_path
from twinear.compute.pool import Workers
from twinear.listens.listens import Listens
from twinear.listens.plays import AGAIN, BASKETS, group_plays, not_plays, read_plays
from twinear.listens.sessions import Basket

Plays: TypeAlias = csr_array[Any, tuple[int, int]]
Array: TypeAlias = npt.NDArray[Any]

BYTES_PER_ENTRY = 48  # of a pair of listener and artist: read, weighted, transposed
ENGINE_LEAST = 2**26  # bytes without which DuckDB does nothing
SHARE = 6  # the share of the memory for a part: as much again for reading, the rest for counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Baskets:
    """Plays, (baskets, artists); a basket is all that a listener heard, or heard in a session."""

    plays: Plays
    listener: Array  # (baskets,), int32, rising: to whom each belongs

    def read(self, n_artists: int) -> "Baskets":
        """Return itself: it is in memory."""
        return self


@dataclass(frozen=True, kw_only=True)
class ListenerRange:
    """The baskets of the listeners from `first` to before `last` in a file of plays."""

    path: Path
    basket: Basket
    first: int
    last: int
    memory: int

    def __str__(self) -> str:
        return f"listeners {self.first} to {self.last - 1}"

    def read(self, n_artists: int) -> Baskets:
        """Read their baskets within `memory` bytes; `DataError` if they are not plays."""
        query = "SELECT * FROM read_parquet(?) WHERE listener BETWEEN ? AND ?"
        try:
            with limited_engine(self.memory) as engine:
                engine.execute(query, [literal_path(self.path), self.first, self.last - 1])
                table: dict[str, Any] = engine.fetchnumpy()
            plays, listener = group_plays(table, self.basket, n_artists)
        except (duckdb.Error, KeyError, ValueError) as error:
            raise not_plays(self.path, error) from error
        return Baskets(plays=plays, listener=listener)


@dataclass(frozen=True, kw_only=True, eq=False)
class ListensParts:
    """The artists of some listens, and their baskets in one or more parts."""

    artists: pd.DataFrame
    parts: tuple[Baskets | ListenerRange, ...]

    def __iter__(self) -> Iterator[Baskets]:
        """Read one part after the other, in the order of the listeners."""
        return (part.read(len(self.artists)) for part in self.parts)


def in_memory(listens: Listens, basket: Basket = "listener") -> ListensParts:
    """Return all listens as one part.

    Raises
    ------
    ParamsError
        Listens without sessions, which are the baskets.
    """
    if basket == "listener":
        baskets = Baskets(plays=listens.plays, listener=np.arange(listens.plays.shape[0]))
    elif listens.sessions is None:
        remedy = "set it to listener, or read the listens with a session_gap"
        raise ParamsError("similarity.basket", "session, but no sessions", remedy=remedy)
    else:
        baskets = Baskets(plays=listens.sessions.plays, listener=listens.sessions.listener)
    return ListensParts(artists=listens.artists, parts=(baskets,))


def in_ranges(folder: Path, memory: int, basket: Basket = "listener") -> ListensParts:
    """Divide the listens of a folder into ranges of listeners that each fit a share of `memory`."""
    path = require(folder / BASKETS[basket], AGAIN)
    share = memory // SHARE
    engine_memory = max(ENGINE_LEAST, share)
    n_entries = max(1, share // BYTES_PER_ENTRY)
    # The listener of every n-th entry begins a range: it holds about n entries.
    query = (
        "SELECT min(listener) FROM (SELECT listener, file_row_number // ? AS part "
        "FROM read_parquet(?, file_row_number = true)) GROUP BY part"
    )
    name = literal_path(path)
    try:
        with limited_engine(engine_memory) as engine:
            firsts = [row[0] for row in engine.execute(query, [n_entries, name]).fetchall()]
            engine.execute(
                "SELECT max(listener), bool_or(listener IS NULL) FROM read_parquet(?)", [name]
            )
            last, is_missing = engine.fetchone() or (0, False)
            if last is None or is_missing:  # no range would hold these rows
                raise ValueError("plays without a listener")
            last += 1
    except (duckdb.Error, ValueError) as error:
        raise not_plays(path, error) from error
    ranges = (
        ListenerRange(
            path=path.resolve(), basket=basket, first=first, last=end, memory=engine_memory
        )
        for first, end in pairwise(sorted({0, *firsts, last}))
    )
    return ListensParts(artists=read_artists(folder / "artists.csv", AGAIN), parts=tuple(ranges))


def open_listens(
    folder: Path, memory: int, workers: Workers, basket: Basket = "listener"
) -> ListensParts:
    """Open the listens of a folder: in memory if they and their counts fit there, else in ranges.

    A cluster always gets ranges: its workers read the file themselves.
    """
    path = require(folder / BASKETS[basket], AGAIN)
    try:
        n_entries = pq.read_metadata(path).num_rows
    except (ValueError, OSError) as error:
        raise not_plays(path, error) from error
    if not isinstance(workers, int) or FIXED + n_entries * BYTES_PER_ENTRY >= memory:
        verify_checksums(folder, [path.name], AGAIN)  # once, and not for every range
        return in_ranges(folder, memory, basket)
    artists = read_artists(folder / "artists.csv", AGAIN)
    plays, listener = read_plays(folder, basket, len(artists))
    return ListensParts(artists=artists, parts=(Baskets(plays=plays, listener=listener),))
