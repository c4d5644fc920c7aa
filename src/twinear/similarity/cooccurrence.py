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
from twinear.similarity.partitions import Baskets, ListenerRange, ListensParts, Plays

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
        baskets = self._baskets_in_memory
        if baskets is None:
            for first, block in self._blocks():
                kernels.fill_block(first, block, terms, matrix)
            return matrix
        by_listener = _sparse_rows(self.totals, self.totals.weights(baskets, self.artists))

        def fill(first: int, last: int) -> None:
            block = _scatter(self.totals, (first, last), False, by_listener, n)
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
        baskets = self._baskets_in_memory
        if baskets is None:
            for first, block in self._blocks():
                kernels.rank_block(first, block, terms, nearest)
            return nearest
        weights = self.totals.weights(baskets, self.artists)
        by_listener, by_artist = (
            _sparse_rows(self.totals, matrix) for matrix in (weights, weights.tocsc())
        )

        def rank_dense(first: int, last: int) -> None:
            block = _scatter(self.totals, (first, last), True, by_listener, n)
            kernels.rank_block(first, block, terms, nearest)

        def rank(first: int, last: int) -> None:
            rows, kind, most = (first, last), self.totals.kind, self.totals.params.most
            kernels.rank_rows(rows, kind, most, by_listener, by_artist, terms, nearest)

        # Artists come with most listeners first; the first ones share listeners with most others.
        n_dense = int(np.argmax(np.append(terms.listeners * DENSE < n, True)))
        self._in_threads(rank_dense, 0, n_dense, self._rows_in_cache)
        self._in_threads(rank, n_dense, n, ROWS)
        return nearest

    @property
    def _baskets_in_memory(self) -> Baskets | None:
        part = self.parts.parts[0]
        return part if isinstance(part, Baskets) else None

    @property
    def _bytes_per_row(self) -> int:
        """Size of the sums of one artist with all others."""
        kind = self.totals.kind
        bytes_per_pair = 4 + 8 * (kind != kernels.COUNTS) + 8 * (kind == kernels.SHARED)
        return len(self.artists) * bytes_per_pair

    @property
    def _rows_in_cache(self) -> int:
        return max(1, CACHE // self._bytes_per_row)

    def _in_threads(self, run: Callable[[int, int], None], first: int, last: int, n: int) -> None:
        """Run over the rows from `first` to before `last`, at most n at a time."""
        threads = self.workers if isinstance(self.workers, int) else 1
        n = max(1, min(n, -(-(last - first) // (TURNS * threads))))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda row: run(row, min(row + n, last)), range(first, last, n)))

    def _blocks(self) -> Iterator[tuple[int, Sums]]:
        """Yield the first row of each block, and its sums over all parts."""
        n = len(self.artists)
        share = self.memory // BLOCK_SHARE
        if self.totals.kind == kernels.CAPPED:
            share //= 2  # the counts of a part are a block too
        n_rows = min(n, max(1, share // self._bytes_per_row))
        for first in range(0, n, n_rows):
            last = min(first + n_rows, n)
            block = _empty_block(self.totals.kind, last - first, n)
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


def _empty_block(kind: int, n_rows: int, n_artists: int) -> Sums:
    return Sums(
        np.zeros((n_rows, n_artists), np.int32),
        np.zeros((n_rows, n_artists if kind != kernels.COUNTS else 0), np.int64),
        np.zeros((n_rows, n_artists if kind == kernels.SHARED else 0), np.int64),
    )


def _sparse_rows(totals: ArtistTotals, weights: Any) -> SparseRows:
    """Hand a CSR matrix, or the transpose of a CSC matrix, to the kernels."""
    no_weights = np.empty(0, np.int64)
    return SparseRows(
        weights.indptr.astype(np.int64),  # one type: the kernels are compiled once
        weights.indices,
        no_weights if totals.kind == kernels.COUNTS else weights.data,
    )


def _scatter(
    totals: ArtistTotals, rows: tuple[int, int], whole: bool, by_listener: SparseRows, n: int
) -> Sums:
    """Sum some rows with all `n` artists, or with those left of the diagonal."""
    block = _empty_block(totals.kind, rows[1] - rows[0], n)
    kernels.scatter_rows(*rows, totals.kind, totals.params.most, whole, by_listener, block)
    return block


def _count_part(
    part: Baskets | ListenerRange, totals: ArtistTotals, artists: Array, first: int, last: int
) -> list[Plays]:
    """Sum one part's share of some rows, (last - first, artists): the fields of `Sums` needed."""
    weights = totals.weights(part.read(len(totals.listeners)), artists)
    if totals.kind == kernels.CAPPED:
        rows = _sparse_rows(totals, weights)
        block = _scatter(totals, (first, last), True, rows, len(artists))
        return [csr_array(block.colisteners)]
    ones = np.ones(weights.nnz, np.int32)
    listened = csr_array((ones, weights.indices, weights.indptr), shape=weights.shape)
    listened_rows, weight_rows = (m[:, first:last].T.tocsr() for m in (listened, weights))
    sums = [listened_rows @ listened]
    if totals.kind == kernels.SHARED:
        sums += [weight_rows @ listened, listened_rows @ weights]
    elif totals.kind == kernels.PRODUCT:
        sums += [weight_rows @ weights]
    return sums
