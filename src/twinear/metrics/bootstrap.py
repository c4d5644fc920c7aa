"""How far a mean over queries can be trusted.

Percentile bootstrap over queries (Efron and Tibshirani, 1993): the same resamples serve every
system and metric, so that the difference of two systems is paired. Queries are treated as
independent draws, which the artists of one catalogue are only nearly. A query for which a metric
is not defined (NaN) counts for nothing in any resample.
"""

from dataclasses import dataclass

import numpy as np

from twinear.metrics.ranking_metrics import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and the bounds it lies between with the confidence asked for."""

    value: float
    low: float
    high: float


def resamples(n_queries: int, n_bootstrap: int, generator: np.random.Generator) -> Ints:
    """How often each query is drawn in each resample, (n_bootstrap, queries)."""
    return generator.multinomial(n_queries, np.full(n_queries, 1 / n_queries), size=n_bootstrap)


def bootstrap(values: Floats, drawn: Ints, confidence: float) -> list[Interval]:
    """The interval of the mean over queries, for every column.

    Parameters
    ----------
    values
        (queries, columns); NaN where not defined, but never a whole column.
    drawn
        (n_bootstrap, queries) of `resamples`.
    confidence
        Between 0 and 1.
    """
    means = _means(values, drawn)  # (n_bootstrap, columns)
    observed = np.nanmean(values, axis=0)
    return [_between(*each, confidence) for each in zip(observed, means.T, strict=True)]


def band(rankings: Floats, confidence: float) -> Interval:
    """The mean of repeated rankings and the central band of their means over queries.

    Parameters
    ----------
    rankings
        (n_rankings, queries), all rankings of the same queries.
    """
    means = np.nanmean(rankings, axis=1)
    return _between(means.mean(), means, confidence)


def _means(values: Floats, drawn: Ints) -> Floats:
    defined = np.isfinite(values)
    counts = drawn @ defined.astype(np.float64)
    sums = drawn @ np.where(defined, values, 0.0)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _between(value: np.float64, means: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(means, (tail, 1 - tail))
    return Interval(value=float(value), low=float(low), high=float(high))
