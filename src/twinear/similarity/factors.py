"""Listener factors: what the listeners of an artist have in common, in a few numbers.

The similarity of two artists with few listeners is mostly noise. Every artist in the listens, with
or without clips, is a row of a sparse matrix, (artists, listeners): 1 over the root of its number
of listeners where it is listened to, so that all rows have length 1. The factors of an artist are
its row on the first right singular vectors of that matrix (a truncated singular value
decomposition; Halko, Martinsson and Tropp, "Finding structure with randomness", 2011). The inner
product of two artists' factors is the low-rank part of the cosine of their listeners.

Artists that are held out take no part: their rows do not enter the decomposition.
"""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array
from threadpoolctl import threadpool_limits

from twinear.listens.listens import Listens

Floats = npt.NDArray[np.float32]

SEED = 0  # of the decomposition's random start
ITERATIONS = 6  # of the power method
MIN_LISTENERS = 3  # artists with fewer say more about one person than about music


def listener_factors(
    listens: Listens, artists: Sequence[str], held_out: Collection[str], n_factors: int
) -> Floats:
    """Compute the factors of some artists, (artists, n_factors).

    Parameters
    ----------
    artists
        Ids; none of them may be held out. An artist without listens has factors of 0.
    held_out
        Ids of artists whose listens must not be used.
    n_factors
        Where the listens have a smaller rank, the rest are 0.

    Examples
    --------
    Four listeners, four artists: the first two and the last two share their listeners.

    >>> import pandas as pd
    >>> plays = csr_array(np.kron(np.eye(2, dtype=np.int64), np.ones((3, 2), np.int64)))
    >>> table = pd.DataFrame({"artist": list("abcd"), "listeners": 3})
    >>> factors = listener_factors(Listens(artists=table, plays=plays), list("abc"), ["d"], 2)
    >>> bool(factors[0] @ factors[1] > 0.99), bool(abs(factors[0] @ factors[2]) < 0.01)
    (True, True)
    """
    from sklearn.utils.extmath import randomized_svd  # slow to import

    if wrong := sorted(set(artists) & set(held_out)):
        raise ValueError(f"{wrong[0]} is held out")
    row = {artist: row for row, artist in enumerate(listens.artists["artist"])}
    counts = listens.artists["listeners"].to_numpy().astype(np.float64)
    enters = counts >= MIN_LISTENERS
    enters[[row[artist] for artist in artists if artist in row]] = True
    enters[[row[artist] for artist in held_out if artist in row]] = False
    heard = (listens.plays > 0).astype(np.float32)
    by_artist = csr_array(diags_array(1 / np.sqrt(np.maximum(counts, 1))) @ heard.T)
    used = by_artist[np.flatnonzero(enters)].astype(np.float64)
    factors = np.zeros((len(artists), n_factors), np.float32)
    rank = min(n_factors, *used.shape)
    if not rank:
        return factors
    with threadpool_limits(1, "blas"):  # more threads add in another order: other last digits
        _, _, directions = randomized_svd(used, rank, n_iter=ITERATIONS, random_state=SEED)
    known = [nth for nth, artist in enumerate(artists) if artist in row]
    theirs = by_artist[[row[artists[nth]] for nth in known]]
    factors[known, :rank] = theirs @ directions.T
    return factors
