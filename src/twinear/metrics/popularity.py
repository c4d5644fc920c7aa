"""Similarity corrected for popularity: what two artists share beyond what their fame explains.

The association strength of van Eck and Waltman ("How to normalize cooccurrence data? An analysis of
some well-known similarity measures", JASIST 60, 2009): with m[a] the mean similarity of a to all
others,

    corrected[a, b] = S[a, b] / (m[a] m[b]), scaled so that the largest is 1

that is, the observed similarity over the one expected if artists met by their popularity alone.
Dividing by the square root of m[a] m[b] would leave half of the popularity in. The truth is
corrected, not the scores: a system that recommends popular artists to everyone falls towards
chance, one that scores by sound does not. Rare artists weigh more than in the plain similarity, so
that intervals are wider.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


def popularity_corrected(similarity: Any) -> Any:
    """Divide the similarity by the two artists' mean similarities.

    It is (artists, artists), at least two, not negative; the diagonal is not read. If it is not
    symmetric, rows and columns have means of their own. The result is in [0, 1], the diagonal 0; an
    artist without any similarity has none there. A sparse similarity gives a sparse result.

    Examples
    --------
    >>> popularity_corrected([[9, 1, 2], [1, 9, 1], [2, 1, 9]]).round(2).tolist()
    [[0.0, 0.75, 1.0], [0.75, 0.0, 0.75], [1.0, 0.75, 0.0]]
    """
    if hasattr(similarity, "tocoo"):
        return _sparse_corrected(similarity)
    values = np.array(similarity, dtype=np.float64)
    np.fill_diagonal(values, 0)
    corrected = divide_by_popularity(values, values.mean(axis=1), values.mean(axis=0))
    return np.asarray(corrected / max(corrected.max(), np.finfo(np.float64).tiny))


def _sparse_corrected(similarity: Any) -> Any:
    from scipy.sparse import csr_array  # slow to import, needed here alone

    row = np.repeat(np.arange(similarity.shape[0], dtype=np.int32), np.diff(similarity.indptr))
    column, n = similarity.indices, similarity.shape[0]
    values = similarity.data.astype(np.float64)
    values[row == column] = 0
    for at, means in [(each, np.bincount(each, values, n) / n) for each in (row, column)]:
        values *= (1 / np.where(means > 0, means, np.inf))[at]
    values /= max(values.max(initial=0), np.finfo(np.float64).tiny)
    return csr_array((values, column, similarity.indptr), shape=similarity.shape)


def divide_by_popularity(
    similarity: npt.NDArray[Any], rows: npt.NDArray[Any], columns: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Divide each pair's similarity by the product of its two artists' popularities.

    `rows` and `columns`, (artists,), are the popularity of each as a row and as a column. The
    result has the dtype of `similarity`, and 0 where the product is 0.
    """
    expected = np.outer(rows, columns)
    corrected = np.zeros_like(similarity)
    np.divide(similarity, expected, out=corrected, where=expected > 0)
    return corrected
