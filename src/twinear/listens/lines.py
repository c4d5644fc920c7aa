"""Rows of listens as numbers, read once, in pieces: the start of all cleaning.

A row is a listener and a spelling of an artist (MBID and name), both numbered as they come, and
plays. What the rows say is not judged here. Last.fm-360K as it comes is scanned by machine code,
all else goes through polars.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from twinear.listens.readers.decompression import compression
from twinear.listens.readers.rows import Rows, unreadable
from twinear.listens.readers.tables import lastfm_360k_lines
from twinear.listens.scanner import BAD, MAX_PLAYS, NOBODY, Lines, Numbers, Scan, hash_texts

ROWS = 2**17  # in a piece


class LinesSource(Protocol):
    """What gives the lines of some listens, and knows their spellings when all have been given."""

    def lines(self) -> Iterator[Lines]:
        """Read them once, in their order."""

    def spellings(self) -> pl.DataFrame:
        """Columns mbid and name, text without surrounding blanks; row i is spelling number i."""

    def profiled(self) -> np.ndarray | None:
        """Whether each listener has a profile; None where profiles are not known."""


def open_lines(rows: Rows) -> LinesSource:
    """The fastest way to the lines of some rows."""
    plays = rows.files.plays
    if rows.files.format == "lastfm_360k" and not compression(plays):
        return _Scanned(rows=rows, scan=Scan(path=plays, slow=_looked_at_again))
    return _Queried(rows=rows)


def _looked_at_again(lines: bytes) -> tuple[list[str], list[int]]:
    """Listeners and plays of lines that the scan cannot judge."""
    frame = lastfm_360k_lines(lines).select("listener", plays=_WHOLE).collect()
    return frame["listener"].to_list(), frame["plays"].to_list()


_NO_SPELLINGS = pl.DataFrame(schema={"mbid": pl.String, "name": pl.String})
_WHOLE = (
    pl.when(pl.col("plays").is_between(1, MAX_PLAYS) & (pl.col("plays") == pl.col("plays").floor()))
    .then(pl.col("plays"))
    .otherwise(BAD)
    .cast(pl.Int32)
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scanned:
    rows: Rows
    scan: Scan

    def lines(self) -> Iterator[Lines]:
        return self.scan.lines()

    def spellings(self) -> pl.DataFrame:
        lines = b"".join(each.tobytes() for each in self.scan.spellings)
        if not lines:
            return _NO_SPELLINGS
        return lastfm_360k_lines(lines).select("mbid", "name").collect()

    def profiled(self) -> np.ndarray | None:
        return _profiled(self.rows, self.scan.listeners)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Queried:
    rows: Rows
    _listeners: Numbers = field(default_factory=Numbers)
    _numbers: Numbers = field(default_factory=Numbers)
    _spellings: list[pl.DataFrame] = field(default_factory=list)

    def lines(self) -> Iterator[Lines]:
        query = self.rows.frame.select(
            "malformed",
            "mbid",
            "name",
            "listener",
            plays=_WHOLE,
            spelling=pl.struct("mbid", "name").hash(),
        )
        try:
            for batch in query.collect_batches(chunk_size=ROWS, engine="streaming"):
                yield self._numbered(batch)
        except pl.exceptions.PolarsError as error:
            raise unreadable(self.rows.files.plays, error) from error

    def _numbered(self, batch: pl.DataFrame) -> Lines:
        good = ~batch["malformed"].to_numpy()
        listener = np.where(good, hash_texts(batch["listener"]), np.uint64(0))
        hashes = np.maximum(batch["spelling"].to_numpy(), 1)
        spelling, new = self._numbers.of(np.where(good, hashes, np.uint64(0)))
        self._spellings.append(batch.select("mbid", "name")[new])
        plays = batch["plays"].fill_null(BAD).to_numpy()
        return Lines(listener=self._listeners.of(listener)[0], plays=plays, spelling=spelling)

    def spellings(self) -> pl.DataFrame:
        return pl.concat([_NO_SPELLINGS, *self._spellings])

    def profiled(self) -> np.ndarray | None:
        return _profiled(self.rows, self._listeners)


def _profiled(rows: Rows, listeners: Numbers) -> np.ndarray | None:
    if rows.profiles is None:
        return None
    n_heard = listeners.n
    number = listeners.of(hash_texts(rows.collect(rows.profiles)["listener"]))[0]
    known = np.zeros(max(n_heard, 1), np.bool_)
    known[number[(number != NOBODY) & (number < n_heard)]] = True
    return known
