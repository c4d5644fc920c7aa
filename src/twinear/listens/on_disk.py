"""Lines of listens that do not fit into memory: cleaned and added up by DuckDB on disk.

It gives the artists, plays and counts that `cleaning` gives in memory, to the last bit.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from twinear.compute.memory import FIXED, limited_engine
from twinear.listens.in_memory import FINE, ROWS, InMemory, Kept, Verdicts, nothing_kept
from twinear.listens.scanner import Lines

Array: TypeAlias = npt.NDArray[Any]

BYTES_A_LINE = 56  # in memory, with what they become
SHARE = 3  # the share of the memory for DuckDB, which takes more than it is told
LITTLE = 2**26  # bytes without which it does nothing


@contextmanager
def held(lines: Iterator[Lines], memory: int, path: Path) -> Iterator["InMemory | OnDisk"]:
    """Hold lines in memory, or in a file at `path` for a while if they are too many."""
    known = InMemory()
    for each in lines:
        known.add(each)
        if FIXED + known.n * BYTES_A_LINE > memory:
            break
    else:
        yield known
        return
    try:
        _spill(chain(known.lines(), lines), path)
        del known
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


class OnDisk:
    """Lines in a file, cleaned and added up by DuckDB within some memory."""

    def __init__(self, lines: Path, memory: int) -> None:
        self._engine = limited_engine(memory, lines.with_suffix(".spill"))
        self._engine.execute(
            "CREATE VIEW lines AS SELECT * FROM "
            f"read_parquet('{str(lines).replace(chr(39), chr(39) * 2)}', file_row_number = true)"
        )

    def close(self) -> None:
        """Let go of the memory and the files."""
        self._engine.close()

    def judge(self, verdicts: Verdicts, n_rules: int, summed: bool) -> Kept:
        """Keep the lines that no rule drops; `summed`: each is as many rows as it has plays."""
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
        kept = nothing_kept(n_rules, len(verdicts.fault))
        n_rows = "sum(plays)::BIGINT" if summed else "count(*)"
        query = f"SELECT rule, {n_rows}, min(file_row_number) FROM judged GROUP BY rule"
        for rule, n, first in self._rows(query):
            kept.dropped[rule], kept.first[rule] = n, first
        query = (
            f"SELECT spelling, {n_rows}, sum(plays) FROM judged WHERE rule = {FINE} GROUP BY ALL"
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
