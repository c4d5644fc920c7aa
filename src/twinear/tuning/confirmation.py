"""Train the best trial again with new seeds, beside the defaults.

The best of many trials is optimistically biased. Both are trained with the same seeds, none of
which the search has used, and compared query by query. New seeds remove the luck of the seed, but
the validation artists of the split also chose the best trial. Where the search used them alone,
both are therefore also trained without some of the training artists and evaluated on those, which
no choice has seen: each fold of them with another seed. The interval is over queries; the value of
a query is the mean over its seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.ranking.ranking import RankingParams
from twinear.split import Split
from twinear.tuning.evaluation import EpochReport, TrialSplit
from twinear.tuning.search import WAIT_SECONDS, Plan
from twinear.tuning.splits import held_out_queries, validation_queries
from twinear.tuning.worker_pool import WorkerPool

Contender = Literal["best", "defaults"]
Queries = Literal["validation", "held_out"]
CONTENDERS: tuple[Contender, Contender] = ("best", "defaults")


@dataclass(frozen=True, kw_only=True)
class SeedComparison:
    """NDCG@10 of the best trial and of the defaults on the same queries.

    Attributes
    ----------
    queries
        `validation`, which also chose the best trial, or `held_out`, which chose nothing.
    difference
        The best minus the defaults, with the interval of paired resamples of the queries.
    by_seed
        The mean difference for each seed.
    """

    queries: str
    n_queries: int
    best: Interval
    defaults: Interval
    difference: Interval
    by_seed: dict[int, float]

    @property
    def verdict(self) -> str:
        """Whether the best is better, worse, or not significantly different."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "no clear difference"


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The comparisons, and one line for each training that failed."""

    comparisons: list[SeedComparison]
    failures: list[str]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "comparisons": [
                asdict(comparison) | {"verdict": comparison.verdict}
                for comparison in self.comparisons
            ],
            "failures": self.failures,
        }


@dataclass(frozen=True, kw_only=True)
class _Training:
    """One training: which values, which seed, evaluated on which queries."""

    contender: Contender
    queries: Queries
    seed: int
    split: TrialSplit

    @property
    def name(self) -> str:
        return f"confirm-{self.contender}-{self.queries}-{self.seed}"


QueryScores = dict[tuple[Contender, Queries, int], dict[str, float]]  # -> query -> NDCG@10


def confirm(
    values: Mapping[Contender, Mapping[str, Any]],
    split: Split,
    plan: Plan,
    pool: WorkerPool,
    *,
    seeds: Sequence[int],
    n_folds: int,
    params: RankingParams,
    open_bar: Callable[[int], AbstractContextManager[Any]],
) -> Confirmation:
    """Train the best and the defaults with each seed and compare them.

    Parameters
    ----------
    values
        By full name.
    n_folds
        Folds of the training artists to evaluate on; 0: they took part in the choice.
    params
        Resamples and confidence of the intervals.
    open_bar
        Opens a progress bar for a number of trainings.
    """
    splits: dict[Queries, list[TrialSplit]] = {
        "validation": [validation_queries(split)] * len(seeds)
    }
    if n_folds:
        splits["held_out"] = held_out_queries(split, n_folds)
    trainings = [
        _Training(contender=contender, queries=queries, seed=seed, split=part)
        for contender in CONTENDERS
        for queries, parts in splits.items()
        for seed, part in zip(seeds, parts, strict=False)
    ]
    with open_bar(len(trainings)) as bar:
        scores, failures = _train(trainings, values, plan, pool, bar.update)
    comparisons = [_compare(queries, scores, seeds, params) for queries in splits]
    return Confirmation(comparisons=list(filter(None, comparisons)), failures=failures)


def _train(
    trainings: Sequence[_Training],
    values: Mapping[Contender, Mapping[str, Any]],
    plan: Plan,
    pool: WorkerPool,
    on_training: Callable[[], None],
) -> tuple[QueryScores, list[str]]:
    """Run all trainings; return their scores, and a line for each that failed."""
    todo = list(trainings)
    scores: QueryScores = {}
    failures: list[str] = []
    while todo or pool.running:
        while todo and pool.has_room:
            training = todo.pop(0)
            changes = {**values[training.contender], "training.seed": training.seed}
            pool.start(training, plan.job(changes, training.name, (training.split,)))
        for training, message in pool.messages(WAIT_SECONDS):
            if isinstance(message, EpochReport):
                pool.answer(training, go_on=True)
                continue
            if message.state == "complete":
                key = training.contender, training.queries, training.seed
                scores[key] = message.results[0].queries
            else:
                reason = message.reason
                failures.append(f"{training.contender}, seed {training.seed}: {reason}")
            plan.remove_checkpoints(training.name, 1)
            on_training()
    return scores, failures


def _compare(
    queries: Queries, scores: QueryScores, seeds: Sequence[int], params: RankingParams
) -> SeedComparison | None:
    """Compare on queries of one kind, with the seeds that both could be trained with."""
    pairs = {
        seed: (scores["best", queries, seed], scores["defaults", queries, seed])
        for seed in seeds
        if all((contender, queries, seed) in scores for contender in CONTENDERS)
    }
    # (queries, 2): the mean over the seeds that have the query
    ids = dict.fromkeys(query for best, _ in pairs.values() for query in best)
    means = [
        np.mean(
            [(best[query], old[query]) for best, old in pairs.values() if query in best], axis=0
        )
        for query in ids
    ]
    table = np.array(means, dtype=np.float64).reshape(-1, 2)
    table = np.column_stack([table, table[:, 0] - table[:, 1]])
    table = table[np.isfinite(table).all(axis=1)]
    if not len(table):
        return None
    drawn = resamples(len(table), params.n_bootstrap, params.generator("bootstrap"))
    best, defaults, difference = bootstrap(table, drawn, params.confidence)
    return SeedComparison(
        queries=queries,
        n_queries=len(table),
        best=best,
        defaults=defaults,
        difference=difference,
        by_seed={seed: _mean_difference(*pair) for seed, pair in pairs.items()},
    )


def _mean_difference(best: dict[str, float], defaults: dict[str, float]) -> float:
    """The mean over the queries for which it is defined; 0 where there are none."""
    differences = np.array([best[query] - defaults[query] for query in best])
    differences = differences[np.isfinite(differences)]
    return float(differences.mean()) if len(differences) else 0.0
