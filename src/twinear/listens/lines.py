"""Rows of listens as numbers, read once, in pieces: the start of all cleaning.

A row is a listener and a spelling of an artist (MBID and name), both numbered in order of
appearance, and plays. Rules are not applied here. Plain Last.fm-360K is scanned by machine code,
everything else goes through polars.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from twinear.listens.readers.lastfm_datasets import parse_lastfm_360k
from twinear.listens.readers.rows import POLARS_ERRORS, TIMES, Rows, unreadable
from twinear.listens.rules import Array
from twinear.listens.scanner import (
    BAD_PLAYS,
    MAX_PLAYS,
    NO_LISTENER,
    FileScan,
    Lines,
    Numbering,
    hash_texts,
)

ROWS = 2**17  # in a piece
NO_SPELLINGS = pl.DataFrame(schema={"mbid": pl.String, "name": pl.String})
WHOLE_PLAYS = (
    pl.when(pl.col("plays").is_between(1, MAX_PLAYS) & (pl.col("plays") == pl.col("plays").floor()))
    .then(pl.col("plays"))
    .otherwise(BAD_PLAYS)
    .cast(pl.Int32)
)


class LinesSource(Protocol):
    """The lines of some listens, and their spellings once all lines have been read."""

    def lines(self) -> Iterator[Lines]:
        """Read the lines once, in their order."""

    def spellings(self) -> pl.DataFrame:
        """Return mbid and name without surrounding blanks; row i is spelling number i."""

    def with_profile(self) -> Array | None:
        """Return whether each listener has a profile; None where profiles are not known."""


def open_lines(rows: Rows) -> LinesSource:
    """Choose the fastest way to read some rows."""
    scannable = [file.scannable for file in rows.files.files]
    if len(scannable) == 1 and scannable[0]:
        scan = FileScan(path=scannable[0], parse_slowly=_parse_slowly)
        return _ScannedLines(rows=rows, scan=scan)
    return _QueriedLines(rows=rows)


def _parse_slowly(lines: bytes) -> tuple[list[str], list[int]]:
    """Return listeners and plays of lines that the scan cannot parse."""
    frame = parse_lastfm_360k(lines).select("listener", plays=WHOLE_PLAYS).collect()
    return frame["listener"].to_list(), frame["plays"].to_list()


@dataclass(frozen=True, kw_only=True, eq=False)
class _ScannedLines:
    rows: Rows
    scan: FileScan

    def lines(self) -> Iterator[Lines]:
        return self.scan.lines()

    def spellings(self) -> pl.DataFrame:
        lines = b"".join(spellings.tobytes() for spellings in self.scan.spellings)
        if not lines:
            return NO_SPELLINGS
        return parse_lastfm_360k(lines).select("mbid", "name").collect()

    def with_profile(self) -> Array | None:
        return _with_profile(self.rows, self.scan.listeners)


@dataclass(frozen=True, kw_only=True, eq=False)
class _QueriedLines:
    rows: Rows
    _listeners: Numbering = field(default_factory=Numbering)
    _numbering: Numbering = field(default_factory=Numbering)  # of spellings
    _spellings: list[pl.DataFrame] = field(default_factory=list)

    def lines(self) -> Iterator[Lines]:
        query = self.rows.frame.select(
            "malformed",
            "mbid",
            "name",
            "listener",
            *([TIMES] if self.rows.timed else []),
            plays=WHOLE_PLAYS.fill_null(BAD_PLAYS),
            spelling=pl.struct("mbid", "name").hash(),
        )
        none = np.uint64(0)  # the hash of a missing text
        try:
            for batch in query.collect_batches(chunk_size=ROWS, engine="streaming"):
                good = ~batch["malformed"].to_numpy()
                listener = np.where(good, hash_texts(batch["listener"]), none)
                hashes = np.where(good, np.maximum(batch["spelling"].to_numpy(), 1), none)
                spelling, new = self._numbering.number(hashes)
                self._spellings.append(batch.select("mbid", "name")[new])
                yield Lines(
                    listener=self._listeners.number(listener)[0],
                    plays=batch["plays"].to_numpy(),
                    spelling=spelling,
                    times=_flatten(batch[TIMES]) if self.rows.timed else None,
                )
        except POLARS_ERRORS as error:
            raise unreadable(self.rows.files.place, error) from error

    def spellings(self) -> pl.DataFrame:
        return pl.concat([NO_SPELLINGS, *self._spellings])

    def with_profile(self) -> Array | None:
        return _with_profile(self.rows, self._listeners)


def _flatten(times: pl.Series) -> Array:
    """Join the lists of a column."""
    joined: Array = times.to_arrow(compat_level=pl.CompatLevel.oldest()).flatten().to_numpy()
    return joined


def _with_profile(rows: Rows, listeners: Numbering) -> Array | None:
    if rows.profiles is None:
        return None
    n_listeners = listeners.n
    numbers, _ = listeners.number(hash_texts(rows.collect(rows.profiles)["listener"]))
    known = np.zeros(max(n_listeners, 1), np.bool_)
    known[numbers[(numbers != NO_LISTENER) & (numbers < n_listeners)]] = True
    return known
