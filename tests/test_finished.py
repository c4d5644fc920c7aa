"""The whole pipeline on the bundled sample: what a newcomer gets from one command."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Edit, Project, clone, run_pipeline
from tests.support.stages import run_stage
from twinear.metrics.ranking_metrics import METRICS
from twinear.ranking.ranking import CORRECTED_NDCG

SYSTEMS = ["catalogue", "siamese", "chance", "popularity", "l2", "mfcc", "mfcc_mp"]


def ranking(project: Project) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((project.folder / "reports/ranking.json").read_text())
    return numbers


def test_every_system_has_every_metric_with_its_interval(finished: Project) -> None:
    numbers = ranking(finished)
    assert list(numbers) == SYSTEMS
    for metrics in numbers.values():
        assert list(metrics) == [*METRICS, CORRECTED_NDCG]
        for each in metrics.values():
            assert list(each) == ["value", "low", "high"]
            assert each["low"] <= each["value"] <= each["high"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which the pipeline has run with the project's own params."""
    project = clone(tmp_path_factory.mktemp("whole"))
    run_pipeline(project)
    return project


@pytest.fixture
def project(request: pytest.FixtureRequest) -> Project:
    found: Project = request.getfixturevalue(request.param)
    return found


SLOW = pytest.mark.slow(reason="runs the pipeline with the project's own params")


@pytest.mark.parametrize("project", ["finished", pytest.param("whole", marks=SLOW)], indirect=True)
def test_the_planted_truth_is_found_far_above_chance_and_every_baseline(project: Project) -> None:
    numbers = {system: metrics["ndcg@10"] for system, metrics in ranking(project).items()}
    found = numbers["catalogue"]["value"]
    assert numbers["catalogue"]["low"] > numbers["chance"]["high"]
    for baseline in SYSTEMS[2:]:
        assert found > numbers[baseline]["value"] + 0.1
    differences = json.loads((project.folder / "reports/differences.json").read_text())
    assert all(differences[each]["ndcg@10"]["low"] > 0 for each in SYSTEMS[2:])


def test_the_report_has_figures_and_says_that_the_artists_are_imagined(finished: Project) -> None:
    reports = finished.folder / "reports"
    text = (reports / "report.md").read_text(encoding="utf-8")
    page = (reports / "report.html").read_text(encoding="utf-8")
    assert "imagined artists" in text
    assert "imagined artists" in page
    assert "ranks better than chance" in text
    assert len(list((reports / "figures").glob("*.png"))) >= 5


def test_what_was_dropped_is_counted(finished: Project) -> None:
    listens = json.loads((finished.folder / "reports/listens.json").read_text())
    dropped = sum(listens["dropped"].values())
    assert listens["rows"] == listens["kept"] + dropped + listens["duplicates"]
    assert dropped > 0
    clips = json.loads((finished.folder / "reports/clips.json").read_text())
    assert clips["used"] == clips["listed"] == 160


def test_nothing_that_did_not_change_runs_again(spoiled: Project) -> None:
    assert "up to date" in spoiled.must("dvc", "repro")


def test_outputs_hold_no_path_of_this_machine(finished: Project) -> None:
    place = str(finished.folder).encode()
    for folder in ("artifacts", "reports"):
        for path in (finished.folder / folder).rglob("*"):
            assert path.is_dir() or place not in path.read_bytes(), path


def test_the_run_in_mlflow_has_params_curve_ranking_inputs_files_and_model(
    finished: Project,
) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{finished.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("twinear")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["training.model.conv_depth"] == "3"
    assert run.data.params["split.seeds"] == "[1, 2]"
    curve = client.get_metric_history(run.info.run_id, "validation_ndcg")
    history = pd.read_csv(finished.folder / "reports/training.csv")
    np.testing.assert_allclose([each.value for each in curve], history["validation_ndcg"])
    found = ranking(finished)["catalogue"]["ndcg@10"]
    assert run.data.metrics["ndcg_at_10"] == pytest.approx(found["value"])
    assert run.data.metrics["ndcg_at_10_lower"] == pytest.approx(found["low"])
    assert len(run.data.metrics) <= 34  # a promotion adds six
    assert run.data.tags["changed"] == "nothing"
    datasets = {each.dataset.name: each.dataset for each in run.inputs.dataset_inputs}
    assert set(datasets) == {"spectrograms", "similarity", "test artists"}
    assert all(each.schema and each.digest and each.source for each in datasets.values())
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert len(run.data.tags["scorer"]) == 64
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"reports", "split.csv", "baselines.csv"} <= files
    files = {each.path for each in client.list_artifacts(run.info.run_id, "reports")}
    names = ("report.md", "report.html", "figures", "ranking.json", "training.csv")
    assert {f"reports/{name}" for name in names} <= files
    assert "reports/champion.json" not in files
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert model.source_run_id == run.info.run_id
    of_test = {each.key for each in model.metrics if each.dataset_name == "test artists"}
    chosen = {each.key for each in model.metrics} - of_test
    assert {"ndcg_at_10", "ndcg_at_10_lower", "ndcg_at_10_upper"} <= of_test
    assert all(name.startswith("validation_") or name == "embeddings_share" for name in chosen)
    assert client.search_model_versions("name = 'twinear'") == []  # it was no candidate yet


@pytest.mark.slow(reason="trains, ranks and reports again, in DVC's queue")
def test_queued_experiments_are_shown_applied_and_in_mlflow_too(spoiled: Project) -> None:
    import mlflow

    quick = ("-S", "ranking.n_chance=50", "-S", "ranking.n_bootstrap=100")
    words = ("--queue", "-n", "short", "-S", "training.epochs=3", *quick)
    spoiled.must("dvc", "exp", "run", *words)
    spoiled.must("dvc", "queue", "start", tracking="on")
    wait_for_experiment(spoiled, "short")
    shown = spoiled.must("dvc", "exp", "show", "--csv", "--only-changed")
    assert "short" in shown
    spoiled.must("dvc", "exp", "apply", "short")
    history = pd.read_csv(spoiled.folder / "reports/training.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    client = mlflow.MlflowClient(f"sqlite:///{spoiled.folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("twinear").experiment_id])
    found = {run.info.run_name: run.data for run in runs}
    assert found["short"].params["training.epochs"] == "3"
    assert found["short"].metrics["ndcg_at_10"] == ranking(spoiled)["catalogue"]["ndcg@10"]["value"]
    assert {run.data.tags["kind"] for run in runs} == {"pipeline"}


def wait_for_experiment(project: Project, name: str) -> None:
    """Wait until a queued experiment has its commit and DVC has finished with it."""
    end = time.monotonic() + 600
    while name not in project.must("git", "for-each-ref", "refs/exps"):
        assert time.monotonic() < end, project.run("dvc", "queue", "logs", name).stdout
        time.sleep(0.5)
    while "Success" not in project.must("dvc", "queue", "status"):
        assert time.monotonic() < end
        time.sleep(1)


@pytest.mark.slow(reason="ranks again; several programs of DVC")
def test_metrics_and_plots_of_an_experiment_are_compared(spoiled: Project) -> None:
    """Fewer random rankings and resamples: another row of chance, other intervals, no training.

    Of the stages only `ranking` runs; that the report follows is another test's.
    """
    before = ranking(spoiled)["chance"]["ndcg@10"]["value"]
    quick = ("-S", "ranking.n_chance=50", "-S", "ranking.n_bootstrap=100")
    spoiled.must("dvc", "exp", "run", *quick, "ranking")
    assert ranking(spoiled)["chance"]["ndcg@10"]["value"] != before
    assert "ndcg_low" in spoiled.must("dvc", "metrics", "diff", "--md")
    spoiled.must("dvc", "plots", "diff", "-o", "compared")
    assert (spoiled.folder / "compared" / "index.html").exists()


@pytest.mark.slow(reason="MLflow starts DVC, which starts the stages")
def test_mlflow_runs_the_project(spoiled: Project, edit_params: Edit) -> None:
    """With other params of the report, whose stage logs them in a run of their own."""
    edit_params("n_suggestions: 5 ", "n_suggestions: 4 ")
    spoiled.must("mlflow", "run", ".", "--env-manager", "local", tracking="on")
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{spoiled.folder / 'mlflow.db'}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    (child,) = [run for run in runs if run.data.params.get("report.n_suggestions") == "4"]
    (parent,) = [run for run in runs if run.info.run_id == child.data.tags["mlflow.parentRunId"]]
    experiment = client.get_experiment_by_name("twinear").experiment_id
    assert {child.info.experiment_id, parent.info.experiment_id} == {experiment}


def error_line(stderr: str) -> str:
    """The line that says what went wrong; there is one, and no traceback."""
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return line


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for each in ("artifacts", "reports") for path in (folder / each).rglob("*")]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


@pytest.mark.slow(reason="runs part of the pipeline; below, stages fail without DVC")
def test_a_stage_that_fails_under_dvc_is_one_line_and_the_last_good_outputs_stay(
    spoiled: Project, edit_params: Edit
) -> None:
    """Too few test artists: a stage that fails at once."""
    edit_params("[0.6, 0.2, 0.2]", "[0.98, 0.01, 0.01]")
    before = contents(spoiled.folder)
    done = spoiled.run("dvc", "repro")
    assert done.returncode != 0
    assert "split: " in error_line(done.stderr)
    assert contents(spoiled.folder) == before


BAD = {
    "an unknown key": ("training", "  patience:", "  patienc:", "training.patienc: unknown key"),
    "a loss that is no number": (
        *("training", "learning_rate: 3e-3", "learning_rate: 1.0e+30"),
        "epoch 1: the loss is ",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_parameter_is_one_line_and_the_last_good_outputs_stay(
    spoiled: Project,
    edit_params: Edit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    stage, old, new, message = BAD[case]
    edit_params(old, new)
    before = contents(spoiled.folder)
    monkeypatch.chdir(spoiled.folder)
    with pytest.raises(SystemExit, match="1"):
        run_stage(stage)
    assert message in error_line(capsys.readouterr().err)
    assert contents(spoiled.folder) == before


def test_an_empty_listens_file_is_one_line(
    spoiled: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (spoiled.folder / "data/listens").glob("*plays.tsv")
    path.write_bytes(b"")
    monkeypatch.chdir(spoiled.folder)
    with pytest.raises(SystemExit, match="1"):
        run_stage("listens")
    assert "plays.tsv is empty" in error_line(capsys.readouterr().err)


def test_a_clip_that_vanished_since_it_was_indexed_is_one_line(
    spoiled: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = pd.read_csv(spoiled.folder / "artifacts/clips.csv")
    clip = spoiled.folder / "data" / index["file"][0]
    clip.unlink()
    before = contents(spoiled.folder)
    monkeypatch.chdir(spoiled.folder)
    with pytest.raises(SystemExit, match="1"):
        run_stage("spectrograms")
    assert clip.name in error_line(capsys.readouterr().err)
    assert contents(spoiled.folder) == before
