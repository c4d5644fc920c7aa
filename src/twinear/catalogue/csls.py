"""Hubness reduction by cross-domain similarity local scaling (CSLS).

A hub is similar to everyone. The nearness of an artist, its mean score to its `N_NEAREST` nearest,
is subtracted from all its scores (Conneau, Lample, Ranzato, Denoyer and Jégou, "Word translation
without parallel data", ICLR 2018). This module knows scores only: neither listens nor names.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

N_NEAREST = 10


def mean_nearest(scores: Floats) -> Floats:
    """Average each query's largest scores; zeros if there are no candidates.

    `scores`, (queries, candidates), are standardised; -inf leaves a candidate out.

    Examples
    --------
    >>> apart = np.array([[-np.inf, 1, 3], [1, -np.inf, 2], [3, 2, -np.inf]], dtype=np.float32)
    >>> mean_nearest(apart).tolist()
    [2.0, 1.5, 2.5]
    """
    present = np.isfinite(scores).sum(axis=1).min(initial=N_NEAREST)
    n = min(N_NEAREST, int(present))
    if n < 1:
        return np.zeros(len(scores), np.float32)
    nearest: Floats = np.partition(scores, -n, axis=1)[:, -n:].mean(axis=1, dtype=np.float32)
    return nearest
