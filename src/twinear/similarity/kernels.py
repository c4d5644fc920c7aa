"""Co-listening counted row by row, in machine code.

For an artist a every listener of a is visited, and every artist b that the listener hears: a row
of C (listeners of both) in memory of one row, whatever the number of artists. Where a measure
needs more than C, each (listener, artist) has a whole-number weight and two more rows are summed:

========  ========================================  =======================
SHARED    P[a, b], the plays of a by listeners of b  P[b, a], the other way
PRODUCT   the sum of the products of both weights    nothing
========  ========================================  =======================

All sums are of whole numbers: no order of listeners, artists, threads or parts changes a bit.
One file, because the code that is kept of a function is renewed only when its own file changes.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from twinear.compute.jit import compiled

Array = npt.NDArray[Any]

COUNTS, SHARED, PRODUCT = 0, 1, 2
MINIMUM, ASYMMETRIC, PLAYS_MINIMUM, COSINE, JACCARD, PMI, BM25 = range(7)
UNIT = 30  # bits after the point of a weight whose squares add up to 1: products fit 64 bits


@compiled
def by_artist(
    starts: Array, artist: Array, weight: Array, n_artists: int
) -> tuple[Array, Array, Array]:
    """Turn listeners x artists into artists x listeners: starts, listener, weight."""
    stops = np.zeros(n_artists + 1, np.int64)
    for a in artist:
        stops[a + 1] += 1
    stops = np.cumsum(stops)
    at = stops[:-1].copy()
    listener, turned = np.empty(len(artist), np.int32), np.empty(len(weight), np.int64)
    for u in range(len(starts) - 1):
        for j in range(starts[u], starts[u + 1]):
            a = artist[j]
            listener[at[a]] = u
            if len(weight):
                turned[at[a]] = weight[j]
            at[a] += 1
    return stops, listener, turned


@compiled
def selected(
    starts: Array, artist: Array, plays: Array, column: Array
) -> tuple[Array, Array, Array]:
    """Keep some artists: `column` has the new number of each, or -1; in rising order."""
    n = 0
    for a in artist:
        n += column[a] >= 0
    kept, weight = np.empty(n, np.int32), np.empty(n if len(plays) else 0, np.int64)
    stops = np.zeros(len(starts), np.int64)
    n = 0
    for u in range(len(starts) - 1):
        for j in range(starts[u], starts[u + 1]):
            if column[artist[j]] >= 0:
                kept[n] = column[artist[j]]
                if len(plays):
                    weight[n] = plays[j]
                n += 1
        stops[u + 1] = n
    return stops, kept, weight


@compiled
def _gather(
    a: int,
    kind: int,
    heard: tuple[Array, Array, Array],
    turned: tuple[Array, Array, Array],
    sums: tuple[Array, Array, Array],
    touched: Array,
) -> int:
    """Add up row a of the sums; says how many artists were touched."""
    starts, artist, weight = heard
    of_artist, listener, own_weight = turned
    both, forth, back = sums
    n = 0
    for i in range(of_artist[a], of_artist[a + 1]):
        u = listener[i]
        first, last = starts[u], starts[u + 1]
        if kind == COUNTS:
            for j in range(first, last):
                b = artist[j]
                if both[b] == 0:
                    touched[n] = b
                    n += 1
                both[b] += 1
            continue
        own = own_weight[i]
        for j in range(first, last):
            b = artist[j]
            if both[b] == 0:
                touched[n] = b
                n += 1
            both[b] += 1
            if kind == SHARED:
                forth[b] += own
                back[b] += weight[j]
            else:
                forth[b] += own * weight[j]
    return n


@compiled
def _clear(sums: tuple[Array, Array, Array], touched: Array, n: int) -> None:
    both, forth, back = sums
    for i in range(n):
        both[touched[i]] = 0
        if len(forth):
            forth[touched[i]] = 0
        if len(back):
            back[touched[i]] = 0


@compiled
def _value(
    measure: int,
    both: int,
    forth: int,
    back: int,
    a: int,
    b: int,
    listeners: Array,
    plays: Array,
    n_listeners: float,
    shrinkage: float,
) -> float:
    """The measure of artists a and b that have `both` > 0 listeners in common."""
    n, m, value = listeners[a], listeners[b], forth / 2.0 ** (2 * UNIT)
    if measure == MINIMUM:
        value = both / max(n, m)
    elif measure == ASYMMETRIC:
        value = both / n
    elif measure == PLAYS_MINIMUM:
        value = min(forth / plays[a], back / plays[b])
    elif measure == COSINE:
        value = both / np.sqrt(n * m)
    elif measure == JACCARD:
        value = both / (n + m - both)
    elif measure == PMI:
        value = max(0.0, np.log(both * n_listeners / (n * m))) * both / (both + shrinkage)
    return float(value)


@compiled
def _fill(
    a: int,
    touched: Array,
    n: int,
    sums: tuple[Array, Array, Array],
    facts: tuple[int, int, Array, Array, float, float],
    matrix: Array,
) -> None:
    """Write row a and column a of the matrix, over the touched artists."""
    measure, least, listeners, plays, n_listeners, shrinkage = facts
    both, forth, back = sums
    for i in range(n):
        b = touched[i]
        c = both[b]
        if c < least or b >= a:
            continue
        f = forth[b] if len(forth) else 0
        g = back[b] if len(back) else 0
        matrix[a, b] = _value(measure, c, f, g, a, b, listeners, plays, n_listeners, shrinkage)
        matrix[b, a] = _value(
            measure, c, g if measure == PLAYS_MINIMUM else f, f, b, a,
            listeners, plays, n_listeners, shrinkage,
        )  # fmt: skip


@compiled
def _before(value: Any, b: int, other: Any, other_b: int) -> bool:
    """Whether b stands before other_b: the higher value, of equal ones the more listened."""
    return value > other or (value == other and b < other_b)


@compiled
def _sift(values: Array, artists: Array, counts: Array, i: int, n: int) -> None:
    """Let the entry at i sink in a heap whose top is the last of the best."""
    while True:
        last = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < n and _before(values[last], artists[last], values[child], artists[child]):
                last = child
        if last == i:
            return
        values[i], values[last] = values[last], values[i]
        artists[i], artists[last] = artists[last], artists[i]
        counts[i], counts[last] = counts[last], counts[i]
        i = last


@compiled
def _keep_top(
    a: int,
    touched: Array,
    n: int,
    sums: tuple[Array, Array, Array],
    facts: tuple[int, int, Array, Array, float, float],
    best: tuple[Array, Array, Array],
) -> None:
    """Write the best of the touched artists, best first; -1 where there are no more."""
    measure, least, listeners, plays, n_listeners, shrinkage = facts
    both, forth, back = sums
    artists, values, counts = best
    size = len(artists)
    artists[:] = -1
    values[:] = 0
    counts[:] = 0
    found = 0
    for i in range(n):
        b = touched[i]
        c = both[b]
        if b == a or c < least:
            continue
        f = forth[b] if len(forth) else 0
        g = back[b] if len(back) else 0
        value = np.float32(_value(measure, c, f, g, a, b, listeners, plays, n_listeners, shrinkage))
        if value <= 0:
            continue
        if found < size:
            artists[found], values[found], counts[found] = b, value, c
            found += 1
            if found == size:
                for k in range(size // 2, -1, -1):
                    _sift(values, artists, counts, k, size)
        elif _before(value, b, values[0], artists[0]):
            artists[0], values[0], counts[0] = b, value, c
            _sift(values, artists, counts, 0, size)
    if found < size:
        for k in range(found // 2, -1, -1):
            _sift(values, artists, counts, k, found)
    for n in range(found - 1, 0, -1):  # the last of the best goes to the end
        values[0], values[n] = values[n], values[0]
        artists[0], artists[n] = artists[n], artists[0]
        counts[0], counts[n] = counts[n], counts[0]
        _sift(values, artists, counts, 0, n)


@compiled
def _row(n: int, kind: int) -> tuple[Array, Array, Array]:
    more = n if kind != COUNTS else 0
    return (
        np.zeros(n, np.int32),
        np.zeros(more, np.int64),
        np.zeros(n if kind == SHARED else 0, np.int64),
    )


@compiled
def _find(artist: Array, first: int, last: int, wanted: int) -> int:
    """Where in artist[first:last], which rises, `wanted` is or would be."""
    while first < last:
        middle = (first + last) // 2
        if artist[middle] < wanted:
            first = middle + 1
        else:
            last = middle
    return first


@compiled
def scatter_rows(
    first: int,
    last: int,
    kind: int,
    whole: bool,
    heard: tuple[Array, Array, Array],
    block: tuple[Array, Array, Array],
) -> None:
    """Add rows `first` to `last`, whole or left of the diagonal, to a block.

    Listener by listener: much faster than row by row where the block fits the processor's cache.
    """
    starts, artist, weight = heard
    both, forth, back = block
    for u in range(len(starts) - 1):
        begin, end = starts[u], starts[u + 1]
        for i in range(_find(artist, begin, end, first), end):
            if artist[i] >= last:
                break
            row, stop = artist[i] - first, end if whole else i
            if kind == COUNTS:
                for j in range(begin, stop):
                    both[row, artist[j]] += 1
                continue
            for j in range(begin, stop):
                both[row, artist[j]] += 1
                if kind == SHARED:
                    forth[row, artist[j]] += weight[i]
                    back[row, artist[j]] += weight[j]
                else:
                    forth[row, artist[j]] += weight[i] * weight[j]


@compiled
def rank_rows(
    first: int,
    last: int,
    kind: int,
    heard: tuple[Array, Array, Array],
    turned: tuple[Array, Array, Array],
    facts: tuple[int, int, Array, Array, float, float],
    best: tuple[Array, Array, Array],
) -> None:
    """Find the best of every row; `best` is (artists, n) artists, values and counts."""
    n_artists = len(best[0])
    sums, touched = _row(n_artists, kind), np.empty(n_artists, np.int32)
    for a in range(first, last):
        n = _gather(a, kind, heard, turned, sums, touched)
        _keep_top(a, touched, n, sums, facts, (best[0][a], best[1][a], best[2][a]))
        _clear(sums, touched, n)


@compiled
def count_rows(
    first: int,
    last: int,
    kind: int,
    heard: tuple[Array, Array, Array],
    turned: tuple[Array, Array, Array],
    n_artists: int,
) -> tuple[Array, Array, Array, Array, Array]:
    """Sum some listeners' part of the rows: stops of the rows, artist, and the three sums."""
    sums, touched = _row(n_artists, kind), np.empty(n_artists, np.int32)
    stops = np.zeros(last - first + 1, np.int64)
    for a in range(first, last):
        n = _gather(a, kind, heard, turned, sums, touched)
        stops[a - first + 1] = stops[a - first] + n
        _clear(sums, touched, n)
    size, more = stops[-1], stops[-1] if kind != COUNTS else 0
    artist, both = np.empty(size, np.int32), np.empty(size, np.int32)
    forth = np.empty(more, np.int64)
    back = np.empty(more if kind == SHARED else 0, np.int64)
    for a in range(first, last):
        n = _gather(a, kind, heard, turned, sums, touched)
        at = stops[a - first]
        artist[at : at + n] = touched[:n]
        both[at : at + n] = sums[0][touched[:n]]
        if len(forth):
            forth[at : at + n] = sums[1][touched[:n]]
        if len(back):
            back[at : at + n] = sums[2][touched[:n]]
        _clear(sums, touched, n)
    return stops, artist, both, forth, back


@compiled
def add_part(
    part: tuple[Array, Array, Array, Array, Array], block: tuple[Array, Array, Array]
) -> None:
    """Add what `count_rows` counted of some listeners to a block of (rows, artists) sums."""
    stops, artist, both, forth, back = part
    for row in range(len(stops) - 1):
        for i in range(stops[row], stops[row + 1]):
            block[0][row, artist[i]] += both[i]
            if len(forth):
                block[1][row, artist[i]] += forth[i]
            if len(back):
                block[2][row, artist[i]] += back[i]


@compiled
def _touched(both: Array, touched: Array) -> int:
    n = 0
    for b in range(len(both)):
        if both[b] > 0:
            touched[n] = b
            n += 1
    return n


@compiled
def fill_block(
    first: int,
    block: tuple[Array, Array, Array],
    facts: tuple[int, int, Array, Array, float, float],
    matrix: Array,
) -> None:
    """Write the summed rows from `first` into a matrix, left of the diagonal and above it."""
    touched = np.empty(len(matrix), np.int32)
    for row in range(len(block[0])):
        sums = block[0][row], block[1][row], block[2][row]
        _fill(first + row, touched, _touched(sums[0], touched), sums, facts, matrix)


@compiled
def rank_block(
    first: int,
    block: tuple[Array, Array, Array],
    facts: tuple[int, int, Array, Array, float, float],
    best: tuple[Array, Array, Array],
) -> None:
    """`rank_rows`, of the summed parts of rows from `first`."""
    touched = np.empty(len(best[0]), np.int32)
    for row in range(len(block[0])):
        a = first + row
        sums = block[0][row], block[1][row], block[2][row]
        n = _touched(sums[0], touched)
        _keep_top(a, touched, n, sums, facts, (best[0][a], best[1][a], best[2][a]))


@compiled
def tally(artist: Array, plays: Array, listeners: Array, totals: Array) -> None:
    """Add the listeners and the plays of every artist."""
    for j in range(len(artist)):
        listeners[artist[j]] += 1
        totals[artist[j]] += plays[j]


@compiled
def most_played(starts: Array, artist: Array, plays: Array, most: int) -> Array:
    """Which entries stay when a listener keeps the `most` artists played most, a mask.

    Of equal plays the first artist stays.
    """
    keep = np.ones(len(artist), np.bool_)
    for u in range(len(starts) - 1):
        first, last = starts[u], starts[u + 1]
        if last - first > most:
            order = np.argsort(-plays[first:last], kind="mergesort")
            for j in order[most:]:
                keep[first + j] = False
    return keep
