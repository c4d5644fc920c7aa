"""What a run says of its origin; the params that differ from the committed ones come first."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PARAMS, ROOT, Project
from twinear.base.params import read_stages
from twinear.tracking.connection import EXPERIMENT
from twinear.tracking.provenance import changed_params, description, flatten, provenance
from twinear.tracking.runs import open_run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only commit holds the project's params; the working folder."""
    project = Project(folder=tmp_path / "repository")
    project.folder.mkdir()
    (project.folder / "params.yaml").write_bytes(PARAMS.read_bytes())
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    project.must("git", "init", "-q")
    project.must("git", "add", "params.yaml")
    project.must("git", *identity, "commit", "-qm", "params")
    monkeypatch.chdir(project.folder)
    return project.folder


def test_params_that_differ_from_the_committed_ones_come_first(
    mlflow: Any, repository: Path
) -> None:
    params = read_stages()
    params["training"]["epochs"] = 3
    with open_run(params):
        pass
    (run,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert run.data.tags["changed"] == "training.epochs=3"
    committed = read_stages(PARAMS)["training"]["epochs"]
    lines = run.data.tags["mlflow.note.content"].splitlines()
    assert f"- `training.epochs`: **3**, committed {committed}" in lines[:3]
    assert len(run.data.tags["commit"]) == 40


def test_committed_params_are_said_to_be_so(repository: Path) -> None:
    tags = description("pipeline", flatten(read_stages()))
    assert tags["changed"] == "nothing"
    assert tags["mlflow.note.content"].startswith("All params are as committed.")


def test_a_long_list_of_differences_is_cut_in_the_column_only(repository: Path) -> None:
    params = {f"training.key_{number}": number for number in range(200)}
    tags = description("pipeline", params)
    assert len(tags["changed"]) == 500
    assert "`training.key_199`" in tags["mlflow.note.content"]


def test_without_a_commit_nothing_is_said_to_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert changed_params({"training.epochs": 3}) is None
    assert description("pipeline", {"training.epochs": 3})["changed"] == "unknown"


def test_a_file_of_elsewhere_has_no_commit_and_no_data_of_here(repository: Path) -> None:
    assert set(provenance("imported").values()) == {"imported", "unknown"}
    assert description("imported", {"training.epochs": 3})["changed"] == "unknown"
    assert provenance("pipeline")["commit"] != "unknown"


def test_the_experiment_is_described_unless_somebody_has_described_it(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run({}):
        pass
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert "ranks the runs" in experiment.tags["mlflow.note.content"]
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "Ours.")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")  # as in another process
    with open_run({}):
        pass
    assert client.get_experiment_by_name(EXPERIMENT).tags["mlflow.note.content"] == "Ours."


def test_mlflow_asks_the_project_for_its_experiment(
    mlflow: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    group = "mlflow.default_experiment_provider"
    ((name, value),) = declared["entry-points"][group].items()
    provider = EntryPoint(name=name, value=value, group=group).load()()
    assert not provider.in_context()  # a folder that is no MLflow project
    (repository / "MLproject").write_bytes((ROOT / "MLproject").read_bytes())
    assert provider.in_context()
    identity = provider.get_experiment_id()
    assert mlflow.get_experiment(identity).name == EXPERIMENT
    monkeypatch.setenv("TWINEAR_TRACKING", "off")
    assert not provider.in_context()
