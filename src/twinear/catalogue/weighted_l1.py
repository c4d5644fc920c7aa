"""A weighted L1 distance of all pairs, compiled."""

import numpy as np
import numpy.typing as npt

from twinear.compute.jit import compiled

Floats = npt.NDArray[np.float32]


@compiled
def weighted_l1(u: Floats, v: Floats, weight: Floats) -> Floats:
    """Compute `sum_k weight_k |u_k - v_k|`: (a, units), (b, units), (units,) to (a, b).

    Examples
    --------
    >>> u = np.array([[1.0, 2.0]], np.float32)
    >>> weighted_l1(u, np.zeros((1, 2), np.float32), np.array([3.0, -1.0], np.float32)).tolist()
    [[1.0]]
    """
    out = np.empty((len(u), len(v)), np.float32)
    for i in range(len(u)):
        for j in range(len(v)):
            total = np.float32(0)
            for k in range(u.shape[1]):
                total += weight[k] * abs(u[i, k] - v[j, k])
            out[i, j] = total
    return out
