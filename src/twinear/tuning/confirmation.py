"""The best of many trials flatters itself: train it anew with fresh seeds, beside the defaults.

Both are trained with the same seeds, none of which the search has used, and compared query by
query. The validation artists of the split also chose the winner, so that fresh seeds take away the
luck of the seed but not that of the queries. Where the search was judged on them alone, both are
also trained without some of the training artists and judged on those, whom no choice has seen:
each fold of them with another seed. The interval is over queries, each the mean of its seeds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import RankingParams
from twinear.split import Split
from twinear.tuning.evaluation import Judged, Part, Step
from twinear.tuning.search import WAIT_SECONDS, Plan
from twinear.tuning.splits import same_queries, unheard_queries
from twinear.tuning.worker_pool import Broken, Crew, Ended

WINNER, DEFAULTS = "winner", "defaults"
SAME, UNHEARD = "validation", "unheard"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """NDCG@10 of the winner and of the defaults on the same queries.

    Attributes
    ----------
    queries
        `validation`, which also chose the winner, or `unheard`, which chose nothing.
    difference
        The winner minus the defaults, with the interval of paired resamples of the queries.
    by_seed
        The mean difference for each seed.
    """

    queries: str
    n_queries: int
    winner: Interval
    defaults: Interval
    difference: Interval
    by_seed: dict[int, float]

    @property
    def verdict(self) -> str:
        """The winner is better, worse, or not told apart."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "not told apart"


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The comparisons, and what could not be trained: (winner or defaults, seed) and the reason."""

    comparisons: list[Comparison]
    failures: list[str]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "comparisons": [asdict(e) | {"verdict": e.verdict} for e in self.comparisons],
            "failures": self.failures,
        }


@dataclass(frozen=True, kw_only=True)
class _Round:
    """One training: whose values, which seed, judged on which queries."""

    who: str
    queries: str
    seed: int
    part: Part

    @property
    def name(self) -> str:
        return f"confirm-{self.who}-{self.queries}-{self.seed}"


def confirm(
    values: Mapping[str, Mapping[str, Any]],
    split: Split,
    plan: Plan,
    crew: Crew,
    *,
    seeds: Sequence[int],
    n_folds: int,
    params: RankingParams,
    on_round: Callable[[], None],
) -> Confirmation:
    """Train the `winner` and the `defaults` with each seed and compare them.

    Parameters
    ----------
    values
        By whole name, of `winner` and `defaults`.
    n_folds
        Folds of the training artists to be judged on; 0: they took part in the choice.
    params
        How far to trust a mean.
    """
    left = unheard_queries(split, n_folds) if n_folds else []
    rounds = [
        each
        for who in (WINNER, DEFAULTS)
        for each in [
            *(_Round(who=who, queries=SAME, seed=seed, part=same_queries(split)) for seed in seeds),
            *(
                _Round(who=who, queries=UNHEARD, seed=seed, part=part)
                for seed, part in zip(seeds, left, strict=False)
            ),
        ]
    ]
    judged, failures = _run(rounds, values, plan, crew, on_round)
    kinds = (SAME, UNHEARD) if left else (SAME,)
    compared = (_compare(kind, judged, seeds, params) for kind in kinds)
    return Confirmation(comparisons=[each for each in compared if each], failures=failures)


def count_rounds(n_seeds: int, split: Split, n_folds: int) -> int:
    """How many trainings a confirmation takes."""
    left = len(unheard_queries(split, n_folds)) if n_folds else 0
    return 2 * (n_seeds + min(n_seeds, left))


def _run(
    rounds: Iterable[_Round],
    values: Mapping[str, Mapping[str, Any]],
    plan: Plan,
    crew: Crew,
    on_round: Callable[[], None],
) -> tuple[dict[tuple[str, str, int], Judged], list[str]]:
    todo = list(rounds)
    judged: dict[tuple[str, str, int], Judged] = {}
    failures: list[str] = []
    while todo or crew.running:
        while todo and crew.has_room:
            one = todo.pop(0)
            tried = {**values[one.who], "training.seed": one.seed}
            crew.give(one, plan.job(tried, one.name, (one.part,)))
        for key, news in crew.news(WAIT_SECONDS):
            if isinstance(news, Step):
                crew.answer(key, go_on=True)
                continue
            if isinstance(news, Broken):
                raise news.error
            if isinstance(news, Ended):
                judged[key.who, key.queries, key.seed] = news.judged[0]
            else:
                failures.append(f"{key.who}, seed {key.seed}: {getattr(news, 'reason', news)}")
            plan.forget(key.name, 1)
            on_round()
    return judged, failures


def _compare(
    kind: str,
    judged: Mapping[tuple[str, str, int], Judged],
    seeds: Sequence[int],
    params: RankingParams,
) -> Comparison | None:
    """Compare on the queries of one kind, with the seeds that both could be trained with."""
    both = [
        seed for seed in seeds if all((who, kind, seed) in judged for who in (WINNER, DEFAULTS))
    ]
    won, had = ([judged[who, kind, seed].queries for seed in both] for who in (WINNER, DEFAULTS))
    table = _per_query(won, had)
    if not len(table):
        return None
    drawn = resamples(len(table), params.n_bootstrap, params.generator("bootstrap"))
    winner, defaults, difference = bootstrap(table, drawn, params.confidence)
    return Comparison(
        queries=kind,
        n_queries=len(table),
        winner=winner,
        defaults=defaults,
        difference=difference,
        by_seed={seed: _apart(w, h) for seed, w, h in zip(both, won, had, strict=True)},
    )


def _apart(won: dict[str, float], had: dict[str, float]) -> float:
    """The mean difference over the queries for which it is defined; 0 where it is for none."""
    apart = np.array([won[query] - had[query] for query in won])
    defined = apart[np.isfinite(apart)]
    return float(defined.mean()) if len(defined) else 0.0


def _per_query(won: list[dict[str, float]], had: list[dict[str, float]]) -> Floats:
    """(queries, 3): winner, defaults and their difference, the mean over seeds where defined."""
    queries = list(dict.fromkeys(query for each in won for query in each))
    rows = []
    for query in queries:
        pairs = [(w[query], h[query]) for w, h in zip(won, had, strict=True) if query in w]
        winner, defaults = np.mean(pairs, axis=0)
        rows.append((winner, defaults, winner - defaults))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return table[np.isfinite(table).all(axis=1)]
