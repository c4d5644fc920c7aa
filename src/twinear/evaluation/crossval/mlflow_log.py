"""Log a cross-validation to MLflow: means in the parent run, folds and curves in child runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from twinear.evaluation.comparison import SIMILARITY, ComparisonResult
from twinear.evaluation.crossval.fold_scores import FoldScores
from twinear.ranking.summary import flatten_metrics

if TYPE_CHECKING:
    from twinear.tracking.runs import Run


def log_comparison(
    run: "Run", result: ComparisonResult, trained: Mapping[int, Sequence[FoldScores]]
) -> None:
    """Log every metric with its interval; to each fold's child its means and training curves."""
    for protocol, numbers in result.protocols.items():
        for truth, table in numbers.metrics.items():
            values = flatten_metrics(table)
            run.log_metrics({f"{protocol}/{truth}/{name}": each for name, each in values.items()})
    against_similarity = result.queries[result.queries["truth"] == SIMILARITY]
    for number, queries in against_similarity.groupby("fold"):
        means = queries.groupby(["protocol", "system", "metric"])["value"].mean().dropna()
        with run.child(f"fold {number}") as child:
            names = map("/".join, means.index)
            child.log_metrics(dict(zip(names, map(float, means), strict=True)))
            ids = set(queries["query"])
            for seed, folds in trained.items():
                for fold in folds:
                    if ids == set(fold.queries):
                        for epoch in fold.history:
                            measures = epoch.measures.items()
                            curve = {f"seed {seed}/{name}": value for name, value in measures}
                            child.log_metrics(curve, step=epoch.epoch)
