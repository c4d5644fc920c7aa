"""Whether a few artists are recommended to everyone and many to no one.

An artist's k-occurrence is the number of queries that have it among their first k (Radovanović,
Nanopoulos and Ivanović, "Hubs in space", JMLR 11, 2010). Its mean is k whatever the system; a
long right tail means hubs. It is measured over the whole catalogue, since hubs grow with it, and
needs no truth: a system can be free of hubs and wrong.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import skew

from twinear.metrics.ranking_metrics import Bools, Floats, Ints, others, ranked

K = 10


@dataclass(frozen=True, kw_only=True)
class Hubness:
    """How unevenly a system recommends."""

    k_occurrence_skew: float  # 0 when even; 0 too when all occur equally often
    largest_hub: float  # share of the queries that have the most recommended artist in their top k
    never_recommended: float  # share of the artists in nobody's top k


def k_occurrence(
    scores: npt.ArrayLike, candidates: Bools, k: int, generator: np.random.Generator
) -> Ints:
    """How many queries have each artist among their first `k`, (artists,); ties at random."""
    order = ranked(scores, candidates, generator)  # (queries, artists)
    first = np.arange(order.shape[1]) < np.minimum(k, candidates.sum(axis=1))[:, None]
    return np.bincount(order[first], minlength=order.shape[1])


def hubness(
    scores: Floats,
    generator: np.random.Generator,
    k: int = K,
    candidates: Bools | None = None,
) -> Hubness:
    """Measure the hubs of a square table of scores where every artist is a query.

    Parameters
    ----------
    scores
        (artists, artists), at least two; a constant shows what chance does.
    k
        Capped by the number of candidates.
    candidates
        (artists, artists); without it, all others are.
    """
    asked = others(len(scores)) if candidates is None else candidates
    occurrence = k_occurrence(scores, asked, k, generator)
    uneven = occurrence.min() < occurrence.max()
    return Hubness(
        k_occurrence_skew=float(skew(occurrence)) if uneven else 0.0,
        largest_hub=float(occurrence.max() / len(occurrence)),
        never_recommended=float(np.mean(occurrence == 0)),
    )
