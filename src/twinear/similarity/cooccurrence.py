"""Every two artists counted: in memory, or part by part, here or on a Dask cluster.

In memory a row of counts is made, measured and forgotten, by as many threads as there are cores.
Where listens come in parts, a block of rows is summed over the parts first, as many rows as the
memory holds; each part of a block may be counted on another machine. The counts are the same.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from twinear.base.errors import TwinearError
from twinear.compute.pool import Workers, map_in_processes
from twinear.similarity import kernels
from twinear.similarity.measures import Facts
from twinear.similarity.partitions import ListensParts, Range, Whole

Array: TypeAlias = npt.NDArray[Any]
Part: TypeAlias = tuple[Array, Array, Array, Array, Array]  # of kernels.count_rows
Block: TypeAlias = tuple[Array, Array, Array]

TURNS = 4  # of a thread at the least: the rows of popular artists hold most of the work
DENSE = 100  # artists with more than one listener for so many artists are counted densely
ROWS = 256  # ranked in one turn
CACHE = 2**24  # bytes of counts that the processor holds near
BLOCK_SHARE = 3  # the share of the memory for a block of counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Counting:
    """What is to be counted, with what.

    Attributes
    ----------
    artists
        Rows of the listens' artists that are compared, rising.
    memory
        Bytes that a block of counts may share.
    workers
        The address of a Dask cluster, or a number of threads of this machine.
    """

    parts: ListensParts
    facts: Facts
    artists: Array
    memory: int
    workers: Workers

    def matrix(self) -> Array:
        """Every artist with every other, (artists, artists); 0 on the diagonal.

        Of up to 4,096 artists float64, of more float32.
        """
        n = len(self.artists)
        matrix = np.zeros((n, n), np.float64 if n <= 4096 else np.float32)
        facts = self.facts.of(self.artists)
        if self._whole is not None:
            heard = self.facts.heard(self._whole.plays, self.artists)

            def fill(first: int, last: int) -> None:
                block = self._scattered(first, last, False, heard)
                kernels.fill_block(first, block, facts, matrix)

            self._in_threads(fill, 0, n, max(1, CACHE // self._bytes_a_row))
            return matrix
        for first, block in self._blocks():
            kernels.fill_block(first, block, facts, matrix)
        return matrix

    def best(self, n_best: int) -> Block:
        """The `n_best` most similar of every artist, (artists, n_best), best first.

        Artist (-1 where nobody else is similar), value, listeners of both. Of equal values the
        artist that stands first goes first.
        """
        shape = len(self.artists), min(n_best, len(self.artists) - 1)
        best = np.empty(shape, np.int32), np.empty(shape, np.float32), np.empty(shape, np.int32)
        facts = self.facts.of(self.artists)
        if self._whole is not None:
            heard, turned = _turned(self._whole, self.facts, self.artists)

            def rank_dense(first: int, last: int) -> None:
                block = self._scattered(first, last, True, heard)
                kernels.rank_block(first, block, facts, best)

            def rank(first: int, last: int) -> None:
                kernels.rank_rows(first, last, self.facts.kind, heard, turned, facts, best)

            n, listeners = len(self.artists), facts[2]
            dense = int(np.argmax(np.append(listeners * DENSE < n, True)))
            self._in_threads(rank_dense, 0, dense, max(1, CACHE // self._bytes_a_row))
            self._in_threads(rank, dense, n, ROWS)
            return best
        for first, block in self._blocks():
            kernels.rank_block(first, block, facts, best)
        return best

    @property
    def _whole(self) -> Whole | None:
        """The only part, if the listens are in memory."""
        part = self.parts.parts[0]
        return part if isinstance(part, Whole) else None

    @property
    def _bytes_a_row(self) -> int:
        """Of the sums of one artist with all others."""
        kind = self.facts.kind
        of_a_pair = 4 + 8 * (kind != kernels.COUNTS) + 8 * (kind == kernels.SHARED)
        return len(self.artists) * of_a_pair

    def _scattered(self, first: int, last: int, whole: bool, heard: Block) -> Block:
        block = _empty_block(last - first, len(self.artists), self.facts.kind)
        kernels.scatter_rows(first, last, self.facts.kind, whole, heard, block)
        return block

    def _in_threads(self, run: Callable[[int, int], None], first: int, last: int, n: int) -> None:
        """Run over rows from `first` to `last`, at most n at a time."""
        threads = self.workers if isinstance(self.workers, int) else 1
        n = max(1, min(n, -(-(last - first) // (TURNS * threads))))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda row: run(row, min(row + n, last)), range(first, last, n)))

    def _blocks(self) -> Iterator[tuple[int, Block]]:
        """Blocks of rows, each summed over all parts."""
        n = len(self.artists)
        rows = min(n, max(1, self.memory // BLOCK_SHARE // self._bytes_a_row))
        for first in range(0, n, rows):
            last = min(first + rows, n)
            block = _empty_block(last - first, n, self.facts.kind)
            task = partial(
                _count_part, facts=self.facts, artists=self.artists, first=first, last=last
            )
            for part in self._counted(task):
                kernels.add_part(part, block)
            yield first, block

    def _counted(self, task: Callable[[Whole | Range], Part]) -> Iterator[Part]:
        parts = self.parts.parts
        if isinstance(self.workers, int):
            yield from map(task, parts)  # one at a time: the memory is shared
            return
        for each, part in zip(
            parts, map_in_processes(task, parts, self.workers, None), strict=True
        ):
            if part is None:
                raise TwinearError(
                    self.workers,
                    f"a worker died twice counting {each}",
                    remedy="give the workers more memory, or set TWINEAR_MEMORY to less",
                )
            yield part


def _count_part(part: Whole | Range, facts: Facts, artists: Array, first: int, last: int) -> Part:
    """Count one part's share of some rows; runs anywhere."""
    heard, turned = _turned(part, facts, artists)
    counted: Part = kernels.count_rows(first, last, facts.kind, heard, turned, len(artists))
    return counted


def _turned(part: Whole | Range, facts: Facts, artists: Array) -> tuple[Block, Block]:
    heard = facts.heard(part.read(len(facts.listeners)), artists)
    return heard, kernels.by_artist(*heard, len(artists))


def _empty_block(n_rows: int, n: int, kind: int) -> Block:
    more = n if kind != kernels.COUNTS else 0
    return (
        np.zeros((n_rows, n), np.int32),
        np.zeros((n_rows, more), np.int64),
        np.zeros((n_rows, n if kind == kernels.SHARED else 0), np.int64),
    )
