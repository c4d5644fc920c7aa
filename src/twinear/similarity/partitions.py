"""Listens in parts: all listeners in memory, or ranges of listeners that each fit into it.

A part is a range of listeners, because the file is sorted by listener: only the range is read.
Every count is a sum over the parts: how the listens are divided changes no result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from twinear.artists.identity import read_artists
from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.compute.memory import FIXED, limited_engine
from twinear.compute.pool import Workers
from twinear.listens.listens import AGAIN, Listens

Plays: TypeAlias = csr_array[Any, tuple[int, int]]

BYTES_PER_ENTRY = 48  # of a pair of listener and artist: read, weighted, transposed
ENGINE_LEAST = 2**26  # bytes without which DuckDB does nothing
SHARE = 6  # the share of the memory for a part: as much again for reading, the rest for counts


@dataclass(frozen=True, kw_only=True, eq=False)
class AllListeners:
    """All listeners, in memory: plays, (listeners, artists)."""

    plays: Plays

    def read(self, n_artists: int) -> Plays:
        """Return the plays."""
        return self.plays


@dataclass(frozen=True, kw_only=True)
class ListenerRange:
    """The listeners from `first` to before `last` in a file of plays."""

    path: Path
    first: int
    last: int
    memory: int

    def __str__(self) -> str:
        return f"listeners {self.first} to {self.last - 1}"

    def read(self, n_artists: int) -> Plays:
        """Read their plays, (listeners, artists), within `memory` bytes."""
        query = "SELECT listener, artist, plays FROM read_parquet(?) WHERE listener BETWEEN ? AND ?"
        with limited_engine(self.memory) as engine:
            engine.execute(query, [str(self.path), self.first, self.last - 1])
            table = engine.fetchnumpy()
        listener = np.asarray(table["listener"]) - self.first
        n_entries = np.bincount(listener, minlength=self.last - self.first)
        starts = np.concatenate([[0], np.cumsum(n_entries)])
        shape = self.last - self.first, n_artists
        return csr_array((table["plays"], table["artist"], starts), shape=shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class ListensParts:
    """The artists of some listens, and their plays in one or more parts."""

    artists: pd.DataFrame
    parts: tuple[AllListeners | ListenerRange, ...]

    def __iter__(self) -> Iterator[Plays]:
        """Read one part after the other, in the order of the listeners."""
        return (part.read(len(self.artists)) for part in self.parts)


def in_memory(listens: Listens) -> ListensParts:
    """Return all listens as one part."""
    return ListensParts(artists=listens.artists, parts=(AllListeners(plays=listens.plays),))


def in_ranges(folder: Path, memory: int) -> ListensParts:
    """Divide the listens of a folder into ranges of listeners that each fit a share of `memory`."""
    path = require(folder / "plays.parquet", AGAIN)
    share = memory // SHARE
    engine_memory = max(ENGINE_LEAST, share)
    n_entries = max(1, share // BYTES_PER_ENTRY)
    # The listener of every n-th entry begins a range: it holds about n entries.
    query = (
        "SELECT min(listener) FROM (SELECT listener, file_row_number // ? AS part "
        "FROM read_parquet(?, file_row_number = true)) GROUP BY part"
    )
    try:
        with limited_engine(engine_memory) as engine:
            firsts = [row[0] for row in engine.execute(query, [n_entries, str(path)]).fetchall()]
            engine.execute("SELECT max(listener) FROM read_parquet(?)", [str(path)])
            last = int((engine.fetchone() or (0,))[0]) + 1
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise DataError(path, f"is not a table of plays ({reason})", remedy=AGAIN) from error
    ranges = (
        ListenerRange(path=path.resolve(), first=first, last=end, memory=engine_memory)
        for first, end in pairwise(sorted({0, *firsts, last}))
    )
    return ListensParts(artists=read_artists(folder / "artists.csv", AGAIN), parts=tuple(ranges))


def open_listens(folder: Path, memory: int, workers: Workers) -> ListensParts:
    """Open the listens of a folder: in memory if they and their counts fit there, else in ranges.

    A cluster always gets ranges: its workers read the file themselves.
    """
    path = require(folder / "plays.parquet", AGAIN)
    try:
        n_entries = pq.read_metadata(path).num_rows
    except (ValueError, OSError) as error:
        raise DataError(path, f"is not a table of plays ({error})", remedy=AGAIN) from error
    if isinstance(workers, int) and FIXED + n_entries * BYTES_PER_ENTRY < memory:
        return in_memory(Listens.read(folder))
    return in_ranges(folder, memory)
