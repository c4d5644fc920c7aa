"""A cross-validation in a real MLflow database: one run, and one below it for each fold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS
from twinear.base.params import read_params
from twinear.evaluation.comparison import (
    CORRECTED,
    SIMILARITY,
    Comparison,
    candidate_masks,
    compare_systems,
)
from twinear.evaluation.cross_validation import log_comparison
from twinear.evaluation.crossval.fold_scores import FoldScores
from twinear.ranking.ranking import RankingParams
from twinear.tracking.runs import ChildRun, MlflowRun, open_folds
from twinear.training.checkpoint import Epoch
from twinear.training.keeping import KeepDecision

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
N = 12


def test_the_parent_holds_the_ranking_and_each_child_its_fold(mlflow: Any, tmp_path: Path) -> None:
    params = read_params("ranking", RankingParams, PARAMS)
    params = params.model_copy(update={"n_bootstrap": 100, "n_chance": 10})
    ids, fold = [f"a{at}" for at in range(N)], np.arange(N) % 3
    truth = np.random.default_rng(1).random((N, N))
    comparison = Comparison(
        artists=pd.DataFrame({"artist": ids, "name": ids, "fold": fold}),
        truths={SIMILARITY: truth, CORRECTED: truth},
        candidates=candidate_masks(fold),
        scores={"catalogue": [truth]},
    )
    epochs = [
        Epoch(epoch=at, train_loss=1 / at, validation_loss=1, validation_ndcg=0.5) for at in (1, 2)
    ]
    trained = [
        FoldScores(
            queries=[ids[at] for at in range(N) if fold[at] == number],
            artists=ids,
            scores={},
            history=epochs,
            decision=KeepDecision(kept="network", keep="better"),
            scorer=f"{number}" * 64,
        )
        for number in range(3)
    ]
    (tmp_path / "summary.md").write_text("text")
    with open_folds("crossval-try", {"training": {"epochs": 2}}) as run:
        log_comparison(run, compare_systems(comparison, params), {7: trained, 8: trained})
        run.log_files(tmp_path / "summary.md")
    runs = mlflow.search_runs(experiment_names=["twinear"], output_format="list")
    found = {run.info.run_name: run for run in runs}
    assert set(found) == {"crossval-try", "fold 0", "fold 1", "fold 2"}
    parent = found["crossval-try"]
    assert parent.data.params == {"training.epochs": "2"}
    assert parent.data.metrics["all/ndcg_at_10"] == 1
    assert parent.data.metrics["fold/corrected_ndcg_at_10_lower"] == 1
    assert "ndcg_at_10" not in parent.data.metrics  # the column that ranks the pipeline's runs
    assert len(parent.data.metrics) <= 40
    client = mlflow.MlflowClient()
    for number in range(3):
        child = found[f"fold {number}"]
        assert child.data.tags["kind"] == "fold"
        assert child.data.tags["scorer"] == ",".join([f"{number}" * 64] * 2)
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics["all/mrr"] == 1
        curve = client.get_metric_history(child.info.run_id, "train_loss")
        assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]
    files = client.list_artifacts(parent.info.run_id)
    assert [each.path for each in files] == ["comparison.csv", "summary.md"]
    path = client.download_artifacts(parent.info.run_id, "comparison.csv", str(tmp_path))
    table = pd.read_csv(path).set_index(["protocol", "truth", "measure"])
    assert table.loc[("fold", "corrected", "ndcg@10"), "catalogue"] == "1.000 [1.000, 1.000]"
    assert "chance" in table


def test_off_there_is_an_object_that_does_nothing() -> None:
    with open_folds("crossval", {}) as run:
        assert not isinstance(run, MlflowRun)
        fold = ChildRun(
            name="fold 0", kind="fold", params={}, scorers=[], curve=[], metrics={"a": 1.0}
        )
        assert run.log_child(fold) == ""
