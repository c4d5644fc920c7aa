"""How many of the nearest artists the search of a catalogue finds."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.encoded import evenly_spaced
from twinear.catalogue.search.protocol import best_first

N_NEAREST = 10
MOST = 200  # queries: each is compared with all artists


def search_recall(
    catalogue: Catalogue,
    queries: npt.ArrayLike,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> npt.NDArray[np.float64]:
    """Compare the answers of the search with those of scoring all artists.

    Parameters
    ----------
    queries
        Rows of artists; of more than `MOST`, evenly spaced ones.

    Returns
    -------
    (queries,): the share of the `N_NEAREST` best artists that the search finds; 1 where all artists
    are scored.
    """
    rows = evenly_spaced(queries, MOST)
    if catalogue.index is None:
        return np.ones(len(rows))
    recall = np.empty(len(rows))
    for nth in progress(range(len(rows))):
        query, allowed = catalogue.query(int(rows[nth])), np.ones(len(catalogue), dtype=bool)
        allowed[rows[nth]] = False
        totals = catalogue.score(query).total[0]
        totals[~allowed] = -np.inf
        best = best_first(totals, N_NEAREST)
        found = catalogue.index.find(query, catalogue.scoring.colistening, N_NEAREST, allowed)
        recall[nth] = np.isin(best, found).mean()
    return recall
