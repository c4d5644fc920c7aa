"""Exact search: every vector is multiplied with every query, block by block.

The vectors may be memory-mapped: no more than a block of products is in memory.
"""

from dataclasses import dataclass

import numpy as np

from twinear.catalogue.search.protocol import Floats, Hits, Mask, best_hits, largest, no_hits

BLOCK = 2**16  # vectors multiplied at a time
QUERIES = 256  # queries multiplied at a time: a block of products takes 64 MiB


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactSearch:
    """Vectors, (vectors, n_dims), searched by brute force."""

    vectors: Floats

    @property
    def exact(self) -> bool:
        """Nothing is ever missed."""
        return True

    def search(self, queries: Floats, n: int, allowed: Mask | None = None) -> Hits:
        """See `Search.search`."""
        chosen = None if allowed is None else np.flatnonzero(allowed)
        hits = [
            self._search_block(queries[start : start + QUERIES], n, chosen)
            for start in range(0, len(queries), QUERIES)
        ]
        if not hits:
            return no_hits(0, n)
        return Hits(*(np.concatenate(arrays) for arrays in zip(*hits, strict=True)))

    def _search_block(self, queries: Floats, n: int, chosen: np.ndarray | None) -> Hits:
        best = no_hits(len(queries), n)
        total = len(self.vectors) if chosen is None else len(chosen)
        for start in range(0, total, BLOCK):
            stop = min(start + BLOCK, total)
            if chosen is None:
                rows = np.arange(start, stop)
                products = queries @ self.vectors[start:stop].T
            else:
                rows = chosen[start:stop]
                products = queries @ self.vectors[rows].T
            at = np.array([largest(of_query, n) for of_query in products])
            best = best_hits(
                np.concatenate([best.rows, rows[at]], axis=1),
                np.concatenate([best.products, np.take_along_axis(products, at, axis=1)], axis=1),
                n,
            )
        return best
