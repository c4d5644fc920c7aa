"""Co-listening counted in machine code.

For an artist a, every listener of a is visited, and every artist b of that listener: this sums row
a of C (listeners of both), in memory of one row whatever the number of artists. Where a measure
needs more than C, each (listener, artist) has a whole-number weight and two more rows are summed:

========  ========================================  =======================
kind      forward                                   backward
========  ========================================  =======================
COUNTS    nothing                                   nothing
SHARED    P[a, b], the plays of a by listeners of b  P[b, a], the other way
PRODUCT   the sum of the products of both weights   nothing
CAPPED    what the last listener counted, see below  nothing
========  ========================================  =======================

Baskets are listeners, or sessions of listeners. With CAPPED a listener counts at most `most` times
for a pair of artists. The weight of an entry is then its listener's number times 2**32, which rises
from basket to basket, and `forward` is the weight of the last listener with both artists, plus the
number of baskets of that listener.

All sums are of whole numbers: no order of listeners, artists, threads or parts changes a bit.
One file, because numba renews the cached code of a function only when its own file changes.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinear.compute.jit import compiled

Array = npt.NDArray[Any]

COUNTS, SHARED, PRODUCT, CAPPED = 0, 1, 2, 3
MINIMUM, ASYMMETRIC, PLAYS_MINIMUM, COSINE, JACCARD, PMI, BM25 = range(7)
LAST = 2**32 - 1  # a number that no artist has
UNIT = 30  # bits after the point of a weight whose squares add up to 1: products fit 64 bits


class SparseRows(NamedTuple):
    """A sparse matrix by rows, as in `scipy.sparse.csr_array`.

    Listeners x artists, or the reverse; columns rise within a row; no weights where only listeners
    are counted.
    """

    starts: Array  # (rows + 1,), int64: row i is columns[starts[i] : starts[i + 1]]
    columns: Array  # (entries,), int32
    weights: Array  # (entries,) or (0,), int64


class Sums(NamedTuple):
    """What is summed of pairs of artists: (artists,) of one artist, or (rows, artists).

    No columns in `forward` and `backward` where the kind does not need them.
    """

    colisteners: Array  # int32
    forward: Array  # int64
    backward: Array  # int64


class MeasureTerms(NamedTuple):
    """The measure, and what it knows of the compared artists."""

    measure: int
    min_colisteners: int
    listeners: Array  # (artists,), float64
    plays: Array  # (artists,), float64
    n_listeners: float
    shrinkage: float


class Nearest(NamedTuple):
    """The most similar artists, best first: (artists, n), or (n,) of one artist."""

    artists: Array  # int32, -1 where there are no more
    similarity: Array  # float32
    colisteners: Array  # int32


@compiled
def _similarities(a: int, others: Array, terms: MeasureTerms, sums: Sums) -> Array:
    """Return the similarity of a to other artists, who share listeners with it: (others,).

    Whole rows, and fields read outside of the loop: passing an array on costs an atomic count of
    references, for which the threads would wait at every pair.
    """
    measure, min_colisteners, listeners, plays, n_listeners, shrinkage = terms
    colisteners, forward, backward = sums
    values = np.zeros(len(others))
    for i in range(len(others)):
        b = others[i]
        both, n, m = colisteners[b], listeners[a], listeners[b]
        if both < min_colisteners:
            continue
        if measure == MINIMUM:
            values[i] = both / max(n, m)
        elif measure == ASYMMETRIC:
            values[i] = both / n
        elif measure == PLAYS_MINIMUM:
            values[i] = min(forward[b] / plays[a], backward[b] / plays[b])
        elif measure == COSINE:
            values[i] = both / np.sqrt(n * m)
        elif measure == JACCARD:
            values[i] = both / (n + m - both)
        elif measure == PMI:
            surprise = max(0.0, np.log(both * n_listeners / (n * m)))
            values[i] = surprise * both / (both + shrinkage)
        elif measure == BM25:
            values[i] = forward[b] / 2.0 ** (2 * UNIT)
    return values


@compiled
def fill_block(first: int, block: Sums, terms: MeasureTerms, matrix: Array) -> None:
    """Write the similarities of the artists from `first` into a matrix.

    A pair is computed once, left of the diagonal; only ASYMMETRIC has another value above it.
    """
    for row in range(len(block.colisteners)):
        a = first + row
        sums = Sums(block.colisteners[row], block.forward[row], block.backward[row])
        others = np.flatnonzero(sums.colisteners[:a])
        values = _similarities(a, others, terms, sums)
        for i in range(len(others)):
            b = others[i]
            matrix[a, b] = matrix[b, a] = values[i]
            if terms.measure == ASYMMETRIC and values[i] > 0:
                matrix[b, a] = sums.colisteners[b] / terms.listeners[b]


@compiled
def _keep_nearest(a: int, others: Array, terms: MeasureTerms, sums: Sums, nearest: Nearest) -> None:
    """Write the artists most similar to a into its row of `nearest`.

    Similarity and artist become one whole number, because a selection of numbers is several times
    faster than one of tuples: the bits of positive floats are in the order of their values, and of
    equally similar artists the lower number, which has more listeners, is better.
    """
    n_nearest = nearest.artists.shape[1]
    values = _similarities(a, others, terms, sums).astype(np.float32)
    keys = np.left_shift(values.view(np.int32).astype(np.int64), 32) + (LAST - others)
    keys = keys[(values > 0) & (others != a)]
    if len(keys) > n_nearest:
        keys = np.partition(keys, len(keys) - n_nearest)[-n_nearest:]
    keys = np.sort(keys)[::-1]
    n = len(keys)
    artists = LAST - (keys & LAST)
    nearest.artists[a, :n], nearest.artists[a, n:] = artists, -1
    nearest.colisteners[a, :n], nearest.colisteners[a, n:] = sums.colisteners[artists], 0
    nearest.similarity[a, :n] = np.right_shift(keys, 32).astype(np.int32).view(np.float32)
    nearest.similarity[a, n:] = 0


@compiled
def rank_block(first: int, block: Sums, terms: MeasureTerms, nearest: Nearest) -> None:
    """Find the most similar artists of the artists from `first`, whose rows are summed already."""
    for row in range(len(block.colisteners)):
        sums = Sums(block.colisteners[row], block.forward[row], block.backward[row])
        others = np.flatnonzero(sums.colisteners)
        _keep_nearest(first + row, others, terms, sums, nearest)


@compiled
def rank_rows(
    rows: tuple[int, int],
    kind: int,
    most: int,
    by_listener: SparseRows,
    by_artist: SparseRows,
    terms: MeasureTerms,
    nearest: Nearest,
) -> None:
    """Sum the rows of the artists from rows[0] to before rows[1] and find the most similar.

    A row of sums is reused: only what was touched is cleared, because most artists share
    listeners with few others.
    """
    n_artists = len(nearest.artists)
    sums = Sums(
        np.zeros(n_artists, np.int32),
        np.zeros(n_artists if kind != COUNTS else 0, np.int64),
        np.zeros(n_artists if kind == SHARED else 0, np.int64),
    )
    colisteners, forward, backward = sums  # a field read in a loop costs a count of references
    starts, artists, weights = by_listener
    touched = np.empty(n_artists, np.int32)
    for a in range(rows[0], rows[1]):
        n = 0
        for i in range(by_artist.starts[a], by_artist.starts[a + 1]):
            listener = by_artist.columns[i]
            for j in range(starts[listener], starts[listener + 1]):
                b = artists[j]
                if colisteners[b] == 0:
                    touched[n] = b
                    n += 1
                if kind == CAPPED:
                    forward[b] = max(forward[b], weights[j]) + 1
                    colisteners[b] += forward[b] - weights[j] <= most
                    continue
                colisteners[b] += 1
                if kind == SHARED:
                    forward[b] += by_artist.weights[i]
                    backward[b] += weights[j]
                elif kind == PRODUCT:
                    forward[b] += by_artist.weights[i] * weights[j]
        _keep_nearest(a, touched[:n], terms, sums, nearest)
        for b in touched[:n]:
            sums.colisteners[b] = 0
            if kind != COUNTS:
                sums.forward[b] = 0
            if kind == SHARED:
                sums.backward[b] = 0


@compiled
def scatter_rows(
    first: int, last: int, kind: int, most: int, whole: bool, by_listener: SparseRows, block: Sums
) -> None:
    """Sum the rows of the artists from `first` to before `last`, whole or left of the diagonal.

    Listener by listener: much faster than row by row where the block fits the processor's cache.
    """
    artists, weights = by_listener.columns, by_listener.weights
    for listener in range(len(by_listener.starts) - 1):
        begin, end = by_listener.starts[listener], by_listener.starts[listener + 1]
        for i in range(begin + np.searchsorted(artists[begin:end], first), end):
            if artists[i] >= last:
                break
            row, stop = artists[i] - first, end if whole else i
            for j in range(begin, stop):
                if kind == CAPPED:
                    counted = max(block.forward[row, artists[j]], weights[j]) + 1
                    block.forward[row, artists[j]] = counted
                    block.colisteners[row, artists[j]] += counted - weights[j] <= most
                    continue
                block.colisteners[row, artists[j]] += 1
                if kind == SHARED:
                    block.forward[row, artists[j]] += weights[i]
                    block.backward[row, artists[j]] += weights[j]
                elif kind == PRODUCT:
                    block.forward[row, artists[j]] += weights[i] * weights[j]


@compiled
def most_played(starts: Array, artists: Array, plays: Array, most: int) -> Array:
    """Return which entries stay when every listener keeps the `most` artists played most.

    Of equally played artists the first stays.
    """
    keep = np.ones(len(artists), np.bool_)
    for listener in range(len(starts) - 1):
        first, last = starts[listener], starts[listener + 1]
        if last - first > most:
            order = np.argsort(-plays[first:last], kind="mergesort")
            for j in order[most:]:
                keep[first + j] = False
    return keep
