"""Runs are found in a real MLflow database; a logged scorer scores pairs of spectrograms."""

import csv
import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

from tests.support.scorers import small_scorer, spectrograms
from tests.support.tuning import project, request
from twinear.base.errors import TwinearError
from twinear.base.files import sha256
from twinear.tracking.registry import get_champion, resolve
from twinear.tracking.runs import MlflowRun, flatten, metric_name, open_run
from twinear.tuning.tune import read_tuning, tune

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


def runs(mlflow: Any) -> list[Any]:
    found: list[Any] = mlflow.search_runs(experiment_names=["twinear"], output_format="list")
    return found


def test_params_curves_inputs_and_files_are_found_again(mlflow: Any, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(b"png")
    with open_run({"training": {"model": {"conv_depth": 3}, "seed": 1}}) as run:
        for epoch in (1, 2):
            run.log_metrics({"train_loss": 1 / epoch}, step=epoch)
        run.log_data("similarity", tmp_path, "ab" * 32)
        run.log_files(tmp_path / "figures")
    (found,) = runs(mlflow)
    assert found.info.run_name == f"pipeline-{found.data.tags['params'][:8]}"
    assert found.data.params == {"training.model.conv_depth": "3", "training.seed": "1"}
    curve = mlflow.MlflowClient().get_metric_history(found.info.run_id, "train_loss")
    assert [(each.step, each.value) for each in curve] == [(1, 1.0), (2, 0.5)]
    assert [each.dataset.name for each in found.inputs.dataset_inputs] == ["similarity"]
    assert (tmp_path / "mlflow.db").exists()
    (artefact,) = (tmp_path / "mlartifacts").rglob("a.png")
    assert artefact.read_bytes() == b"png"


def test_a_logged_scorer_is_registered_and_scores_two_spectrograms(
    mlflow: Any, tmp_path: Path
) -> None:
    path = tmp_path / "scorer.safetensors"
    scorer = small_scorer()
    scorer.write(path)
    with open_run({}) as run:
        run.log_scorer(path, sha256(path), scorer.inputs)
    x = spectrograms(6).astype(np.float32).reshape(3, 2, 16, 64)
    model = mlflow.pyfunc.load_model("models:/twinear/1")
    u, v = scorer.encode(x[:, 0]), scorer.encode(x[:, 1])
    np.testing.assert_allclose(model.predict(x.tolist()), np.diag(scorer.score(u, v)), atol=1e-6)
    assert len(model.metadata.signature.inputs.inputs) == 2
    assert not list((tmp_path / "mlartifacts").rglob("*.pkl"))


def test_a_later_stage_finds_the_run_of_its_scorer(mlflow: Any, tmp_path: Path) -> None:
    path = tmp_path / "scorer.safetensors"
    scorer = small_scorer()
    scorer.write(path)
    with open_run({"seed": 2}):
        pass
    with open_run({"seed": 1}) as run:
        run.log_scorer(path, sha256(path), scorer.inputs)
    with open_run({"seed": 1}, scorer=sha256(path)) as run:
        run.log_metrics({"ndcg@10": 0.5})
    latest = {each.data.params["seed"]: each.data.metrics for each in runs(mlflow)}
    assert latest == {"1": {"ndcg_at_10": 0.5}, "2": {}}


def test_other_params_of_the_same_scorer_are_another_run(mlflow: Any) -> None:
    for n_relevant in (5, 10, 10):
        with open_run({"ranking": {"n_relevant": n_relevant}}, scorer="ab" * 32) as run:
            run.log_metrics({"map": n_relevant / 10})
    found = {each.data.params["ranking.n_relevant"]: each.data.metrics for each in runs(mlflow)}
    assert found == {"5": {"map": 0.5}, "10": {"map": 1.0}}


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "garbage://x"])
def test_a_server_that_cannot_be_reached_is_one_line(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri(uri)
    unreachable = pytest.raises(TwinearError, match=r"cannot be reached.*TWINEAR_TRACKING=off")
    with unreachable as error, open_run({}):
        pass
    assert "\n" not in str(error.value)


def test_a_database_of_another_mlflow_is_one_line_with_the_upgrade(
    mlflow: Any, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'bda7b8c39065'")
        connection.commit()
    old = pytest.raises(TwinearError, match=r"mlflow\.db: .*schema.*'mlflow db upgrade sqlite:")
    with old as error, open_run({}):
        pass
    assert "\n" not in str(error.value)
    later = pytest.raises(TwinearError, match="mlflow db upgrade")
    with later:
        resolve("models:/twinear/1")


def test_a_file_that_is_not_a_database_is_one_line(mlflow: Any, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database")
    with pytest.raises(TwinearError, match=r"mlflow\.db: is not an SQLite.*move it away"):
        get_champion()
    assert (tmp_path / "mlflow.db").read_text() == "not a database"


def test_a_scorer_without_a_run_gets_one(mlflow: Any) -> None:
    for _ in range(2):
        with open_run({}, scorer="cd" * 32) as run:
            run.log_metrics({"mrr": 0.1})
    assert len(runs(mlflow)) == 1


def test_a_run_inside_mlflow_run_is_its_child(mlflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run({}):
        pass
    (parent,) = runs(mlflow)
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    with open_run({"a": 1}):
        pass
    child = next(each for each in runs(mlflow) if each.data.params)
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id


def rename_table(database: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_metrics_wait_while_the_database_refuses_them(
    mlflow: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_run({}) as run:
        rename_table(tmp_path / "mlflow.db", "metrics", "away")
        run.log_metrics({"train_loss": 1.0}, step=1)
        assert "tracking: 1 numbers wait" in capsys.readouterr().err
        rename_table(tmp_path / "mlflow.db", "away", "metrics")
        run.log_metrics({"train_loss": 0.5}, step=2)
    (found,) = runs(mlflow)
    curve = mlflow.MlflowClient().get_metric_history(found.info.run_id, "train_loss")
    assert [each.step for each in curve] == [1, 2]


def test_numbers_that_never_arrive_are_reported(
    mlflow: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_run({}) as run:
        rename_table(tmp_path / "mlflow.db", "metrics", "away")
        run.log_metrics({"train_loss": 1.0, "validation_loss": 2.0}, step=1)
    assert "tracking: 2 numbers never arrived" in capsys.readouterr().err


def test_tracking_that_is_off_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_run({}) as run:
        assert not isinstance(run, MlflowRun)
        run.log_metrics({})
        run.log_data("a", tmp_path, "")
        run.log_files(tmp_path)
        run.log_scorer(tmp_path, "", small_scorer().inputs)
    assert list(tmp_path.iterdir()) == []


def test_names_and_nested_params_are_flattened() -> None:
    assert metric_name("ndcg@10") == "ndcg_at_10"
    assert flatten({"a": {"b": {"c": 1}, "d": [2]}, "e": 3}) == {"a.b.c": 1, "a.d": [2], "e": 3}


def test_each_trial_is_a_child_run_with_curve_and_state(mlflow: Any, tmp_path: Path) -> None:
    made = project(tmp_path / "a", space={"learning_rate": [1e-3, 1e30]})
    asked = request(made)
    for trials in (2, 3):  # the second goes on with the first, in the same run
        tune(asked, read_tuning(asked.params, trials=trials), partial(tqdm, disable=True))
    found = mlflow.search_runs(experiment_names=["twinear"], output_format="list")
    (parent,) = [each for each in found if each.data.tags["kind"] == "tuning"]
    children = sorted(
        (each for each in found if each.data.tags["kind"] == "trial"),
        key=lambda each: int(each.data.tags["trial"]),
    )
    with (asked.reports / "trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [each.data.tags["state"] for each in children] == [each["state"] for each in rows]
    assert len(children) == 3
    client = mlflow.MlflowClient()
    for row, child in zip(rows, children, strict=True):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        tried = json.loads(row["training.learning_rate"])
        assert float(child.data.params["training.learning_rate"]) == tried
        curve = client.get_metric_history(child.info.run_id, "validation_ndcg")
        assert len(curve) == int(row["epochs"])
        if row["state"] == "failed":
            assert "the loss is nan" in child.data.tags["reason"]
            assert child.info.status == "FAILED"
        else:
            assert child.data.metrics["ndcg_at_10"] == pytest.approx(float(row["ndcg@10"]))
    best = max(float(each["ndcg@10"]) for each in rows if each["state"] == "complete")
    assert parent.data.metrics["ndcg_at_10"] == pytest.approx(best)
    logged = {each.path for each in client.list_artifacts(parent.info.run_id, "tuning")}
    assert {"tuning/history.png", "tuning/study.html", "tuning/summary.md"} <= logged
