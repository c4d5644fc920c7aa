"""Hubness reduction by cross-domain similarity local scaling (CSLS).

A hub is similar to everyone. Each artist's mean score to its `N_NEAREST` nearest is subtracted from
all its scores (Conneau, Lample, Ranzato, Denoyer and Jégou, "Word translation without parallel
data", ICLR 2018). This module knows scores only: neither listens nor names.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

N_NEAREST = 10


def mean_nearest(standard: Floats) -> Floats:
    """Average each artist's scores to its nearest, itself left out; zeros for a single artist.

    Examples
    --------
    >>> mean_nearest(np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0]], dtype=np.float32)).tolist()
    [2.0, 1.5, 2.5]
    """
    n = min(N_NEAREST, len(standard) - 1)
    if n < 1:
        return np.zeros(len(standard), np.float32)
    apart = np.where(np.eye(len(standard), dtype=bool), -np.inf, standard)
    nearest: Floats = np.partition(apart, -n, axis=1)[:, -n:].mean(axis=1, dtype=np.float32)
    return nearest


def reduce_hubness(scores: Floats, standard: Floats, weight: float) -> Floats:
    """Subtract `weight` times the mean of the nearest of both artists of each pair.

    `scores`, (artists, artists), are corrected; of `standard`, as large, the nearest are averaged.

    Examples
    --------
    The last artist is a hub, the most similar to both others. Afterwards the first two are nearer:

    >>> scores = np.array([[0, 3, 4], [3, 0, 4], [4, 4, 0]], dtype=np.float32)
    >>> reduce_hubness(scores, scores, weight=4.0)[0].tolist()
    [-28.0, -25.0, -26.0]
    """
    near = weight * mean_nearest(standard)
    return scores - (near[:, None] + near)
