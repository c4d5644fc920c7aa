"""Listens in parts of listeners: in memory as one, or read from their file as memory allows.

A part is a range of listeners, so that the file, which is in their order, is read only there.
Every count is a sum over the parts: which parts there are changes no result.
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

BYTES_AN_ENTRY = 48  # of a pair of listener and artist: read, selected, turned
LITTLE = 2**26  # bytes without which DuckDB does nothing
SHARE = 6  # the share of the memory for a part: as much again for reading, the rest for counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Whole:
    """All listeners, in memory: plays, (listeners, artists)."""

    plays: Plays

    def read(self, n_artists: int) -> Plays:
        """Give them."""
        return self.plays


@dataclass(frozen=True, kw_only=True)
class Range:
    """The listeners of a file of plays from `first` to before `last`."""

    path: Path
    first: int
    last: int
    memory: int

    def __str__(self) -> str:
        """Who they are."""
        return f"listeners {self.first} to {self.last - 1}"

    def read(self, n_artists: int) -> Plays:
        """Read their plays, (listeners, artists), within some memory."""
        query = "SELECT listener, artist, plays FROM read_parquet(?) WHERE listener BETWEEN ? AND ?"
        with limited_engine(self.memory) as engine:
            engine.execute(query, [str(self.path), self.first, self.last - 1])
            table = engine.fetchnumpy()
        listener = np.asarray(table["listener"]) - self.first
        heard = np.bincount(listener, minlength=self.last - self.first)
        starts = np.concatenate([[0], np.cumsum(heard)])
        shape = self.last - self.first, n_artists
        return csr_array((table["plays"], table["artist"], starts), shape=shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class ListensParts:
    """The artists of some listens, and who hears them in one or more parts."""

    artists: pd.DataFrame
    parts: tuple[Whole | Range, ...]

    def __iter__(self) -> Iterator[Plays]:
        """Read one part after the other, in the order of the listeners."""
        return (part.read(len(self.artists)) for part in self.parts)


def in_memory(listens: Listens) -> ListensParts:
    """All listens as one part."""
    return ListensParts(artists=listens.artists, parts=(Whole(plays=listens.plays),))


def in_ranges(folder: Path, memory: int) -> ListensParts:
    """The listens of a folder as ranges of listeners that each fit a share of the memory."""
    path = require(folder / "plays.parquet", AGAIN)
    most = max(1, memory // SHARE // BYTES_AN_ENTRY)
    # Cut where the entry at every `most` stands; that listener begins the next range.
    query = (
        "SELECT min(listener) FROM (SELECT listener, file_row_number // ? AS part "
        "FROM read_parquet(?, file_row_number = true)) GROUP BY part"
    )
    try:
        with limited_engine(max(LITTLE, memory // SHARE)) as engine:
            cuts = [row[0] for row in engine.execute(query, [most, str(path)]).fetchall()]
            found = engine.execute("SELECT max(listener) FROM read_parquet(?)", [str(path)])
            last = int((found.fetchone() or (0,))[0]) + 1
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise DataError(path, f"is not a table of plays ({reason})", remedy=AGAIN) from error
    stops = sorted({0, *cuts, last})
    ranges = (
        Range(path=path.resolve(), first=first, last=end, memory=max(LITTLE, memory // SHARE))
        for first, end in pairwise(stops)
    )
    return ListensParts(artists=read_artists(folder / "artists.csv", AGAIN), parts=tuple(ranges))


def open_listens(folder: Path, memory: int, workers: Workers) -> ListensParts:
    """The listens of a folder, in memory if they and their counting fit there.

    Else in ranges; so they are for a cluster too, whose workers read the file themselves.
    """
    path = require(folder / "plays.parquet", AGAIN)
    try:
        n_entries = pq.read_metadata(path).num_rows
    except (ValueError, OSError) as error:
        raise DataError(path, f"is not a table of plays ({error})", remedy=AGAIN) from error
    if isinstance(workers, int) and FIXED + n_entries * BYTES_AN_ENTRY < memory:
        return in_memory(Listens.read(folder))
    return in_ranges(folder, memory)
