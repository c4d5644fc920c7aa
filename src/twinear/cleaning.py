"""Lines of listens cleaned and added up, in memory or, where they do not fit, by DuckDB on disk.

Both ways give the same artists, the same plays and the same counts of what was dropped.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from twinear.compiled import compiled
from twinear.memory import FIXED, limited_engine
from twinear.scanning import Lines

Array: TypeAlias = npt.NDArray[Any]
Rows: TypeAlias = tuple[Array, Array, Array]  # starts, artist, plays

BYTES_A_LINE = 56  # in memory, with what they become
SHARE = 3  # the share of the memory for DuckDB, which takes more than it is told
LITTLE = 2**26  # bytes without which it does nothing
FINE = 0  # a spelling or a line that no rule drops
ROWS = 2**19  # read from DuckDB and written at a time


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
    """How often each rule dropped a line, and each spelling stands in a line that was kept."""

    dropped: Array  # (rules,)
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
    dropped: Array,
    rows: Array,
    totals: Array,
) -> int:
    """Move the lines that are kept to the front; says how many."""
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
        dropped[rule] += 1
        if rule == FINE:
            rows[spelling[i]] += 1
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

    def __init__(self, lines: list[Lines]) -> None:
        self._lines: list[Rows] = [(each.listener, each.plays, each.spelling) for each in lines]
        self._rows: Rows

    def judge(self, verdicts: Verdicts, n_rules: int) -> Kept:
        """Keep the lines that no rule drops."""
        kept = _nothing(n_rules, len(verdicts.fault))
        rules = verdicts.malformed, verdicts.nobody, verdicts.bad, verdicts.strange
        for at, each in enumerate(self._lines):
            listener, plays, spelling = map(_writable, each)
            n = _judge(
                listener,
                plays,
                spelling,
                verdicts.fault,
                verdicts.stranger,
                rules,
                kept.dropped,
                kept.rows,
                kept.plays,
            )
            self._lines[at] = listener[:n].copy(), plays[:n].copy(), spelling[:n].copy()
        return kept

    def add_up(self, column: Array, n_artists: int) -> Array:
        """Add up the lines of each listener and artist; says how many listeners artists have."""
        last = max((int(each[0].max(initial=-1)) for each in self._lines), default=-1)
        starts = np.zeros(last + 2, np.int64)
        for listener, _, _ in self._lines:
            _count(listener, starts)
        starts = np.cumsum(starts)
        artist, plays, at = (
            np.empty(starts[-1], np.int32),
            np.empty(starts[-1], np.int64),
            starts[:-1].copy(),
        )
        while self._lines:
            listener, counts, spelling = self._lines.pop()
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


def _writable(column: Array) -> Array:
    return column if column.flags.writeable else column.copy()


def _nothing(n_rules: int, n_spellings: int) -> Kept:
    rows, plays = (np.zeros(n_spellings, np.int64) for _ in range(2))
    return Kept(dropped=np.zeros(n_rules, np.int64), rows=rows, plays=plays)


class OnDisk:
    """Lines in a file, cleaned and added up by DuckDB within some memory."""

    def __init__(self, lines: Path, memory: int) -> None:
        self._engine = limited_engine(memory, lines.with_suffix(".spill"))
        self._engine.execute(
            "CREATE VIEW lines AS SELECT *, spelling::INT AS at FROM "
            f"read_parquet('{str(lines).replace(chr(39), chr(39) * 2)}')"
        )

    def close(self) -> None:
        """Let go of the memory and the files."""
        self._engine.close()

    def judge(self, verdicts: Verdicts, n_rules: int) -> Kept:
        """Keep the lines that no rule drops."""
        self._table("spellings", {"fault": verdicts.fault.astype(np.int32)})
        self._table("listeners", {"stranger": verdicts.stranger.astype(np.int32)})
        self._engine.execute(
            "CREATE VIEW judged AS SELECT lines.*, CASE "
            f"WHEN lines.spelling < 0 THEN {verdicts.malformed} "
            f"WHEN lines.listener < 0 THEN {verdicts.nobody} "
            f"WHEN lines.plays < 1 THEN {verdicts.bad} "
            "WHEN spellings.fault > 0 THEN spellings.fault "
            f"WHEN listeners.stranger > 0 THEN {verdicts.strange} "
            f"ELSE {FINE} END AS rule FROM lines "
            "LEFT JOIN spellings ON lines.spelling = spellings.number "
            "LEFT JOIN listeners ON lines.listener = listeners.number"
        )
        kept = _nothing(n_rules, len(verdicts.fault))
        for rule, n in self._rows("SELECT rule, count(*) FROM judged GROUP BY rule"):
            kept.dropped[rule] = n
        query = (
            f"SELECT spelling, count(*), sum(plays) FROM judged WHERE rule = {FINE} GROUP BY ALL"
        )
        for spelling, rows, plays in self._rows(query):
            kept.rows[spelling], kept.plays[spelling] = rows, plays
        return kept

    def add_up(self, column: Array, n_artists: int) -> Array:
        """Add up the lines of each listener and artist; says how many listeners artists have."""
        self._table("columns", {"artist": column})
        self._engine.execute(
            "CREATE TABLE pairs AS SELECT listener, artist, sum(plays)::BIGINT AS plays "
            "FROM judged JOIN columns ON judged.spelling = columns.number "
            f"WHERE rule = {FINE} GROUP BY listener, artist"
        )
        listeners = np.zeros(n_artists, np.int64)
        for artist, n in self._rows("SELECT artist, count(*) FROM pairs GROUP BY artist"):
            listeners[artist] = n
        return listeners

    def renumber(self, number: Array) -> int:
        """Renumber the artists and drop those with -1; says how many listeners are left."""
        self._table("numbers", {"artist": number})
        self._engine.execute(
            "CREATE TABLE heard AS "
            "SELECT listener, row_number() OVER (ORDER BY listener) - 1 AS row "
            "FROM (SELECT DISTINCT listener FROM pairs "
            "JOIN numbers ON pairs.artist = numbers.number WHERE numbers.artist >= 0)"
        )
        return next(self._rows("SELECT count(*) FROM heard"))[0]

    def tables(self) -> Iterator[pa.Table]:
        """Columns listener, artist, plays, in the order of listeners and artists."""
        found = self._engine.sql(
            "SELECT heard.row::INT AS listener, numbers.artist::INT AS artist, plays FROM pairs "
            "JOIN numbers ON pairs.artist = numbers.number "
            "JOIN heard ON pairs.listener = heard.listener "
            "WHERE numbers.artist >= 0 ORDER BY 1, 2"
        )
        for batch in found.to_arrow_reader(ROWS):
            yield pa.Table.from_batches([batch])

    def _rows(self, query: str) -> Iterator[tuple[int, ...]]:
        self._engine.execute(query)
        while rows := self._engine.fetchmany(10_000):
            yield from rows

    def _table(self, name: str, columns: dict[str, Array]) -> None:
        length = len(next(iter(columns.values())))
        table = pa.table({"number": np.arange(length, dtype=np.int32), **columns})
        self._engine.register("given", table)
        self._engine.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        self._engine.unregister("given")


@contextmanager
def held(lines: Iterator[Lines], memory: int, path: Path) -> Iterator["InMemory | OnDisk"]:
    """Hold lines in memory, or in a file at `path` for a while if they are too many."""
    known, n = [], 0
    for each in lines:
        known.append(each)
        n += len(each.plays)
        if FIXED + n * BYTES_A_LINE > memory:
            break
    else:
        all_lines = InMemory(known)
        known.clear()  # it has them, and lets go of them as it goes on
        yield all_lines
        return
    try:
        _spill(chain(known, lines), path)
        known.clear()
        engine = OnDisk(path, (memory - FIXED) // SHARE + LITTLE)
        try:
            yield engine
        finally:
            engine.close()
    finally:
        path.unlink(missing_ok=True)
        shutil.rmtree(path.with_suffix(".spill"), ignore_errors=True)


def _spill(lines: Iterable[Lines], path: Path) -> None:
    number = pa.int32()
    schema = pa.schema({"listener": number, "plays": number, "spelling": number})
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        for each in lines:
            columns = [pa.array(each.listener), pa.array(each.plays), pa.array(each.spelling)]
            writer.write_table(pa.table(columns, schema=schema))


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
