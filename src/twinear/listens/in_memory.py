"""Lines of listens cleaned and added up in memory; what does not fit there `spilling` cleans."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from twinear.compute.jit import compiled
from twinear.listens.scanner import Lines

Array: TypeAlias = npt.NDArray[Any]
Rows: TypeAlias = tuple[Array, Array, Array]  # starts, artist, plays

FINE = 0  # a spelling or a line that no rule drops
ROWS = 2**19  # read from DuckDB and written at a time
BLOCK = 2**22  # lines held together: memory of that size goes back to the system when it is let go


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdicts:
    """What the rules say of each spelling and listener.

    Attributes
    ----------
    fault
        Of each spelling, uint8: the rule that drops it, or `FINE`.
    stranger
        Of each listener: whether it is dropped; empty if none is.
    malformed, nobody, bad, strange
        The rules of lines.
    """

    fault: Array
    stranger: Array
    malformed: int
    nobody: int
    bad: int
    strange: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """How often each rule dropped a row, and each spelling stands in a row that was kept.

    A line is a row, or as many as it has plays where lines sum up rows.
    """

    dropped: Array  # (rules,)
    first: Array  # (rules,), the first line each of them dropped, -1 if none
    rows: Array  # (spellings,)
    plays: Array  # (spellings,)


@compiled
def _judge(
    listener: Array,
    plays: Array,
    spelling: Array,
    fault: Array,
    stranger: Array,
    rules: tuple[int, int, int, int],
    summed: bool,
    at: int,
    dropped: Array,
    seen: Array,
    rows: Array,
    totals: Array,
) -> int:
    """Move the lines that are kept to the front; says how many. The first line is line `at`."""
    malformed, nobody, bad, strange = rules
    n = 0
    for i in range(len(plays)):
        rule = FINE
        if spelling[i] < 0:
            rule = malformed
        elif listener[i] < 0:
            rule = nobody
        elif plays[i] < 1:
            rule = bad
        elif fault[spelling[i]] != FINE:
            rule = fault[spelling[i]]
        elif len(stranger) and stranger[listener[i]]:
            rule = strange
        n_rows = plays[i] if summed else 1
        dropped[rule] += n_rows
        if seen[rule] < 0:
            seen[rule] = at + i
        if rule == FINE:
            rows[spelling[i]] += n_rows
            totals[spelling[i]] += plays[i]
            listener[n], plays[n], spelling[n] = listener[i], plays[i], spelling[i]
            n += 1
    return n


@compiled
def _count(listener: Array, starts: Array) -> None:
    for who in listener:
        starts[who + 1] += 1


@compiled
def _place(
    listener: Array,
    spelling: Array,
    plays: Array,
    column: Array,
    at: Array,
    to: tuple[Array, Array],
) -> None:
    """Put lines where their listener's row has room."""
    for i in range(len(listener)):
        place = at[listener[i]]
        to[0][place], to[1][place] = column[spelling[i]], plays[i]
        at[listener[i]] += 1


@compiled
def _sort(artist: Array, plays: Array) -> None:
    """Sort the artists of one listener; insertion is the fastest for some fifty."""
    if len(artist) > 100:
        order = np.argsort(artist, kind="mergesort")
        artist[:], plays[:] = artist[order], plays[order]
        return
    for i in range(1, len(artist)):
        a, p, j = artist[i], plays[i], i - 1
        while j >= 0 and artist[j] > a:
            artist[j + 1], plays[j + 1] = artist[j], plays[j]
            j -= 1
        artist[j + 1], plays[j + 1] = a, p


@compiled
def _merge(starts: Array, artist: Array, plays: Array, listeners: Array) -> int:
    """Sort every row in place, add up what stands twice, count listeners; says how many remain."""
    n, begin = 0, 0
    for u in range(len(starts) - 1):
        end = starts[u + 1]
        _sort(artist[begin:end], plays[begin:end])
        first = n
        for i in range(begin, end):
            if n > first and artist[n - 1] == artist[i]:
                plays[n - 1] += plays[i]
                continue
            artist[n], plays[n] = artist[i], plays[i]
            listeners[artist[i]] += 1
            n += 1
        begin, starts[u + 1] = end, n
    return n


@compiled
def _renumber(starts: Array, artist: Array, plays: Array, number: Array) -> tuple[int, int]:
    """Give artists other numbers, drop those with -1 and listeners without any, in place.

    Says how many listeners and entries remain.
    """
    n, begin, n_listeners = 0, 0, 0
    for u in range(len(starts) - 1):
        end, first = starts[u + 1], n
        for i in range(begin, end):
            if number[artist[i]] >= 0:
                artist[n], plays[n] = number[artist[i]], plays[i]
                n += 1
        _sort(artist[first:n], plays[first:n])
        begin = end
        if n > first:
            n_listeners += 1
            starts[n_listeners] = n
    return n_listeners, n


@compiled
def _whose(starts: Array, first: int, last: int) -> Array:
    """The listener of each of the entries from `first` to before `last`."""
    found = np.empty(last - first, np.int32)
    u = np.searchsorted(starts, first, side="right") - 1
    for i in range(first, last):
        while starts[u + 1] <= i:
            u += 1
        found[i - first] = u
    return found


class InMemory:
    """Lines that fit into memory."""

    def __init__(self, lines: Iterable[Lines] = ()) -> None:
        self.n = 0
        self._blocks: list[Array] = []  # (3, BLOCK): listener, plays, spelling
        self._kept: list[int] = []  # how many lines of each block count
        self._rows: Rows
        for each in lines:
            self.add(each)

    def add(self, lines: Lines) -> None:
        """Hold some more lines."""
        start, n = 0, len(lines.plays)
        self.n += n
        while start < n:
            if not self._blocks or self._kept[-1] == BLOCK:
                self._blocks.append(np.empty((3, BLOCK), np.int32))
                self._kept.append(0)
            first, part = self._kept[-1], slice(start, start + BLOCK - self._kept[-1])
            for row, values in zip(
                self._blocks[-1], (lines.listener, lines.plays, lines.spelling), strict=True
            ):
                row[first : first + len(values[part])] = values[part]
            self._kept[-1] += len(lines.plays[part])
            start = part.stop

    def lines(self) -> Iterator[Lines]:
        """The lines held, in their order."""
        for block, n in zip(self._blocks, self._kept, strict=True):
            listener, plays, spelling = block[:, :n]
            yield Lines(listener=listener, plays=plays, spelling=spelling)

    def judge(self, verdicts: Verdicts, n_rules: int, summed: bool) -> Kept:
        """Keep the lines that no rule drops; `summed`: each is as many rows as it has plays."""
        kept = nothing_kept(n_rules, len(verdicts.fault))
        rules = verdicts.malformed, verdicts.nobody, verdicts.bad, verdicts.strange
        n_before = 0
        for at, each in enumerate(self.lines()):
            self._kept[at] = _judge(
                each.listener,
                each.plays,
                each.spelling,
                verdicts.fault,
                verdicts.stranger,
                rules,
                summed,
                n_before,
                kept.dropped,
                kept.first,
                kept.rows,
                kept.plays,
            )
            n_before += len(each.plays)
        return kept

    def add_up(self, column: Array, n_artists: int) -> Array:
        """Add up the lines of each listener and artist; says how many listeners artists have."""
        last = max((int(each.listener.max(initial=-1)) for each in self.lines()), default=-1)
        starts = np.zeros(last + 2, np.int64)
        for each in self.lines():
            _count(each.listener, starts)
        starts = np.cumsum(starts)
        artist, plays, at = (
            np.empty(starts[-1], np.int32),
            np.empty(starts[-1], np.int64),
            starts[:-1].copy(),
        )
        while self._blocks:
            listener, counts, spelling = self._blocks.pop()[:, : self._kept.pop()]
            _place(listener, spelling, counts, column, at, (artist, plays))
        listeners = np.zeros(n_artists, np.int64)
        n = _merge(starts, artist, plays, listeners)
        self._rows = starts, artist[:n], plays[:n]
        return listeners

    def renumber(self, number: Array) -> int:
        """Renumber the artists and drop those with -1; says how many listeners are left."""
        starts, artist, plays = self._rows
        n_listeners, n = _renumber(starts, artist, plays, number)
        self._rows = starts[: n_listeners + 1], artist[:n], plays[:n]
        return int(n_listeners)

    def rows(self) -> Rows:
        """Where each listener's entries start, their artists and plays."""
        return self._rows

    def tables(self) -> Iterator[pa.Table]:
        """Columns listener, artist, plays, in the order of listeners and artists."""
        return tables(*self._rows)


def tables(starts: Array, artist: Array, plays: Array) -> Iterator[pa.Table]:
    """Rows of entries as tables of listener, artist, plays."""
    for first in range(0, len(artist), ROWS):
        last = min(first + ROWS, len(artist))
        whose = _whose(starts, first, last)
        columns = {"listener": whose, "artist": artist[first:last], "plays": plays[first:last]}
        yield pa.table(columns)


def nothing_kept(n_rules: int, n_spellings: int) -> Kept:
    """Counts before the first line."""
    rows, plays = (np.zeros(n_spellings, np.int64) for _ in range(2))
    dropped, first = np.zeros(n_rules, np.int64), np.full(n_rules, -1, np.int64)
    return Kept(dropped=dropped, first=first, rows=rows, plays=plays)


def write_plays(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write plays in groups of equal size, so that the file says nothing of how they were made."""
    schema = pa.schema({"listener": pa.int32(), "artist": pa.int32(), "plays": pa.int64()})
    rest = schema.empty_table()
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="lz4") as writer:
        for table in tables:  # file's errors are OSError
            rest = pa.concat_tables([rest, table.cast(schema)])
            while len(rest) >= ROWS:
                writer.write_table(rest.slice(0, ROWS).combine_chunks())
                rest = rest.slice(ROWS)
        writer.write_table(rest.combine_chunks())
