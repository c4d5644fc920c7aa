"""What a ranking is worth in listeners, and the best that any ranking can reach on such listens.

The similarity is itself an estimate, from the listeners that happen to be in the listens. Each draw
splits them in two at random. One half *judges*: the similarity is computed from it alone. Of the
other half, 1, 2, … listeners rank the same artists by their own co-listening, and so do the
systems: all are judged by the same half.

- *ceiling*: the NDCG of the whole other half. It differs from 1 only because listeners differ, so
  no system can be expected to be far above it.
- *listener equivalents* of a system: how many listeners of the other half rank as well as it does,
  where the curve of their NDCG meets its own; linear in the logarithm of their number.
- *strict*: a system that uses listens of known artists gets them from the other half only. Without
  that, it has seen the listens of the judges (of other artists than the query). With more than
  `MOST_KNOWN` of them it is left out.

Ties of co-listening, which are most pairs if listeners are few, are resolved by popularity among
the same listeners, as is best for them; an unknown artist is last. Intervals are over queries, as
everywhere; a query counts in the draws in which it has a similar candidate. A value outside the
curve is given as its end: 1 means "at most 1", the size of the half "at least that".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twinear.catalogue.other_listens import scores_before_listens
from twinear.metrics.bootstrap import resamples
from twinear.metrics.ranking_metrics import Bools, Floats, query_ndcg
from twinear.metrics.ranking_metrics import others as artists_but_oneself
from twinear.ranking.listener_results import (
    STRICT,
    CurvePoint,
    ListenerEquivalents,
    SystemWorth,
)
from twinear.ranking.ranking import Ranking, RankingParams, build_truth
from twinear.ranking.summary import DIGITS, Numbers
from twinear.similarity.listener_sample import ListenerSample, SampleSimilarity

if TYPE_CHECKING:
    from twinear.catalogue.catalogue import Catalogue

N = 10  # of NDCG
MOST_KNOWN = 5000  # artists that a strict system may know: all pairs of them are compared
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # numbers of listeners, times powers of ten

# (artists, artists) by the other half -> the scores of a system with several seeds, each (queries,
# candidates)
StrictScores = Callable[[Floats], Sequence[Floats]]


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedSystems:
    """What is compared with listeners.

    Attributes
    ----------
    ids
        The artists, (artists,): every one is a query.
    candidates
        (artists, artists).
    scores
        System -> its tables, (artists, artists), one for each seed.
    strict
        System -> its scores from the similarity by half of the listeners of `known`.
    known
        The ids of the artists that a strict system may read the listens of.
    """

    ids: Sequence[str]
    candidates: Bools
    scores: Mapping[str, Sequence[Floats]]
    strict: Mapping[str, StrictScores]
    known: Sequence[str] = ()


def judge_test(test: Ranking, catalogue: "Catalogue") -> JudgedSystems:
    """Judge all systems of a ranking of the test artists, and the catalogue strictly."""
    ids = list(test.artists["artist"])
    rows = np.asarray(catalogue.rows(ids), dtype=np.int64)
    everyone = [artist.artist for artist in catalogue.artists]
    known = catalogue.scoring.colistening
    before = None
    if known is None or len(known.rows) <= MOST_KNOWN:
        before = scores_before_listens(catalogue, everyone, rows, rows)
    return JudgedSystems(
        ids=ids,
        candidates=artists_but_oneself(len(ids)),
        scores={system: [table] for system, table in test.scores.items()},
        strict={} if before is None else {STRICT: lambda half: [before.with_listens(half)]},
        known=[] if before is None else before.known,
    )


def listener_numbers(half: int) -> list[int]:
    """Choose the numbers of listeners of the curve; the last is `half`.

    Examples
    --------
    >>> listener_numbers(40)
    [1, 2, 3, 5, 7, 10, 15, 20, 30, 40]
    """
    powers = 10 ** np.arange(int(np.log10(half)) + 1)
    steps = {int(each) for each in np.outer(powers, STEPS).ravel()}
    return sorted({1, *(each for each in steps if each < half), half})


def by_popularity(compared: SampleSimilarity) -> Floats:
    """Score artists by similarity, ties by their listeners, (artists, artists).

    Examples
    --------
    >>> matrix = np.array([[0.0, 0.5, 0.0, 0.0]])
    >>> by_popularity(SampleSimilarity(matrix=matrix, listeners=np.array([1, 2, 3, 0])))
    array([[0.25, 1.5 , 0.75, 0.  ]])
    """
    ranks = np.unique(compared.matrix, return_inverse=True)[1].reshape(compared.matrix.shape)
    return np.asarray(ranks + compared.listeners / (compared.listeners.max(initial=0) + 1))


def listener_equivalents(
    judged: JudgedSystems, sample: ListenerSample, params: RankingParams
) -> ListenerEquivalents | None:
    """Measure the ceiling, the curve and every system; None with fewer than four listeners.

    Of more than `params.max_listener_queries` queries, so many are drawn.
    """
    half = sample.n_sampled // 2
    if half < 2:
        return None
    generator = params.generator("listeners")
    n_artists = len(judged.ids)
    n_queries = min(n_artists, params.max_listener_queries)
    rows = np.sort(generator.permutation(n_artists)[:n_queries])
    candidates = judged.candidates[rows]
    numbers = listener_numbers(half)
    systems = [*judged.scores, *judged.strict]
    n_columns = len(numbers) + len(systems)
    sums, counts = np.zeros((n_queries, n_columns)), np.zeros(n_queries)
    for _ in range(params.listener_draws):
        order = generator.permutation(sample.n_sampled)
        judges, others = order[:half], order[half : 2 * half]
        truth = build_truth(sample.compare(judged.ids, judges).matrix[rows], candidates, params)
        tables: list[Sequence[Floats]] = [
            [by_popularity(sample.compare(judged.ids, others[:n]))] for n in numbers
        ]
        tables += judged.scores.values()
        if judged.strict:
            of_known = sample.compare(judged.known, others).matrix
            tables += [strict(of_known) for strict in judged.strict.values()]
        columns = [
            np.mean([query_ndcg(truth, each[rows], N, generator) for each in seeds], axis=0)
            for seeds in tables
        ]
        values = np.stack(columns, axis=1)  # (queries, numbers and systems)
        defined = np.isfinite(values).all(axis=1)
        sums[defined] += values[defined]
        counts += defined
    if not counts.any():
        return None
    drawn = resamples(n_queries, params.n_bootstrap, params.generator("bootstrap"))
    weights = np.vstack([np.ones((1, n_queries), np.int64), drawn])
    weights = weights[weights @ counts > 0]
    means = (weights @ sums) / (weights @ counts)[:, None]  # the first row is the value itself
    curves, reached = means[:, : len(numbers)], means[:, len(numbers) :]

    def numbers_of(values: Floats) -> Numbers:
        tail = (1 - params.confidence) / 2
        low, high = np.quantile(values, (tail, 1 - tail))
        named = {"value": values[0], "low": low, "high": high}
        return {name: round(float(value), DIGITS) for name, value in named.items()}

    return ListenerEquivalents(
        listeners=sample.n_listeners,
        sampled=sample.n_sampled,
        half=half,
        artists=n_artists,
        queries=n_queries,
        draws=params.listener_draws,
        ceiling=numbers_of(curves[:, -1]),
        curve=[
            CurvePoint(listeners=n, ndcg=numbers_of(curves[:, at])) for at, n in enumerate(numbers)
        ],
        systems={
            system: SystemWorth(
                ndcg=numbers_of(reached[:, at]),
                listeners=numbers_of(meet(curves, reached[:, at], numbers)),
            )
            for at, system in enumerate(systems)
        },
    )


def meet(curves: Floats, reached: Floats, numbers: Sequence[int]) -> Floats:
    """Find where curves of NDCG, (n, numbers), reach a value each, (n,): numbers of listeners.

    A dip of a curve, which is noise, is filled with the largest value before it.

    Examples
    --------
    >>> meet(np.array([[0.1, 0.3, 0.2, 0.5]]), np.array([0.2]), [1, 4, 10, 100]).round(3).tolist()
    [2.0]
    """
    logarithms, rising = np.log(numbers), np.maximum.accumulate(curves, axis=1)
    pairs = zip(rising, reached, strict=True)
    return np.exp([np.interp(value, curve, logarithms) for curve, value in pairs])
