"""Approximate search in one machine's memory: faiss, inverted lists of short codes.

The vectors are grouped around centroids, and a query looks into the lists of the nearest centroids
only. The lists hold, for every dimension, the nearest of 16 values in 4 bits (IVF and PQ;
Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011), laid out so that
the processor looks up many codes at once (fast scan; André, Kermarrec and Le Scouarnec, "Cache
locality is not enough", 2015). Products of more rows than are asked for are then computed exactly.
How many lists are looked into (`n_probe`) is chosen when the index is built, as the smallest number
that reaches `RECALL` on some of the vectors.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinear.base.errors import DataError
from twinear.base.files import replacing, require, sha256, write_json
from twinear.catalogue.search.centroids import assign, train_centroids
from twinear.catalogue.search.exact import ExactSearch
from twinear.catalogue.search.protocol import (
    Floats,
    Hits,
    Mask,
    Progress,
    best_hits,
    exact_products,
)

INDEX, FACTS = "vectors.faiss", "index.json"
AGAIN = "run 'dvc repro catalogue'"
LAYOUT = 2

RECALL = 0.995  # of the nearest that `n_probe` reaches
RECALL_NEAREST = 20  # so many nearest of each sampled vector count
RECALL_QUERIES = 256
LISTS_PER_ROOT = 4  # lists = this times the root of the number of vectors, as faiss's guide has it
CODE_BITS = 4  # for each dimension
CODE_SAMPLE = 65_536  # vectors that the values of the codes are trained on
REFINE, EXTRA = 1.5, 32  # so many times more rows are taken from the lists than are asked for
BLOCK = 8192  # vectors added at a time
EXACT_ALLOWED = 20_000  # if fewer rows are allowed, they are searched exactly


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """What is written beside the index."""

    layout: int
    n_vectors: int
    n_dims: int
    n_lists: int
    n_probe: int
    recall: float  # at RECALL_NEAREST, of some queries when the index was built
    n_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, eq=False)
class FaissSearch:
    """An index of vectors, (vectors, n_dims), which may be memory-mapped."""

    index: Any  # faiss.IndexIVFPQFastScan
    vectors: Floats
    n_probe: int

    @property
    def exact(self) -> bool:
        """Rows may be missed."""
        return False

    def search(self, queries: Floats, n: int, allowed: Mask | None = None) -> Hits:
        """See `Search.search`.

        Filters that allow few rows are searched exactly; with others so many more lists are
        looked into that as many rows are compared as without.
        """
        import faiss  # slow to import, and only large catalogues need it

        n_vectors = len(self.vectors)
        n_allowed = n_vectors if allowed is None else int(np.count_nonzero(allowed))
        if n_allowed <= n or (allowed is not None and n_allowed <= EXACT_ALLOWED):
            return ExactSearch(vectors=self.vectors).search(queries, n, allowed)
        probe = min(-(-self.n_probe * n_vectors // n_allowed), self.index.nlist)
        selector = None
        if allowed is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        queries = np.ascontiguousarray(queries, np.float32)
        hits = self._search_lists(queries, n, probe, selector)
        # lists that hold too few, or vectors that are all equal, which the codes cannot compare
        short = np.flatnonzero(hits.rows[:, -1] < 0)
        if len(short):
            found = ExactSearch(vectors=self.vectors).search(queries[short], n, allowed)
            hits.rows[short], hits.products[short] = found
        return hits

    def _search_lists(self, queries: Floats, n: int, n_probe: int, selector: Any = None) -> Hits:
        import faiss

        how = faiss.SearchParametersIVF(nprobe=n_probe, sel=selector)
        rows = self.index.search(queries, int(REFINE * n) + EXTRA, params=how)[1]
        return best_hits(rows, exact_products(queries, self.vectors, rows), n)


def build_faiss(
    vectors: Floats, folder: Path, progress: Progress = iter, queries: Floats | None = None
) -> None:
    """Index vectors, (vectors, n_dims), into a folder, whole or not at all.

    Memory is half a byte a number, beside a sample that the centroids are trained on. Some
    of the `queries`, or of the vectors, decide how many lists are looked into.
    """
    import faiss

    n_vectors, n_dims = vectors.shape
    centroids = train_centroids(vectors, int(LISTS_PER_ROOT * n_vectors**0.5))
    quantizer = faiss.IndexFlatIP(n_dims)
    quantizer.add(centroids)
    metric = faiss.METRIC_INNER_PRODUCT
    filled = faiss.IndexIVFPQ(quantizer, n_dims, len(centroids), n_dims, CODE_BITS, metric)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(n_vectors, min(n_vectors, CODE_SAMPLE), replace=False))
    chosen = np.resize(chosen, max(len(chosen), 2**CODE_BITS))  # so many are needed to train
    filled.pq.cp.min_points_per_centroid = 1  # faiss would print a warning
    filled.train(np.ascontiguousarray(vectors[chosen], np.float32))  # the centroids are there
    lists = assign(vectors, centroids, progress)
    for start in range(0, n_vectors, BLOCK):
        # three names, because a pointer does not keep its array alive
        block = np.ascontiguousarray(vectors[start : start + BLOCK], np.float32)
        rows = np.arange(start, start + len(block))
        of_rows = lists[start : start + BLOCK]
        filled.add_core(len(block), *map(faiss.swig_ptr, (block, rows, of_rows)))
    index = faiss.IndexIVFPQFastScan(filled)
    n_probe, recall = _choose_n_probe(index, vectors, vectors if queries is None else queries)
    with replacing(folder) as temporary:
        temporary.mkdir()
        with (temporary / INDEX).open("wb") as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
        facts = IndexFacts(
            layout=LAYOUT,
            n_vectors=n_vectors,
            n_dims=n_dims,
            n_lists=len(centroids),
            n_probe=n_probe,
            recall=recall,
            n_bytes=(temporary / INDEX).stat().st_size,
            sha256=sha256(temporary / INDEX),
        )
        write_json(temporary / FACTS, facts)


def open_faiss(vectors: Floats, folder: Path) -> FaissSearch:
    """Open what `build_faiss` wrote for these vectors; it is read into memory.

    Raises
    ------
    DataError
        Missing, damaged, half-written, or of other vectors.
    """
    facts = read_index_facts(folder)
    path = require(folder / INDEX, AGAIN)
    shape = (facts.n_vectors, facts.n_dims)
    if shape != vectors.shape:
        expected = f"{len(vectors)} of {vectors.shape[1]} numbers"
        found = f"indexes {facts.n_vectors} vectors of {facts.n_dims} numbers"
        raise DataError(folder, found, expected=expected, remedy=AGAIN)
    if path.stat().st_size != facts.n_bytes:
        found = f"has {path.stat().st_size:,} bytes instead of {facts.n_bytes:,}"
        raise DataError(path, found, remedy=AGAIN)
    # faiss trusts what it reads: a damaged file could crash the program
    if sha256(path) != facts.sha256:
        raise DataError(path, "is not what was written there", remedy=AGAIN)
    import faiss

    index = faiss.read_index(str(path))
    return FaissSearch(index=index, vectors=vectors, n_probe=facts.n_probe)


def read_index_facts(folder: Path) -> IndexFacts:
    """Read what is known of an index: its size, and its recall when it was built."""
    path = require(folder / FACTS, AGAIN)
    try:
        facts = IndexFacts(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(path, f"is not what was written there ({error})", remedy=AGAIN) from error
    if facts.layout != LAYOUT:
        found = f"has layout {facts.layout}"
        raise DataError(path, found, expected=str(LAYOUT), remedy=AGAIN)
    return facts


def _choose_n_probe(index: Any, vectors: Floats, queries: Floats) -> tuple[int, float]:
    """Raise `n_probe` by a quarter until the recall is reached; return it and the recall."""
    rng = np.random.default_rng(1)
    rows = np.sort(rng.choice(len(queries), min(len(queries), RECALL_QUERIES), replace=False))
    queries = np.ascontiguousarray(queries[rows], np.float32)
    n = min(RECALL_NEAREST, len(vectors))
    nearest = ExactSearch(vectors=vectors).search(queries, n).rows
    search = FaissSearch(index=index, vectors=vectors, n_probe=1)
    n_probe = 1
    while True:
        found = search._search_lists(queries, n, n_probe).rows
        recall = float(
            np.mean([np.isin(*rows).mean() for rows in zip(nearest, found, strict=True)])
        )
        if recall >= RECALL or n_probe == index.nlist:
            return n_probe, recall
        n_probe = min(-(-5 * n_probe // 4), index.nlist)
