"""Co-listening of every two artists: in memory, or part by part, here or on a Dask cluster.

In memory a row of counts is made, turned into similarities and forgotten, by as many threads as
there are cores. Where listens come in parts, a block of rows is summed over the parts first, as
many rows as the memory holds; each part of a block may be counted on another machine. The counts
are the same.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from twinear.base.errors import TwinearError
from twinear.compute.pool import Workers, map_in_processes
from twinear.similarity import kernels
from twinear.similarity.kernels import Array, Nearest, SparseRows, Sums
from twinear.similarity.measures import ArtistTotals
from twinear.similarity.partitions import AllListeners, ListenerRange, ListensParts, Plays

TURNS = 4  # of a thread at the least: the rows of popular artists hold most of the work
DENSE = 100  # artists known to more than one listener per so many artists are counted densely
ROWS = 256  # ranked in one turn
CACHE = 2**24  # bytes of counts that the processor holds near
BLOCK_SHARE = 3  # the share of the memory for a block of counts


@dataclass(frozen=True, kw_only=True, eq=False)
class CoListening:
    """The listens and the artists to compare, and the means to do it."""

    parts: ListensParts
    totals: ArtistTotals
    artists: Array  # rows of the listens' artists that are compared, rising
    memory: int  # bytes that a block of counts may share
    workers: Workers  # the address of a Dask cluster, or a number of threads of this machine

    def matrix(self) -> Array:
        """Compare every artist with every other, (artists, artists); 0 on the diagonal.

        float64 up to 4,096 artists, then float32.
        """
        n = len(self.artists)
        matrix = np.zeros((n, n), np.float64 if n <= 4096 else np.float32)
        terms = self.totals.terms(self.artists)
        plays = self._plays_in_memory
        if plays is None:
            for first, block in self._blocks():
                kernels.fill_block(first, block, terms, matrix)
            return matrix
        by_listener = self._sparse_rows(self.totals.weights(plays, self.artists))

        def fill(first: int, last: int) -> None:
            block = self._scattered(first, last, False, by_listener)
            kernels.fill_block(first, block, terms, matrix)

        self._in_threads(fill, 0, n, self._rows_in_cache)
        return matrix

    def nearest(self, n_nearest: int) -> Nearest:
        """Find the `n_nearest` most similar artists of every artist, best first.

        Artists that are not similar at all are left out. Of equally similar artists the one with
        more listeners is first.
        """
        n = len(self.artists)
        shape = n, min(n_nearest, n - 1)
        nearest = Nearest(
            np.empty(shape, np.int32), np.empty(shape, np.float32), np.empty(shape, np.int32)
        )
        terms = self.totals.terms(self.artists)
        plays = self._plays_in_memory
        if plays is None:
            for first, block in self._blocks():
                kernels.rank_block(first, block, terms, nearest)
            return nearest
        weights = self.totals.weights(plays, self.artists)
        by_listener, by_artist = self._sparse_rows(weights), self._sparse_rows(weights.tocsc())

        def rank_dense(first: int, last: int) -> None:
            block = self._scattered(first, last, True, by_listener)
            kernels.rank_block(first, block, terms, nearest)

        def rank(first: int, last: int) -> None:
            rows, kind = (first, last), self.totals.kind
            kernels.rank_rows(rows, kind, by_listener, by_artist, terms, nearest)

        # Artists come with most listeners first; the first ones share listeners with most others.
        n_dense = int(np.argmax(np.append(terms.listeners * DENSE < n, True)))
        self._in_threads(rank_dense, 0, n_dense, self._rows_in_cache)
        self._in_threads(rank, n_dense, n, ROWS)
        return nearest

    @property
    def _plays_in_memory(self) -> Plays | None:
        part = self.parts.parts[0]
        return part.plays if isinstance(part, AllListeners) else None

    @property
    def _bytes_per_row(self) -> int:
        """Size of the sums of one artist with all others."""
        kind = self.totals.kind
        bytes_per_pair = 4 + 8 * (kind != kernels.COUNTS) + 8 * (kind == kernels.SHARED)
        return len(self.artists) * bytes_per_pair

    @property
    def _rows_in_cache(self) -> int:
        return max(1, CACHE // self._bytes_per_row)

    def _sparse_rows(self, weights: Any) -> SparseRows:
        """Hand a CSR matrix, or the transpose of a CSC matrix, to the kernels."""
        no_weights = np.empty(0, np.int64)
        return SparseRows(
            weights.indptr.astype(np.int64),  # one type: the kernels are compiled once
            weights.indices,
            no_weights if self.totals.kind == kernels.COUNTS else weights.data,
        )

    def _empty_block(self, n_rows: int) -> Sums:
        n, kind = len(self.artists), self.totals.kind
        return Sums(
            np.zeros((n_rows, n), np.int32),
            np.zeros((n_rows, n if kind != kernels.COUNTS else 0), np.int64),
            np.zeros((n_rows, n if kind == kernels.SHARED else 0), np.int64),
        )

    def _scattered(self, first: int, last: int, whole: bool, by_listener: SparseRows) -> Sums:
        block = self._empty_block(last - first)
        kernels.scatter_rows(first, last, self.totals.kind, whole, by_listener, block)
        return block

    def _in_threads(self, run: Callable[[int, int], None], first: int, last: int, n: int) -> None:
        """Run over the rows from `first` to before `last`, at most n at a time."""
        threads = self.workers if isinstance(self.workers, int) else 1
        n = max(1, min(n, -(-(last - first) // (TURNS * threads))))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda row: run(row, min(row + n, last)), range(first, last, n)))

    def _blocks(self) -> Iterator[tuple[int, Sums]]:
        """Yield the first row of each block, and its sums over all parts."""
        n = len(self.artists)
        n_rows = min(n, max(1, self.memory // BLOCK_SHARE // self._bytes_per_row))
        for first in range(0, n, n_rows):
            last = min(first + n_rows, n)
            block = self._empty_block(last - first)
            task = partial(
                _count_part, totals=self.totals, artists=self.artists, first=first, last=last
            )
            parts = self.parts.parts
            # In threads one at a time: the memory is shared.
            results: Iterator[list[Plays] | None] = (
                map(task, parts)
                if isinstance(self.workers, int)
                else map_in_processes(task, parts, self.workers, None)
            )
            for part, part_sums in zip(parts, results, strict=True):
                if part_sums is None:
                    found = f"a worker died twice counting {part}"
                    remedy = "give the workers more memory, or set TWINEAR_MEMORY to less"
                    raise TwinearError(self.workers, found, remedy=remedy)
                for sums, added in zip(block, part_sums, strict=False):
                    entries = added.tocoo()
                    sums[entries.coords] += entries.data  # every pair occurs once
            yield first, block


def _count_part(
    part: AllListeners | ListenerRange, totals: ArtistTotals, artists: Array, first: int, last: int
) -> list[Plays]:
    """Sum one part's share of some rows, (last - first, artists): the fields of `Sums` needed."""
    weights = totals.weights(part.read(len(totals.listeners)), artists)
    ones = np.ones(weights.nnz, np.int32)
    listened = csr_array((ones, weights.indices, weights.indptr), shape=weights.shape)
    listened_rows, weight_rows = (m[:, first:last].T.tocsr() for m in (listened, weights))
    sums = [listened_rows @ listened]
    if totals.kind == kernels.SHARED:
        sums += [weight_rows @ listened, listened_rows @ weights]
    elif totals.kind == kernels.PRODUCT:
        sums += [weight_rows @ weights]
    return sums
