"""Confidence intervals of means over queries.

Percentile bootstrap over queries (Efron and Tibshirani, 1993). All systems and metrics share the
same resamples, so that the difference of two systems is paired. Queries are treated as independent
draws, which the artists of one catalogue are only approximately. A query for which a metric is not
defined (NaN) is ignored in every resample.
"""

from dataclasses import dataclass

import numpy as np

from twinear.metrics.ranking_metrics import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


def resamples(n_queries: int, n_bootstrap: int, generator: np.random.Generator) -> Ints:
    """Draw how often each query is in each resample, (n_bootstrap, queries)."""
    return generator.multinomial(n_queries, np.full(n_queries, 1 / n_queries), size=n_bootstrap)


def bootstrap(values: Floats, drawn: Ints, confidence: float) -> list[Interval]:
    """Compute the interval of the mean over queries, for every column.

    `values`, (queries, columns), are NaN where not defined, but never a whole column; `drawn` is
    the result of `resamples`; `confidence` is between 0 and 1.

    Examples
    --------
    >>> drawn = resamples(4, 100, np.random.default_rng(0))
    >>> bootstrap(np.full((4, 1), 0.5), drawn, 0.95)
    [Interval(value=0.5, low=0.5, high=0.5)]
    """
    defined = np.isfinite(values)
    counts = drawn @ defined.astype(np.float64)
    sums = drawn @ np.where(defined, values, 0.0)
    # (n_bootstrap, columns); NaN where a resample drew only queries that are not defined
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    pairs = zip(np.nanmean(values, axis=0), means.T, strict=True)
    return [_between(value, column, confidence) for value, column in pairs]


def band(rankings: Floats, confidence: float) -> Interval:
    """Compute the mean of repeated rankings and the central band of their means over queries.

    `rankings`, (n_rankings, queries), are all of the same queries.
    """
    means = np.nanmean(rankings, axis=1)
    return _between(means.mean(), means, confidence)


def _between(value: np.float64, means: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(means, (tail, 1 - tail))
    return Interval(value=float(value), low=float(low), high=float(high))
