"""Similarity with popularity's part taken out: what two artists share beyond what fame explains.

The association strength of van Eck and Waltman ("How to normalize cooccurrence data? An analysis of
some well-known similarity measures", JASIST 60, 2009): with m[a] the mean similarity of a to all
others,

    corrected[a, b] = S[a, b] / (m[a] m[b]), scaled so that the largest is 1

which is what is seen over what would be seen if artists met by their popularity alone. Dividing by
the square root of m[a] m[b] would leave half of it in. It corrects what is measured against, not
the scores: a system that names popular artists to everybody falls towards chance, one that hears
does not.
Rare artists weigh more than in the plain similarity, so that intervals are wider.
"""

import numpy as np
import numpy.typing as npt

from twinear.metrics.ranking_metrics import Floats


def popularity_corrected(similarity: npt.ArrayLike) -> Floats:
    """Divide the similarity by the two artists' mean similarities.

    Parameters
    ----------
    similarity
        (artists, artists), at least two, not negative; the diagonal is not read. Where it is not
        symmetric, rows and columns have means of their own.

    Returns
    -------
    (artists, artists) in [0, 1], the diagonal 0. An artist without any similarity has none here.
    """
    values = np.array(similarity, dtype=np.float64)
    np.fill_diagonal(values, 0)
    expected = np.outer(values.mean(axis=1), values.mean(axis=0))
    corrected = np.divide(values, expected, out=np.zeros_like(values), where=expected > 0)
    return np.asarray(corrected / max(corrected.max(), np.finfo(np.float64).tiny))
