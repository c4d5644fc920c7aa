"""The order of artists in a heat map, and their positions on a map.

Scores enter by rank (`closeness`), so that every increasing scale of scores gives the same figure
and a few large values do not hide the rest.
"""

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

Floats = npt.NDArray[np.floating]


def closeness(scores: Floats) -> npt.NDArray[np.float64]:
    """Find the share of pairs with a lower score, for each pair of artists.

    The scores, (artists, artists), are symmetric, their diagonal is not read. The shares are in
    [0, 1), their diagonal is 1; equal scores share the lowest rank.

    Examples
    --------
    >>> closeness(np.array([[0, 5, 1], [5, 0, 2], [1, 2, 0]])).round(2).tolist()
    [[1.0, 0.67, 0.0], [0.67, 1.0, 0.33], [0.0, 0.33, 1.0]]
    """
    pairs = squareform(np.asarray(scores, dtype=np.float64), checks=False)
    lower = np.searchsorted(np.sort(pairs), pairs)  # the number of lower scores
    close = squareform(lower / max(len(pairs), 1))
    np.fill_diagonal(close, 1.0)
    return np.asarray(close)


def clustered_order(scores: Floats) -> npt.NDArray[np.intp]:
    """Find the order of artists that puts similar ones side by side.

    Average linkage on 1 - closeness, its leaves ordered optimally (Bar-Joseph et al. 2001).
    """
    if len(scores) < 3:
        return np.arange(len(scores))
    apart = squareform(1 - closeness(scores), checks=False)
    return np.asarray(leaves_list(linkage(apart, method="average", optimal_ordering=True)))


def positions(scores: Floats) -> npt.NDArray[np.float64]:
    """Place artists on a plane, near ones with a high score: classical scaling (Torgerson 1952).

    The points, (artists, 2), are centred. The largest absolute value of each axis is positive,
    because the sign of an eigenvector is arbitrary.
    """
    squared = (1 - closeness(scores)) ** 2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    points = np.zeros((len(scores), 2))
    axes = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    points[:, : axes.shape[1]] = axes
    extremes = np.take_along_axis(points, np.abs(points).argmax(axis=0)[None], axis=0)
    return points * np.where(extremes < 0, -1.0, 1.0)
