"""Lines of listens cleaned and added up in memory; `on_disk` does the same with less memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array, csr_array

from twinear.listens.rules import (
    KEPT,
    NUMBER,
    Array,
    ArtistNumbers,
    LineRules,
    RuleCounts,
    most_listened,
)
from twinear.listens.scanner import Lines
from twinear.listens.sessions import Matrix, Sessions, SortedListens, divide, place

PLAYS = ("listener", "artist", "plays")
SESSIONS = ("listener", "session", "artist", "plays")
ROWS = 2**19  # read from DuckDB and written at a time
PART = 2**18  # lines to which the rules are applied at a time: they fit the processor's cache
BLOCK = 2**22  # lines held together: memory of that size goes back to the system when it is freed


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Lines that are held together."""

    lines: Array  # (3, about `BLOCK`), int32: listener, plays and spelling
    times: Array  # as in `Lines`; empty if not asked for


@dataclass(frozen=True, kw_only=True, eq=False)
class LinesInMemory:
    """Lines in blocks."""

    blocks: list[Block]

    @staticmethod
    def hold(lines: Iterable[Lines]) -> "LinesInMemory":
        """Take all lines into memory."""
        return LinesInMemory(blocks=list(join_blocks(lines)))

    def apply(self, rules: LineRules) -> tuple["KeptInMemory", RuleCounts]:
        """Apply the rules to every line."""
        counts = RuleCounts.zeros(len(rules.spelling))
        rule_of_spelling = np.append(rules.spelling, np.uint8(KEPT))
        rules_of_lines = []
        n_before = 0
        for block in self.blocks:
            n_block = block.lines.shape[1]
            rules_of_lines.append(np.empty(n_block, np.uint8))
            for first in range(0, n_block, PART):
                listener, plays, spelling = block.lines[:, first : first + PART]
                # The first rule that applies counts: they are assigned in reverse. A line without
                # listener or spelling has -1 there and reads the last element before that.
                rule = rule_of_spelling[spelling]
                if len(rules.without_profile):
                    without_profile = (rule == KEPT) & rules.without_profile[listener]
                    rule[without_profile] = NUMBER["without_profile"]
                rule[plays < 1] = NUMBER["bad_plays"]
                rule[listener < 0] = NUMBER["without_listener"]
                rule[spelling < 0] = NUMBER["malformed"]
                rules_of_lines[-1][first : first + PART] = rule
                n_lines = np.bincount(rule, minlength=len(counts.rows))
                for number in np.flatnonzero((counts.first_line < 0) & (n_lines > 0)):
                    counts.first_line[number] = n_before + np.argmax(rule == number)
                n_before += len(rule)
                n_rows = np.bincount(rule, plays, len(n_lines)) if rules.summed else n_lines
                counts.rows[:] += n_rows.astype(np.int64)
                kept = rule == KEPT
                kept_spelling, kept_plays = spelling[kept], plays[kept].astype(np.int64)
                np.add.at(counts.spelling_plays, kept_spelling, kept_plays)
                np.add.at(counts.spelling_rows, kept_spelling, kept_plays if rules.summed else 1)
        return KeptInMemory(blocks=self.blocks, rules=rules_of_lines), counts


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptInMemory:
    """Blocks of lines, and the number of the rule that drops each line."""

    blocks: list[Block]
    rules: list[Array]

    def sum_plays(self, artists: ArtistNumbers, session_gap: int | None) -> "PlaysInMemory":
        """Add up the plays of each listener and artist, and of each session unless gap is None."""
        sessions = None
        if session_gap is None:
            listener, artist, plays = self._join(artists.of_spelling)
        else:
            sessions = self._find_sessions(artists, session_gap)
            artist, plays = sessions.plays.indices, sessions.plays.data
            listener = np.repeat(sessions.listener, np.diff(sessions.plays.indptr))
        shape = int(listener.max(initial=-1)) + 1, artists.n
        # First by artist, which adds up duplicates, then by listener, which brings the artists of a
        # listener into order: much faster than sorting them.
        by_artist = coo_array((plays, (listener, artist)), shape=shape).tocsc()
        del listener, artist, plays
        listeners = np.diff(by_artist.indptr).astype(np.int64)
        order = most_listened(listeners, artists.min_listeners)
        by_artist = by_artist[:, order]  # the whole is freed before the next copy is made
        matrix, has_artists = _drop_empty_rows(by_artist.tocsr())
        del by_artist
        if sessions is not None:
            number = np.cumsum(has_artists, dtype=np.int32) - 1  # of each listener, in `matrix`
            by_session, remain = _drop_empty_rows(sessions.plays.tocsc()[:, order].tocsr())
            sessions = Sessions(plays=by_session, listener=number[sessions.listener[remain]])
        return PlaysInMemory(listeners=listeners, matrix=matrix, sessions=sessions)

    def _join(self, artist_of_spelling: Array) -> tuple[Array, Array, Array]:
        """Return listener, artist and plays of all kept lines."""
        n = sum(int(np.count_nonzero(rule == KEPT)) for rule in self.rules)
        (listener, artist), plays = np.empty((2, n), np.int32), np.empty(n, np.int64)
        first = 0
        while self.blocks:  # a block is freed before the next is copied
            block, kept = self.blocks.pop(0).lines, self.rules.pop(0) == KEPT
            part = slice(first, first := first + int(np.count_nonzero(kept)))
            listener[part], plays[part] = block[0][kept], block[1][kept]
            artist[part] = artist_of_spelling[block[2][kept]]
            del block
        return listener, artist, plays

    def _find_sessions(self, artists: ArtistNumbers, gap: int) -> Sessions:
        """Divide all listens into sessions, which have only the kept ones; some are empty."""
        n_listeners = max((int(block.lines[0].max()) + 1 for block in self.blocks), default=0)
        n_listens = np.zeros(n_listeners + 1, np.int64)
        for block in self.blocks:
            np.add.at(n_listens, block.lines[0] + 1, block.lines[1])
        n_listens[0] = 0  # of lines without a listener
        starts = np.cumsum(n_listens)
        listens = SortedListens(starts, np.empty(starts[-1], np.uint64))
        positions = starts[:-1].copy()
        while self.blocks:
            block, kept = self.blocks.pop(0), self.rules.pop(0) == KEPT
            listener, plays, spelling = block.lines
            artist = np.where(kept, artists.of_spelling[spelling] + 1, 0)
            place((listener, plays, artist), block.times, positions, listens)
        return divide(listens, gap, artists.n)


def _drop_empty_rows(matrix: Matrix) -> tuple[Matrix, Array]:
    """Return the other rows, and which those were: (rows,), bool."""
    remain = np.diff(matrix.indptr) > 0
    starts = np.append(matrix.indptr[:-1][remain], matrix.indptr[-1])
    shape = len(starts) - 1, matrix.shape[1]
    return csr_array((matrix.data, matrix.indices, starts), shape=shape), remain


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaysInMemory:
    """Plays, (listeners, artists), int64, and the number of listeners of every artist."""

    listeners: Array
    matrix: Matrix
    sessions: Sessions | None

    @property
    def n_listeners(self) -> int:
        """Number of listeners who have an artist left."""
        return self.matrix.shape[0]

    @property
    def n_sessions(self) -> int | None:
        """Number of sessions that have an artist left; None where sessions were not asked for."""
        return None if self.sessions is None else self.sessions.plays.shape[0]

    def tables(self) -> Iterator[pa.Table]:
        """Yield listener, artist and plays, in the order of listeners and artists."""
        return plays_tables(self.matrix)

    def session_tables(self) -> Iterator[pa.Table]:
        """Yield listener, session, artist and plays, in the order of sessions and artists."""
        return (
            plays_tables(self.sessions.plays, self.sessions.listener) if self.sessions else iter(())
        )


def join_blocks(lines: Iterable[Lines]) -> Iterator[Block]:
    """Join lines to blocks."""
    block, n, times = np.empty((3, 0), np.int32), 0, [np.empty(0, np.uint32)]
    for part in lines:
        n_part = len(part.plays)
        if n + n_part > block.shape[1]:
            if n:
                yield Block(lines=block[:, :n], times=np.concatenate(times))
            block, n, times = (
                np.empty((3, max(BLOCK, n_part)), np.int32),
                0,
                [np.empty(0, np.uint32)],
            )
        block[:, n : n + n_part] = part.listener, part.plays, part.spelling
        if part.times is not None:
            times.append(part.times)
        n += n_part
    if n:
        yield Block(lines=block[:, :n], times=np.concatenate(times))


def plays_tables(matrix: Matrix, listener: Array | None = None) -> Iterator[pa.Table]:
    """Yield the entries of a matrix as tables of listener, artist and plays.

    If its rows are sessions, `listener` is that of each, and the tables have also session.
    """
    starts = matrix.indptr
    for first in range(0, matrix.nnz, ROWS):
        last = min(first + ROWS, matrix.nnz)
        u, v = np.searchsorted(starts, [first, last - 1], side="right") - 1  # their rows
        n_entries: Array = np.diff(np.clip(starts[u : v + 2], first, last))
        row = np.repeat(np.arange(u, v + 1, dtype=np.int32), n_entries)
        columns = (
            {"listener": row} if listener is None else {"listener": listener[row], "session": row}
        )
        yield pa.table(
            columns | {"artist": matrix.indices[first:last], "plays": matrix.data[first:last]}
        )


def write_plays(path: Path, tables: Iterable[pa.Table], columns: Sequence[str] = PLAYS) -> None:
    """Write plays in groups of equal size: the file does not depend on how they were made."""
    types = {name: pa.int64() if name == "plays" else pa.int32() for name in columns}
    schema = pa.schema(types)
    rest = schema.empty_table()
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="lz4") as writer:
        for table in tables:  # a Python file, whose errors are OSError
            rest = pa.concat_tables([rest, table.cast(schema)])
            while len(rest) >= ROWS:
                writer.write_table(rest.slice(0, ROWS).combine_chunks())
                rest = rest.slice(ROWS)
        writer.write_table(rest.combine_chunks())
