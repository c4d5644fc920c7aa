"""Lines of listens cleaned and added up in memory; `on_disk` does the same with less memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array, csr_array

from twinear.listens.rules import KEPT, NUMBER, Array, LineRules, RuleCounts, most_listened
from twinear.listens.scanner import Lines

Matrix: TypeAlias = csr_array[Any, tuple[int, int]]

ROWS = 2**19  # read from DuckDB and written at a time
PART = 2**18  # lines to which the rules are applied at a time: they fit the processor's cache
BLOCK = 2**22  # lines held together: memory of that size goes back to the system when it is freed


@dataclass(frozen=True, kw_only=True, eq=False)
class LinesInMemory:
    """Lines in blocks of listener, plays and spelling: (3, about `BLOCK`), int32."""

    blocks: list[Array]

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
            rules_of_lines.append(np.empty(block.shape[1], np.uint8))
            for first in range(0, block.shape[1], PART):
                listener, plays, spelling = block[:, first : first + PART]
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

    blocks: list[Array]
    rules: list[Array]

    def sum_plays(self, artists: Array, n_artists: int, min_listeners: int) -> "PlaysInMemory":
        """Add up the plays of each listener and artist; `artists`: the artist of each spelling."""
        n = sum(int(np.count_nonzero(rule == KEPT)) for rule in self.rules)
        (listener, artist), plays = np.empty((2, n), np.int32), np.empty(n, np.int64)
        first = 0
        while self.blocks:  # a block is freed before the next is copied
            block, kept = self.blocks.pop(0), self.rules.pop(0) == KEPT
            part = slice(first, first := first + int(np.count_nonzero(kept)))
            listener[part], plays[part] = block[0][kept], block[1][kept]
            artist[part] = artists[block[2][kept]]
            del block
        shape = int(listener.max(initial=-1)) + 1, n_artists
        # First by artist, which adds up duplicates, then by listener, which brings the artists of a
        # listener into order: much faster than sorting them.
        by_artist = coo_array((plays, (listener, artist)), shape=shape).tocsc()
        del listener, artist, plays
        listeners = np.diff(by_artist.indptr).astype(np.int64)
        by_artist = by_artist[:, most_listened(listeners, min_listeners)]
        matrix = by_artist.tocsr()
        has_artists = np.diff(matrix.indptr) > 0
        starts = np.append(matrix.indptr[:-1][has_artists], matrix.indptr[-1])
        shape = len(starts) - 1, matrix.shape[1]
        matrix = csr_array((matrix.data, matrix.indices, starts), shape=shape)
        return PlaysInMemory(listeners=listeners, matrix=matrix)


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaysInMemory:
    """Plays, (listeners, artists), int64, and the number of listeners of every artist."""

    listeners: Array
    matrix: Matrix

    @property
    def n_listeners(self) -> int:
        """Number of listeners who have an artist left."""
        return self.matrix.shape[0]

    def tables(self) -> Iterator[pa.Table]:
        """Yield listener, artist and plays, in the order of listeners and artists."""
        return plays_tables(self.matrix)


def join_blocks(lines: Iterable[Lines]) -> Iterator[Array]:
    """Join lines to blocks of listener, plays and spelling: (3, about `BLOCK`), int32."""
    block, n = np.empty((3, 0), np.int32), 0
    for part in lines:
        n_part = len(part.plays)
        if n + n_part > block.shape[1]:
            if n:
                yield block[:, :n]
            block, n = np.empty((3, max(BLOCK, n_part)), np.int32), 0
        block[:, n : n + n_part] = part.listener, part.plays, part.spelling
        n += n_part
    if n:
        yield block[:, :n]


def plays_tables(matrix: Matrix) -> Iterator[pa.Table]:
    """Yield the entries of a matrix as tables of listener, artist and plays."""
    starts = matrix.indptr
    for first in range(0, matrix.nnz, ROWS):
        last = min(first + ROWS, matrix.nnz)
        u, v = np.searchsorted(starts, [first, last - 1], side="right") - 1  # their listeners
        n_entries: Array = np.diff(np.clip(starts[u : v + 2], first, last))
        listener = np.repeat(np.arange(u, v + 1, dtype=np.int32), n_entries)
        artist, plays = matrix.indices[first:last], matrix.data[first:last]
        yield pa.table({"listener": listener, "artist": artist, "plays": plays})


def write_plays(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write plays in groups of equal size: the file does not depend on how they were made."""
    schema = pa.schema({"listener": pa.int32(), "artist": pa.int32(), "plays": pa.int64()})
    rest = schema.empty_table()
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="lz4") as writer:
        for table in tables:  # a Python file, whose errors are OSError
            rest = pa.concat_tables([rest, table.cast(schema)])
            while len(rest) >= ROWS:
                writer.write_table(rest.slice(0, ROWS).combine_chunks())
                rest = rest.slice(ROWS)
        writer.write_table(rest.combine_chunks())
