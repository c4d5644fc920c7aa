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
CHECKPOINT = "confirm-{}-{}-{}"  # contender, queries, seed


@dataclass(frozen=True, kw_only=True)
class SeedComparison:
    """NDCG@10 of the best trial and of the defaults on the same queries."""

    queries: str  # `validation`, which chose the best trial too, or `held_out`: chose nothing
    n_queries: int
    best: Interval
    defaults: Interval
    difference: Interval  # the best minus the defaults; of paired resamples of the queries
    by_seed: dict[int, float]  # the mean difference for each seed

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
        comparisons = [asdict(each) | {"verdict": each.verdict} for each in self.comparisons]
        return {"comparisons": comparisons, "failures": self.failures}


QueryScores = dict[tuple[Contender, Queries, int], dict[str, float]]  # -> query -> NDCG@10


def confirm(
    values: Mapping[Contender, Mapping[str, Any]],  # by full name
    split: Split,
    plan: Plan,
    pool: WorkerPool,
    *,
    seeds: Sequence[int],
    n_folds: int,  # of the training artists to evaluate on; 0: they took part in the choice
    params: RankingParams,  # resamples and confidence of the intervals
    open_bar: Callable[[int], AbstractContextManager[Any]],  # for a number of trainings
) -> Confirmation:
    """Train the best and the defaults with each seed and compare them."""
    splits: dict[Queries, list[TrialSplit]] = {
        "validation": [validation_queries(split)] * len(seeds)
    }
    if n_folds:
        splits["held_out"] = held_out_queries(split, n_folds)
    todo = [
        ((contender, queries, seed), part)
        for contender in CONTENDERS
        for queries, parts in splits.items()
        for seed, part in zip(seeds, parts, strict=False)
    ]
    scores: QueryScores = {}
    failures: list[str] = []
    with open_bar(len(todo)) as bar:
        while todo or pool.running:
            while todo and pool.has_room:
                training, part = todo.pop(0)
                changes = {**values[training[0]], "training.seed": training[2]}
                pool.start(training, plan.job(changes, CHECKPOINT.format(*training), (part,)))
            for training, message in pool.messages(WAIT_SECONDS):
                if isinstance(message, EpochReport):
                    pool.answer(training, go_on=True)
                    continue
                if message.state == "complete":
                    scores[training] = message.results[0].queries
                else:
                    failures.append(f"{training[0]}, seed {training[2]}: {message.reason}")
                plan.remove_checkpoints(CHECKPOINT.format(*training), 1)
                bar.update()
    comparisons = [_compare(queries, scores, seeds, params) for queries in splits]
    return Confirmation(comparisons=list(filter(None, comparisons)), failures=failures)


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
