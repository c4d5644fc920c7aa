"""Runs are found in a real MLflow database; a logged scorer scores pairs of spectrograms."""

import csv
import json
import re
import sqlite3
import time
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
from twinear.tracking.datasets import TrackedData
from twinear.tracking.provenance import flatten
from twinear.tracking.registry import get_champion, register, resolve
from twinear.tracking.runs import MlflowRun, metric_name, open_run
from twinear.tuning.tune import read_tuning, tune

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
SIMILARITY = TrackedData(
    name="similarity", source=Path("artifacts/similarity"), digest="ab" * 32, schema=(80, 80)
)
TEST = TrackedData(
    name="test artists", source=Path("split.csv"), digest="cd" * 32, schema={"artist": "string"}
)


def runs(mlflow: Any) -> list[Any]:
    found: list[Any] = mlflow.search_runs(experiment_names=["twinear"], output_format="list")
    return found


def test_params_curves_inputs_and_files_are_found_again(mlflow: Any, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(b"png")
    with open_run({"training": {"model": {"conv_depth": 3}, "seed": 1}}) as run:
        for epoch in (1, 2):
            run.log_metrics({"train_loss": 1 / epoch}, step=epoch)
        run.log_data(SIMILARITY)
        run.log_files(tmp_path / "figures")
    (found,) = runs(mlflow)
    assert found.info.run_name == f"pipeline-{found.data.tags['params'][:8]}"
    assert found.data.params == {"training.model.conv_depth": "3", "training.seed": "1"}
    curve = mlflow.MlflowClient().get_metric_history(found.info.run_id, "train_loss")
    assert [(each.step, each.value) for each in curve] == [(1, 1.0), (2, 0.5)]
    (dataset,) = (each.dataset for each in found.inputs.dataset_inputs)
    assert (dataset.name, dataset.digest) == ("similarity", "ab" * 16)
    assert '\\"shape\\": [80, 80]' in dataset.schema
    assert json.loads(dataset.source) == {"uri": "artifacts/similarity"}
    assert (tmp_path / "mlflow.db").exists()
    (artefact,) = (tmp_path / "mlartifacts").rglob("a.png")
    assert artefact.read_bytes() == b"png"


def test_a_scorer_is_a_model_with_its_figures_and_a_version_once_it_is_a_candidate(
    mlflow: Any, tmp_path: Path
) -> None:
    path = tmp_path / "scorer.safetensors"
    scorer = small_scorer()
    scorer.write(path)
    digest = sha256(path)
    with open_run({}) as run:
        run.log_scorer(path, digest, scorer.inputs)
    with open_run({}, digest) as run:  # as the stage ranking does
        run.log_results({"ndcg@10": 0.9, "ndcg@10_low": 0.87, "ndcg@10_high": 0.95}, TEST)
    (found,) = runs(mlflow)
    (model,) = mlflow.search_logged_models(output_format="list")
    assert model.source_run_id == found.info.run_id
    (best,) = [each for each in model.metrics if each.key == "ndcg_at_10"]
    assert (best.value, best.dataset_name, best.dataset_digest) == (0.9, TEST.name, "cd" * 16)
    assert mlflow.search_registered_models() == []
    version = register(digest)
    registered = mlflow.MlflowClient().get_model_version("twinear", "1")
    assert (version.scorer, version.run_id) == (digest, found.info.run_id)
    assert {name: registered.tags[name] for name in ("ndcg_at_10_lower", "scorer", "data")} == {
        "ndcg_at_10_lower": "0.87",
        "scorer": digest,
        "data": found.data.tags["data"],
    }
    assert "NDCG@10 of the test artists .900 [.870, .950]" in registered.description
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
    mlflow: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri(uri)
    with open_run({}):
        pass
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search("not logged .*cannot be reached.*TWINEAR_TRACKING=off.*twinear track", line)
    with pytest.raises(TwinearError, match="cannot be reached"):
        get_champion()


def test_a_database_of_another_mlflow_is_one_line_with_the_upgrade(
    mlflow: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'bda7b8c39065'")
        connection.commit()
    with open_run({}):
        pass
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(r"mlflow\.db: .*schema.*'mlflow db upgrade sqlite:", line)
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


def test_system_metrics_are_logged_by_option(mlflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    end = time.monotonic() + 600
    with open_run({}):
        while "system/cpu_utilization_percentage" not in runs(mlflow)[0].data.metrics:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_tracking_that_is_off_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_run({}) as run:
        assert not isinstance(run, MlflowRun)
        run.log_metrics({})
        run.log_data(SIMILARITY)
        run.log_results({}, TEST)
        run.log_text("", "a.csv")
        run.tag_scorers([])
        run.log_files(tmp_path)
        run.log_scorer(tmp_path, "", small_scorer().inputs)
    assert list(tmp_path.iterdir()) == []


def test_an_interval_sorts_as_value_lower_upper() -> None:
    names = ["ndcg@10", "ndcg@10_low", "ndcg@10_high", "ndcg@200"]
    assert sorted(map(metric_name, names)) == list(map(metric_name, names))


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
            value = child.data.metrics["best_validation_ndcg"]
            assert value == pytest.approx(float(row["ndcg@10"]))
            assert len(child.data.tags["scorer"]) == 64
        assert "ndcg_at_10" not in child.data.metrics  # that of test artists alone is called so
    best = max(float(each["ndcg@10"]) for each in rows if each["state"] == "complete")
    assert parent.data.metrics["best_validation_ndcg"] == pytest.approx(best)
    assert "ndcg_at_10" not in parent.data.metrics
    assert {"kind", "commit", "data", "scorer", "changed"} <= set(parent.data.tags)
    logged = {each.path for each in client.list_artifacts(parent.info.run_id, "tuning")}
    assert {"tuning/history.png", "tuning/study.html", "tuning/summary.md"} <= logged
