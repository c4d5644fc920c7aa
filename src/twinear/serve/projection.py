"""A map of all artists: points of which neighbours are, as far as two dimensions allow, similar.

t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008) of the graph of each
artist's nearest by the catalogue's score, begun from the principal components of the sound (Kobak
and Linderman, 2021) and computed by openTSNE, with a seed. The same catalogue gives the same map.

How far it can be trusted is measured, not assumed: the share of an artist's ten nearest by score
that are among its ten nearest on the map, and the trustworthiness (Venna and Kaski, 2001), which
falls with artists that are near on the map only. Both are of a random sample in large catalogues.

Above `EXACT` artists the nearest are those found by sound and by listens, ranked by score: a few
may be missed.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.arrays import NOT_ARRAYS
from twinear.base.errors import DataError
from twinear.base.files import replacing
from twinear.base.text import one_line
from twinear.catalogue.scoring import pool_clips
from twinear.catalogue.search.protocol import best_first
from twinear.recommendation.collection import Collection

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

METHOD = "t-SNE of the nearest by score"
EXACT = 20_000  # artists up to which all are scored with all
N_NEIGHBOURS = 30  # of an artist that attract it
PERPLEXITY = 10
K = 10  # nearest that should be kept
QUERIES = 1000  # artists of whom the nearest are compared
SAMPLE = 2000  # artists among which trustworthiness is measured
SEED = 0
BLOCK = 256  # artists scored with all at a time
NICE = 10


@dataclass(frozen=True, kw_only=True)
class Trust:
    """How far a map can be trusted: both in [0, 1], and of the `k` nearest."""

    trustworthiness: float
    neighbours_kept: float
    k: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """The points of a catalogue's artists by row, (artists, 2), in [-1, 1]."""

    points: Floats
    trust: Trust

    def write(self, path: Path) -> None:
        """Write one file, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            trust = np.frombuffer(json.dumps(asdict(self.trust)).encode(), np.uint8)
            np.savez(file, points=self.points, trust=trust)

    @classmethod
    def read(cls, path: Path, n_artists: int) -> "Projection":
        """Read the map of so many artists.

        Raises
        ------
        DataError
            Missing, damaged, or of another number of artists.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                points, trust = arrays["points"], json.loads(arrays["trust"].tobytes())
            if points.shape != (n_artists, 2):
                raise ValueError(f"has {len(points)} points")
            return cls(points=points, trust=Trust(**trust))
        except NOT_ARRAYS as error:
            found = f"is no map of this catalogue ({one_line(str(error))})"
            raise DataError(path, found) from error


def project(collection: Collection) -> Projection:
    """Compute the map of a catalogue."""
    n = len(collection)
    pooled = np.concatenate([pool_clips(group) for group in collection.groups])
    if n < 4:
        points = np.zeros((n, 2), np.float32)
        points[:, 0] = np.arange(n)
        return Projection(
            points=_scaled(points), trust=Trust(trustworthiness=1.0, neighbours_kept=1.0, k=K)
        )
    neighbours, scores = nearest_by_score(collection, pooled, min(N_NEIGHBOURS, n - 1))
    points = _scaled(_tsne(neighbours, scores, _principal(pooled)))
    return Projection(points=points, trust=measure_trust(collection, neighbours, points))


def nearest_by_score(collection: Collection, pooled: Floats, k: int) -> tuple[Ints, Floats]:
    """Find the `k` best of each artist, best first: rows and totals, (artists, k).

    Parameters
    ----------
    pooled
        (artists, units): the mean embedding of each.
    """
    n, every = len(collection), np.arange(len(collection))
    rows, totals = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    if n <= EXACT:
        for start in range(0, n, BLOCK):
            block = every[start : start + BLOCK]
            total = collection.score(collection.encoded(block), every).total
            total[np.arange(len(block)), block] = -np.inf
            for row, of_row in zip(block, total, strict=True):
                rows[row] = best_first(of_row, k)
                totals[row] = of_row[rows[row]]
        return rows, totals
    for row, candidates in enumerate(_candidates(collection, pooled, 3 * k)):
        total = collection.score(collection.encoded([row]), candidates).total[0]
        best = best_first(total, k)
        rows[row], totals[row] = candidates[best], total[best]
    return rows, totals


def _candidates(collection: Collection, pooled: Floats, n: int) -> Iterator[Ints]:
    """Find artists worth scoring for each artist: the nearest by sound, and by listens."""
    import faiss

    clusters = int(len(pooled) ** 0.5)
    index = faiss.index_factory(pooled.shape[1], f"IVF{clusters},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.max_points_per_centroid = SEED + 1, 64
    index.train(pooled)
    index.add(pooled)
    index.nprobe = max(8, clusters // 20)
    colistening = collection.catalogue.scoring.colistening
    position = np.full(len(pooled), -1)
    if colistening is not None:
        position[colistening.rows] = np.arange(len(colistening.rows))
    for start in range(0, len(pooled), BLOCK):
        for row, found in enumerate(index.search(pooled[start : start + BLOCK], n + 1)[1], start):
            candidates = found[found >= 0]
            if colistening is not None and position[row] >= 0:
                near = slice(*colistening.indptr[position[row] : position[row] + 2])
                best = best_first(np.asarray(colistening.values[near]), n)
                listened = colistening.rows[colistening.indices[near][best]]
                candidates = np.concatenate([candidates, listened])
            candidates = np.unique(candidates)
            yield candidates[candidates != row]


def _tsne(neighbours: Ints, totals: Floats, start: Floats) -> Floats:
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    # what is better by one standard deviation is nearer by one
    distances = (totals.max() - totals).astype(np.float64) + 0.01
    affinities = PerplexityBasedNN(
        perplexity=min(PERPLEXITY, (neighbours.shape[1] - 1) / 3),
        knn_index=PrecomputedNeighbors(neighbours, distances),
        random_state=SEED,
    )
    made = TSNE(random_state=SEED).fit(affinities=affinities, initialization=start)
    return np.asarray(made, dtype=np.float32)


def _principal(pooled: Floats) -> Floats:
    from sklearn.decomposition import PCA

    made = PCA(2, random_state=SEED).fit_transform(np.asarray(pooled, np.float64))
    return np.asarray(made / max(made[:, 0].std(), 1e-12) * 1e-4)


def _scaled(points: Floats) -> Floats:
    """Move points into [-1, 1]; the sides keep their proportion."""
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    return np.asarray(centred / max(float(np.abs(centred).max()), 1e-12), np.float32)


def measure_trust(collection: Collection, neighbours: Ints, points: Floats) -> Trust:
    """Measure how far a map can be trusted."""
    from scipy.spatial import KDTree
    from sklearn.manifold import trustworthiness

    n, rng = len(points), np.random.default_rng(SEED)
    k = min(K, neighbours.shape[1], (n - 1) // 2)
    queries = np.sort(rng.choice(n, min(QUERIES, n), replace=False))
    near = np.asarray(KDTree(points).query(points[queries], k + 1)[1])
    kept = [
        np.isin(neighbours[row, :k], found[found != row][:k]).mean()
        for row, found in zip(queries, near, strict=True)
    ]
    some = np.sort(rng.choice(n, min(SAMPLE, n), replace=False))
    totals = np.stack([collection.score(collection.encoded([row]), some).total[0] for row in some])
    return Trust(
        trustworthiness=float(
            trustworthiness(
                (totals.max() - totals).astype(np.float64),
                points[some],
                n_neighbors=k,
                metric="precomputed",
            )
        ),
        neighbours_kept=float(np.mean(kept)),
        k=k,
    )


def main(catalogue: str, digest: str, path: str) -> None:
    """Compute the map of a catalogue in a process of its own, if it is still the one meant."""
    from twinear.serve.snapshot import hash_data

    os.nice(NICE)
    threading.Thread(target=_end_with_service, daemon=True).start()
    collection = Collection.open(Path(catalogue))
    if hash_data(collection) != digest:
        raise SystemExit("the catalogue was replaced")
    project(collection).write(Path(path))


def _end_with_service() -> None:
    """End when the service does, also where it is killed: it never writes to the pipe."""
    os.read(sys.stdin.fileno(), 1)  # the buffered reader would hold a lock at the end
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
