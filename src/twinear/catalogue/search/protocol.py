"""What every search can do: the vectors with the largest inner products, among those allowed.

Vectors are rows of one float32 array, (vectors, n_dims), which the search does not own. Which rows
an approximate search finds is approximate; the products that it returns are exact.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Progress = Callable[[Iterable[int]], Iterable[int]]


class Hits(NamedTuple):
    """The vectors found for each query, best first; of equal products the lower row first."""

    rows: Ints  # (queries, n), -1 where there are fewer
    products: Floats  # (queries, n), -inf where there are fewer


class Search(Protocol):
    """Vectors that can be searched."""

    @property
    def exact(self) -> bool:
        """Whether nothing is ever missed."""

    def search(self, queries: Floats, n: int, allowed: Mask | None = None) -> Hits:
        """Find the `n` vectors with the largest inner product with each query.

        Parameters
        ----------
        queries
            (queries, n_dims), float32.
        allowed
            (vectors,): only these may be found; None: all.

        Raises
        ------
        DataError
            The index is damaged, or its server is away.
        """


def best_hits(rows: Ints, products: Floats, n: int) -> Hits:
    """Keep the `n` best of some hits, (queries, m); rows of -1 are no hits.

    Examples
    --------
    >>> rows = np.array([[4, 1, 2, -1]])
    >>> products = np.array([[0.5, 0.5, 0.75, 9.0]], np.float32)
    >>> best_hits(rows, products, 4).rows.tolist()
    [[2, 1, 4, -1]]
    """
    products = np.where(rows < 0, np.float32(-np.inf), products)
    order = np.lexsort((rows, -products), axis=1)[:, :n]
    return Hits(
        np.take_along_axis(rows, order, axis=1), np.take_along_axis(products, order, axis=1)
    )


def largest(values: Floats, n: int) -> Ints:
    """Positions of the `n` largest values, ascending; of equal values the first ones.

    Examples
    --------
    >>> largest(np.array([1.0, 3.0, 2.0, 2.0], np.float32), 2).tolist()
    [1, 2]
    """
    if n >= len(values):
        return np.arange(len(values))
    if n == 0:
        return np.empty(0, np.int64)
    least = np.partition(values, len(values) - n)[len(values) - n]
    positions = np.flatnonzero(values >= least)
    if len(positions) == n:
        return positions
    surplus = np.flatnonzero(values[positions] == least)[n - len(positions) :]
    return np.delete(positions, surplus)


def best_first(values: Floats, n: int) -> Ints:
    """Positions of the `n` largest values, best first; of equal values the first ones.

    Examples
    --------
    >>> best_first(np.array([1.0, 3.0, 2.0, 3.0], np.float32), 3).tolist()
    [1, 3, 2]
    """
    positions = largest(values, n)
    return positions[np.argsort(-values[positions], kind="stable")]


def no_hits(queries: int, n: int) -> Hits:
    """Make hits that hold nothing, (queries, n)."""
    return Hits(np.full((queries, n), -1, np.int64), np.full((queries, n), -np.inf, np.float32))


def exact_products(queries: Floats, vectors: Floats, rows: Ints) -> Floats:
    """Multiply each query with its own rows of `vectors`, (queries, m); rows of -1 give -inf."""
    products = np.empty(rows.shape, np.float32)
    for query, of_query, into in zip(queries, rows, products, strict=True):
        np.matmul(vectors[of_query], query, out=into)
    products[rows < 0] = -np.inf
    return products
