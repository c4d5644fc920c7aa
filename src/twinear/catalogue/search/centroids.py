"""Vectors grouped around centroids (k-means).

scikit-learn and numpy, because the linear algebra in faiss's wheel is several times slower.
"""

import warnings

import numpy as np

from twinear.catalogue.search.protocol import Floats, Ints, Progress

TRAINING = 50  # vectors that each centroid is trained on
ITERATIONS = 8  # of k-means
BLOCK = 8192  # vectors assigned at a time


def train_centroids(vectors: Floats, n_centroids: int) -> Floats:
    """Train centroids on a sample of vectors, (vectors, n_dims) to (n_centroids, n_dims).

    Fewer come out where there are not `TRAINING` vectors for each.

    Examples
    --------
    >>> train_centroids(np.array([[1, 2], [3, 4]], np.float32), 1).tolist()
    [[2.0, 3.0]]
    """
    from sklearn.cluster import KMeans  # slow to import, and only large catalogues need it

    n = max(1, min(n_centroids, len(vectors) // TRAINING))
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(vectors), min(len(vectors), TRAINING * n), replace=False)
    means = KMeans(n, init="random", n_init=1, max_iter=ITERATIONS, tol=0, random_state=0)
    with warnings.catch_warnings():  # equal vectors leave groups empty, which does no harm
        warnings.filterwarnings("ignore", "Number of distinct clusters")
        means.fit(np.ascontiguousarray(vectors[np.sort(chosen)], np.float32))
    return np.asarray(means.cluster_centers_, np.float32)


def assign(vectors: Floats, centroids: Floats, progress: Progress = iter) -> Ints:
    """Find the centroid with the largest inner product with each vector, (vectors,)."""
    nearest = np.empty(len(vectors), np.int64)
    for start in progress(range(0, len(vectors), BLOCK)):
        block = slice(start, start + BLOCK)
        nearest[block] = np.argmax(np.asarray(vectors[block]) @ centroids.T, axis=1)
    return nearest
