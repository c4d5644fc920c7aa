"""Metrics of a ranking by score against the ranking by similarity, for each query.

A query is an artist. It ranks its candidates, a mask over the other artists: all of them, or the
ones that were held out with it.

- `unordered@n`: the share of the n most similar artists that are among the n with the highest
  score. `edit@n`: `difflib.SequenceMatcher(None, top_by_similarity, top_by_score).ratio()`. Both
  as in the 2019 project.
- `ndcg@n` (Järvelin and Kekäläinen, 2002): the gain is the similarity itself, the discount
  log2(1 + rank).
- `recall@n`: the share of the relevant artists among the first n. `map`: the mean over the relevant
  artists of the precision at their rank. Relevant are the `n_relevant` most similar artists; an
  artist with no similarity at all is never relevant.
- `mrr`: 1 / rank of the most similar artist.
- `spearman`: rank correlation over the candidates, ties at their mean rank.

Ties never follow the order of the table, which is sorted by popularity: ties of similarity and of
score are broken by separate random orders, so that a constant score ranks by chance. `n` is limited
to the number of candidates. `ndcg`, `recall`, `map` and `mrr` are not defined for a query without
any similar candidate, `spearman` not for one whose similarities are all equal: they are NaN, to be
counted and left out of means. A constant score has a `spearman` of 0.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOP = (3, 5, 10, 25)  # of unordered@n and edit@n
NDCG = (10, 200)
RECALL = (10, 25)
METRICS = (
    *(f"unordered@{n}" for n in TOP),
    *(f"edit@{n}" for n in TOP),
    *(f"ndcg@{n}" for n in NDCG),
    *(f"recall@{n}" for n in RECALL),
    "map",
    "mrr",
    "spearman",
)


def others(n_artists: int) -> Bools:
    """Make the mask of a square table in which all other artists are candidates."""
    return ~np.eye(n_artists, dtype=np.bool_)


def ranked(values: npt.ArrayLike, candidates: Bools, generator: np.random.Generator) -> Ints:
    """Order each query's candidates by descending value, ties at random.

    The result, (queries, artists), holds columns of the table; artists that are no candidates come
    last.

    Examples
    --------
    >>> ranked([[0.1, 0.9, 0.5]], np.array([[True, True, False]]), np.random.default_rng(0))
    array([[1, 0, 2]])
    """
    descending = np.where(candidates, -np.asarray(values, dtype=np.float64), np.inf)
    ties = generator.random(descending.shape)
    order: Ints = np.argsort(descending, axis=1)
    by_value = np.take_along_axis(descending, order, axis=1)
    tied = (by_value[:, 1:] == by_value[:, :-1]).any(axis=1)
    if tied.any():  # sorting by two keys takes several times longer
        order[tied] = np.lexsort((ties[tied], descending[tied]))
    return order


def top_ranked(
    values: npt.ArrayLike, candidates: Bools, n: int, generator: np.random.Generator
) -> Ints:
    """Find the first `n` columns of `ranked`, without sorting the rest.

    Examples
    --------
    >>> rows = [[0.1, 0.9, 0.5]]
    >>> top_ranked(rows, np.array([[True, True, True]]), 2, np.random.default_rng(0))
    array([[1, 2]])
    """
    if n >= candidates.shape[1]:
        return ranked(values, candidates, generator)
    descending = np.where(candidates, -np.asarray(values, dtype=np.float64), np.inf)
    ties = generator.random(descending.shape)
    top = np.argpartition(descending, n - 1, axis=1)[:, :n]
    of_top = np.take_along_axis(descending, top, axis=1)
    order: Ints = np.take_along_axis(
        top, np.lexsort((np.take_along_axis(ties, top, axis=1), of_top)), axis=1
    )
    # where others are equal to the last of them, chance decides which of all these are in
    tied = np.count_nonzero(descending <= of_top.max(axis=1)[:, None], axis=1) > n
    if tied.any():
        order[tied] = np.lexsort((ties[tied], descending[tied]))[:, :n]
    return order


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The candidates of some queries ranked by similarity, once for all systems."""

    similarity: Floats  # (queries, artists), 0 where not a candidate
    candidates: Bools  # (queries, artists)
    order: Ints  # (queries, artists), most similar first
    n_relevant: int

    @cached_property
    def n_candidates(self) -> Ints:
        """The number of candidates of each query, (queries,)."""
        return _count(self.candidates)

    @cached_property
    def position(self) -> Ints:
        """The position of each artist in `order`, from 0, (queries, artists)."""
        return _inverse(self.order)

    @cached_property
    def relevant(self) -> Bools:
        """The most similar artists, `n_relevant` of them at most, (queries, artists)."""
        return (self.position < self.n_relevant) & (self.similarity > 0)

    @cached_property
    def ideal(self) -> Floats:
        """The similarities in the best order, (queries, artists)."""
        return np.take_along_axis(self.similarity, self.order, axis=1)

    @cached_property
    def ranks(self) -> Floats:
        """Centred ranks of the candidates, ties at their mean, (queries, artists)."""
        return _centred_ranks(self.similarity, self.candidates)


def rank_truth(
    similarity: npt.ArrayLike, candidates: Bools, n_relevant: int, generator: np.random.Generator
) -> Truth:
    """Rank each query's candidates by similarity; both are (queries, artists).

    Raises
    ------
    DataError
        Another shape, a query without candidates, a negative or undefined similarity.
    """
    values = _checked("similarity", similarity, candidates)
    if (values < 0).any():
        raise DataError("similarity", f"holds {values.min():g}", expected="values from 0")
    order = ranked(values, candidates, generator)
    return Truth(similarity=values, candidates=candidates, order=order, n_relevant=n_relevant)


def query_metrics(
    truth: Truth, scores: npt.ArrayLike, generator: np.random.Generator
) -> dict[str, Floats]:
    """Evaluate a system's scores, (queries, artists), by every metric of `METRICS`.

    The values of a metric, (queries,), are NaN where it is not defined for the query.

    Raises
    ------
    DataError
        Another shape than the truth's, or a score of a candidate that is not finite.

    Examples
    --------
    >>> similarity, candidates = np.array([[0.9, 0.5, 0.2]]), np.ones((1, 3), dtype=np.bool_)
    >>> truth = rank_truth(similarity, candidates, 1, np.random.default_rng(0))
    >>> values = query_metrics(truth, [[0.3, 0.7, 0.1]], np.random.default_rng(1))
    >>> values["mrr"].tolist(), values["ndcg@10"].round(3).tolist()
    ([0.5], [0.888])
    """
    values = _checked("scores", scores, truth.candidates)
    order = ranked(values, truth.candidates, generator)
    position = _inverse(order)
    capped = {n: np.minimum(n, truth.n_candidates) for n in TOP}
    first = np.take_along_axis(position, truth.order[:, :1], axis=1)[:, 0]  # the most similar one's
    relevant, n_relevant = truth.relevant, _count(truth.relevant)
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    metrics = {
        **{f"unordered@{n}": _shared(truth, position, capped[n]) / capped[n] for n in TOP},
        **{f"edit@{n}": _edit(truth, position, capped[n]) for n in TOP},
        **{f"ndcg@{n}": _ndcg(truth, order, n) for n in NDCG},
        **{f"recall@{n}": _share(_count(relevant & (position < n)), n_relevant) for n in RECALL},
        "map": _share((precision * hits).sum(axis=1), n_relevant),
        "mrr": np.where(relevant.any(axis=1), 1 / (first + 1), np.nan),
        "spearman": _spearman(truth, values),
    }
    return {metric: metrics[metric] for metric in METRICS}


def query_ndcg(
    truth: Truth, scores: npt.ArrayLike, n: int, generator: np.random.Generator
) -> Floats:
    """Compute only NDCG@n of a system's scores; (queries,), NaN where not defined."""
    values = _checked("scores", scores, truth.candidates)
    return _ndcg(truth, top_ranked(values, truth.candidates, n, generator), n)


def table_ndcg(
    similarity: npt.ArrayLike,
    scores: npt.ArrayLike,
    candidates: Bools,
    n: int,
    generator: np.random.Generator,
) -> Floats:
    """Compute NDCG@n of scores by a similarity, all (queries, artists), without ranking the rest.

    The values, (queries,), are those of `query_ndcg`.

    Raises
    ------
    DataError
        Another shape, a query without candidates, a value of a candidate that is not finite.
    """
    truth = _checked("similarity", similarity, candidates)
    values = _checked("scores", scores, candidates)
    n = min(n, candidates.shape[1])
    ideal = -np.sort(np.partition(-truth, n - 1, axis=1)[:, :n], axis=1)
    order = top_ranked(values, candidates, n, generator)
    return _ndcg_of_gains(np.take_along_axis(truth, order[:, :n], axis=1), ideal)


def _checked(name: str, values: npt.ArrayLike, candidates: Bools) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape != candidates.shape:
        raise DataError(name, f"has shape {array.shape}", expected=f"{candidates.shape}")
    without = np.flatnonzero(~candidates.any(axis=1))
    if without.size or not array.size:
        place = f"query {without[0]}" if without.size else "candidates"
        raise DataError(place, "nothing to rank", expected="at least one candidate for each query")
    array = np.where(candidates, array, 0.0)
    if not np.isfinite(array).all():
        query, artist = np.argwhere(~np.isfinite(array))[0]
        found = f"{array[query, artist]} for query {query} and artist {artist}"
        raise DataError(name, found, expected="finite numbers")
    return array


def _count(mask: Bools) -> Ints:
    return np.asarray(np.count_nonzero(mask, axis=1), dtype=np.int64)


def _inverse(order: Ints) -> Ints:
    position = np.empty_like(order)
    np.put_along_axis(position, order, np.arange(order.shape[1])[None, :], axis=1)
    return position


def _shared(truth: Truth, position: Ints, n: Ints) -> Ints:
    return _count((truth.position < n[:, None]) & (position < n[:, None]))


def _edit(truth: Truth, position: Ints, capped: Ints) -> Floats:
    places = np.take_along_axis(position, truth.order[:, : capped.max()], axis=1)
    shared = (np.arange(places.shape[1]) < capped[:, None]) & (places < capped[:, None])
    return _matched(np.where(shared, places, -1)) / capped


def _matched(places: Ints) -> Ints:
    """Count the elements that `SequenceMatcher` matches in two lists without repetitions.

    It takes the longest common run, the first of several, and goes on before and after it. No run
    is cut by that: of the runs, from the longest on, those are taken that are in the same order in
    both lists as all that were taken before. `places`, (queries, n), are the positions of the first
    list's elements in the second one, -1 where they are not there; the result is (queries,).

    Examples
    --------
    >>> _matched(np.array([[1, 2, -1, 0]]))  # "ab" is the longest run; the last element precedes it
    array([2])
    """
    n = places.shape[1]
    apart = np.ones((len(places), n + 1), dtype=np.bool_)  # whether a run ends before each element
    apart[:, 1:n] = (places[:, :-1] < 0) | (np.diff(places, axis=1) != 1)
    ends = np.where(apart[:, 1:], np.arange(1, n + 1), n)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    # the lengths of the runs that are left, where they begin
    lengths = np.where(apart[:, :n] & (places >= 0), ends - np.arange(n), 0)
    matched = np.zeros(len(places), dtype=np.int64)
    while (rows := np.flatnonzero(lengths.max(axis=1, initial=0) > 1)).size:
        left, at = lengths[rows], places[rows]
        longest = left.argmax(axis=1)[:, None]  # the first of several
        matched[rows] += np.take_along_axis(left, longest, axis=1)[:, 0]
        here = np.take_along_axis(at, longest, axis=1)
        before, after = np.arange(n) < longest, np.arange(n) > longest
        lengths[rows] = np.where((before & (at < here)) | (after & (at > here)), left, 0)
    # all that are left have one element: each is taken that stands after those taken before it
    singles = np.where(lengths == 1, places, -1)
    taken = (singles >= 0) & (singles == np.maximum.accumulate(singles, axis=1))
    return matched + _count(taken)


def _ndcg(truth: Truth, order: Ints, n: int) -> Floats:
    gains = np.take_along_axis(truth.similarity, order[:, :n], axis=1)
    return _ndcg_of_gains(gains, truth.ideal[:, :n])


def _ndcg_of_gains(gains: Floats, ideal: Floats) -> Floats:
    discount = 1 / np.log2(np.arange(gains.shape[1]) + 2)
    return _share(gains @ discount, ideal @ discount)


def _spearman(truth: Truth, values: Floats) -> Floats:
    ranks = _centred_ranks(values, truth.candidates)
    spread, ideal_spread = (ranks**2).sum(axis=1), (truth.ranks**2).sum(axis=1)
    correlation = _share((ranks * truth.ranks).sum(axis=1), np.sqrt(spread * ideal_spread))
    return np.where((spread == 0) & (ideal_spread > 0), 0.0, correlation)


def _centred_ranks(values: Floats, candidates: Bools) -> Floats:
    ranks = _mean_ranks(np.where(candidates, values, np.inf))  # no candidates: last ranks
    mean = (_count(candidates) + 1) / 2
    return np.where(candidates, ranks - mean[:, None], 0.0)


def _mean_ranks(values: Floats) -> Floats:
    """Rank each row's values from 1, ties at their mean, as `scipy.stats.rankdata` does.

    All of SciPy's statistics take longer to import than most rankings to evaluate.

    Examples
    --------
    >>> _mean_ranks(np.array([[0.5, 0.1, 0.5]])).tolist()
    [[2.5, 1.0, 2.5]]
    """
    n = values.shape[1]
    order = np.argsort(values, axis=1)
    by_value = np.take_along_axis(values, order, axis=1)
    edges = np.ones((len(values), n + 1), dtype=np.bool_)  # between values that are not tied
    edges[:, 1:n] = by_value[:, 1:] != by_value[:, :-1]
    first = np.maximum.accumulate(np.where(edges[:, :n], np.arange(n), 0), axis=1)
    last = np.where(edges[:, 1:], np.arange(n), n)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=1)
    return ranks


def _share(part: Floats | Ints, whole: Floats | Ints) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
