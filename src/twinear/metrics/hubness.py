"""Hubness: whether a few artists are recommended to everyone and many to no one.

An artist's k-occurrence is the number of queries that have it among their first k (Radovanović,
Nanopoulos and Ivanović, "Hubs in space", JMLR 11, 2010). Its mean is k for every system; a long
right tail means hubs. It is measured over the whole catalogue, since hubs grow with its size. It
needs no truth: a system can be free of hubs and wrong.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinear.metrics.ranking_metrics import Bools, Floats, Ints, others, ranked

K = 10


@dataclass(frozen=True, kw_only=True)
class Hubness:
    """How unevenly a system recommends."""

    k_occurrence_skew: float  # 0 if even; also 0 if all artists occur equally often
    largest_hub: float  # share of the queries that have the most recommended artist in their top k
    never_recommended: float  # share of the artists in no query's top k


def k_occurrence(
    scores: npt.ArrayLike, candidates: Bools, k: int, generator: np.random.Generator
) -> Ints:
    """Count the queries that have each artist among their first `k`, (artists,); ties at random.

    Examples
    --------
    >>> scores = np.array([[0, 3, 1], [3, 0, 1], [2, 1, 0]])
    >>> k_occurrence(scores, others(3), 1, np.random.default_rng(0)).tolist()
    [2, 1, 0]
    """
    order = ranked(scores, candidates, generator)  # (queries, artists)
    first = np.arange(order.shape[1]) < np.minimum(k, candidates.sum(axis=1))[:, None]
    return np.bincount(order[first], minlength=order.shape[1])


def hubness(
    scores: Floats, generator: np.random.Generator, k: int = K, candidates: Bools | None = None
) -> Hubness:
    """Measure the hubs of a square table of scores in which every artist is a query.

    It has at least two artists; a constant gives the hubness of chance. `k` is limited to the
    number of `candidates`, (artists, artists), which are all other artists by default.
    """
    from scipy.stats import skew  # slow to import, needed here alone

    mask = others(len(scores)) if candidates is None else candidates
    occurrence = k_occurrence(scores, mask, k, generator)
    uneven = occurrence.min() < occurrence.max()
    return Hubness(
        k_occurrence_skew=float(skew(occurrence)) if uneven else 0.0,
        largest_hub=float(occurrence.max() / len(occurrence)),
        never_recommended=float(np.mean(occurrence == 0)),
    )
