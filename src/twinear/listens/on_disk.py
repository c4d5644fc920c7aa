"""Lines of listens that do not fit into memory: cleaned and added up by DuckDB on disk.

It gives the artists, plays and counts that `in_memory` gives, to the last bit.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection

from twinear.compute.memory import FIXED, limited_engine, literal_path
from twinear.listens.in_memory import ROWS, Block, LinesInMemory, join_blocks
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

BYTES_PER_LINE = 56  # in memory, with what they become
BYTES_PER_LISTEN = 56  # the same of a listen whose time is kept
SHARE = 3  # the share of the memory for DuckDB, which takes more than its limit
ENGINE_LEAST = 2**26  # bytes without which it does nothing


@contextmanager
def hold_lines(
    lines: Iterable[Lines], memory: int, path: Path
) -> Iterator["LinesInMemory | LinesOnDisk"]:
    """Hold lines in memory, or for the time being in a file at `path` if they are too many."""
    blocks = []
    remaining = join_blocks(lines)
    for block in remaining:
        blocks.append(block)
        if FIXED + sum(map(_bytes_needed, blocks)) > memory:
            break
    else:
        yield LinesInMemory(blocks=blocks)
        return
    try:
        timed = any(len(block.times) for block in blocks)
        schema = pa.schema(dict.fromkeys(("listener", "plays", "spelling"), pa.int32()))
        if timed:
            schema = schema.append(pa.field("times", pa.list_(pa.uint32())))
        with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
            for block in chain(blocks, remaining):
                columns = list(block.lines)
                if timed:
                    ends = np.concatenate([[0], np.cumsum(block.lines[1])]).astype(np.int32)
                    columns.append(pa.ListArray.from_arrays(ends, block.times))
                writer.write_table(pa.table(columns, schema=schema))
        del blocks
        engine_memory = (memory - FIXED) // SHARE + ENGINE_LEAST
        with limited_engine(engine_memory, path.with_suffix(".spill")) as engine:
            yield LinesOnDisk(engine=engine, path=path)
    finally:
        path.unlink(missing_ok=True)
        shutil.rmtree(path.with_suffix(".spill"), ignore_errors=True)


def _bytes_needed(block: Block) -> int:
    n_lines: int = block.lines.shape[1]
    return n_lines * BYTES_PER_LINE + len(block.times) * BYTES_PER_LISTEN


@dataclass(frozen=True, kw_only=True, eq=False)
class LinesOnDisk:
    """Lines in a Parquet file: listener, plays, spelling, and times where they are kept."""

    engine: DuckDBPyConnection
    path: Path

    def apply(self, rules: LineRules) -> tuple["KeptOnDisk", RuleCounts]:
        """Apply the rules to every line."""
        _create_table(self.engine, "spellings", rule=rules.spelling.astype(np.int32))
        _create_table(self.engine, "listeners", dropped=rules.without_profile.astype(np.int32))
        path = literal_path(self.path).replace("'", "''")
        self.engine.execute(
            "CREATE VIEW lines AS SELECT lines.*, CASE "
            f"WHEN spelling < 0 THEN {NUMBER['malformed']} "
            f"WHEN listener < 0 THEN {NUMBER['without_listener']} "
            f"WHEN plays < 1 THEN {NUMBER['bad_plays']} "
            f"WHEN spellings.rule <> {KEPT} THEN spellings.rule "
            f"WHEN listeners.dropped > 0 THEN {NUMBER['without_profile']} "
            f"ELSE {KEPT} END AS rule FROM read_parquet('{path}', file_row_number = true) lines "
            "LEFT JOIN spellings ON spelling = spellings.number "
            "LEFT JOIN listeners ON listener = listeners.number"
        )
        counts = RuleCounts.zeros(len(rules.spelling))
        n_rows = "sum(plays)::BIGINT" if rules.summed else "count(*)"
        query = f"SELECT rule, {n_rows}, min(file_row_number) FROM lines GROUP BY rule"
        for rule, n, first in _fetch(self.engine, query):
            counts.rows[rule], counts.first_line[rule] = n, first
        query = f"SELECT spelling, {n_rows}, sum(plays) FROM lines WHERE rule = {KEPT} GROUP BY ALL"
        for spelling, n, plays in _fetch(self.engine, query):
            counts.spelling_rows[spelling], counts.spelling_plays[spelling] = n, plays
        return KeptOnDisk(engine=self.engine), counts


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptOnDisk:
    """The view `lines`, with the number of the rule that drops each line."""

    engine: DuckDBPyConnection

    def sum_plays(self, artists: ArtistNumbers, session_gap: int | None) -> "PlaysOnDisk":
        """Add up the plays of each listener and artist, and of each session unless gap is None."""
        _create_table(self.engine, "identities", artist=artists.of_spelling)
        heard = (
            "SELECT listener, artist, plays FROM lines "
            f"JOIN identities ON spelling = identities.number WHERE rule = {KEPT}"
        )
        if session_gap is not None:
            # Listens of one second are peers in the order: they are of the same session.
            by_time = "OVER (PARTITION BY listener ORDER BY time)"
            self.engine.execute(
                "CREATE TABLE heard AS SELECT listener, session, artist, count(*) AS plays FROM ("
                f"SELECT listener, spelling, rule, sum(starts) {by_time} AS session FROM ("
                "SELECT listener, spelling, rule, time, "
                f"(time - lag(time, 1, time) {by_time} > {session_gap})::INT AS starts FROM ("
                "SELECT listener, spelling, rule, unnest(times)::BIGINT AS time FROM lines "
                "WHERE listener >= 0))) JOIN identities ON spelling = identities.number "
                f"WHERE rule = {KEPT} GROUP BY ALL"
            )
            heard = "SELECT * FROM heard"
        self.engine.execute(
            "CREATE TABLE pairs AS SELECT listener, artist, sum(plays)::BIGINT AS plays "
            f"FROM ({heard}) GROUP BY listener, artist"
        )
        listeners = np.zeros(artists.n, np.int64)
        for artist, n in _fetch(self.engine, "SELECT artist, count(*) FROM pairs GROUP BY artist"):
            listeners[artist] = n
        order = most_listened(listeners, artists.min_listeners).astype(np.int32)
        _create_table(self.engine, "chosen", artist=order)
        self.engine.execute(
            "CREATE TABLE numbered AS "
            "SELECT listener, row_number() OVER (ORDER BY listener) - 1 AS number "
            "FROM (SELECT DISTINCT listener FROM pairs JOIN chosen USING (artist))"
        )
        ((n_listeners,),) = _fetch(self.engine, "SELECT count(*) FROM numbered")
        n_sessions = None
        if session_gap is not None:
            self.engine.execute(
                "CREATE TABLE sessions AS SELECT listener, session, "
                "row_number() OVER (ORDER BY listener, session) - 1 AS number "
                "FROM (SELECT DISTINCT listener, session FROM heard JOIN chosen USING (artist))"
            )
            ((n_sessions,),) = _fetch(self.engine, "SELECT count(*) FROM sessions")
        return PlaysOnDisk(
            engine=self.engine,
            listeners=listeners,
            n_listeners=n_listeners,
            n_sessions=n_sessions,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaysOnDisk:
    """The tables `pairs`, `numbered` (listeners), `chosen` (artists), `heard` and `sessions`."""

    engine: DuckDBPyConnection
    listeners: Array
    n_listeners: int
    n_sessions: int | None

    def tables(self) -> Iterator[pa.Table]:
        """Yield listener, artist and plays, in the order of listeners and artists."""
        return self._read(
            "SELECT numbered.number::INT AS listener, chosen.number::INT AS artist, plays "
            "FROM pairs JOIN chosen USING (artist) JOIN numbered USING (listener) ORDER BY 1, 2"
        )

    def session_tables(self) -> Iterator[pa.Table]:
        """Yield listener, session, artist and plays, in the order of sessions and artists."""
        return self._read(
            "SELECT numbered.number::INT AS listener, sessions.number::INT AS session, "
            "chosen.number::INT AS artist, plays FROM heard JOIN chosen USING (artist) "
            "JOIN numbered USING (listener) JOIN sessions USING (listener, session) ORDER BY 2, 3"
        )

    def _read(self, query: str) -> Iterator[pa.Table]:
        for batch in self.engine.sql(query).to_arrow_reader(ROWS):
            yield pa.Table.from_batches([batch])


def _fetch(engine: DuckDBPyConnection, query: str) -> Iterator[tuple[int, ...]]:
    engine.execute(query)
    while rows := engine.fetchmany(10_000):
        yield from rows


def _create_table(engine: DuckDBPyConnection, name: str, **column: Array) -> None:
    """Create a table of one column, and `number`: the position in it."""
    ((title, values),) = column.items()
    numbers = np.arange(len(values), dtype=np.int32)
    engine.register("given", pa.table({"number": numbers, title: values}))
    engine.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    engine.unregister("given")
