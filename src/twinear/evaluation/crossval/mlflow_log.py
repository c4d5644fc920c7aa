"""What a cross-validation says to experiment tracking: means above, folds and curves below."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pandas as pd

from twinear.evaluation.comparison import SIMILARITY, Judgement
from twinear.evaluation.crossval.scoring import FoldScores
from twinear.ranking.summary import as_metrics


class Log(Protocol):
    """A run that takes numbers."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers."""


class Parent(Log, Protocol):
    """A run that has one below it for each fold."""

    def child(self, name: str) -> AbstractContextManager[Log]:
        """Open the run of a fold."""


def log_judgement(
    run: Parent, judgement: Judgement, trained: Mapping[int, Sequence[FoldScores]]
) -> None:
    """Log every metric with its interval, and in each fold's child its means and its curves."""
    for protocol, verdict in judgement.verdicts.items():
        for truth, summary in verdict.metrics.items():
            run.log_metrics(_prefixed(f"{protocol}/{truth}", as_metrics(summary)))
    plain = judgement.queries[judgement.queries["truth"] == SIMILARITY]
    for number, queries in plain.groupby("fold"):
        means = queries.groupby(["protocol", "system", "metric"])["value"].mean().dropna()
        with run.child(f"fold {number}") as child:
            child.log_metrics(_joined(means))
            asked = set(queries["query"])
            for seed, folds in trained.items():
                for each in folds:
                    if asked == set(each.queries):
                        _log_curves(child, seed, each)


def _joined(means: "pd.Series[float]") -> dict[str, float]:
    """Levels of the index as one name."""
    return {"/".join(name): float(value) for name, value in zip(means.index, means, strict=True)}


def _log_curves(run: Log, seed: int, scores: FoldScores) -> None:
    for epoch in scores.history:
        run.log_metrics(_prefixed(f"seed {seed}", epoch.measures), step=epoch.epoch)


def _prefixed(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}
