"""Retraining: better data win, shuffled are refused, broken are blocked; once with a real DVC."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import PARAMS, ROOT, Project
from tests.support.dvc import run_dvc
from tests.support.retraining import (
    FakeDvc,
    plant_pipeline,
    read_json,
    request,
    shuffle_similarity,
    train,
)
from tests.support.tracking import write_database
from twinear.base.files import sha256
from twinear.cli.main import main
from twinear.retraining.held_out import PipelineFolders
from twinear.retraining.retraining import LAST_DATA_STAGE, retrain
from twinear.retraining.summary import summarise
from twinear.tracking.promotions import read_decisions
from twinear.tracking.registry import find_version, get_champion

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@pytest.fixture
def pipeline(trained: PipelineFolders, mlflow: Any, tmp_path: Path) -> PipelineFolders:
    """A copy of the pipeline that has run, to be changed; nothing was promoted yet."""
    folder = tmp_path / "project"
    shutil.copytree(trained.data.parent, folder)
    return PipelineFolders(data=folder / "data", artifacts=folder / "artifacts")


def reports(folders: PipelineFolders) -> Path:
    return folders.data.parent / "reports"


def test_a_better_scorer_of_new_data_is_promoted_accepted_and_pushed(
    pipeline: PipelineFolders,
) -> None:
    train(pipeline, epochs=1, learning_rate=1e-6)
    assert retrain(request(pipeline), FakeDvc()).outcome == "promoted"  # the first
    dvc = FakeDvc(stages=lambda: train(pipeline))
    retraining = retrain(request(pipeline, push=True), dvc)
    assert (retraining.outcome, retraining.trained, retraining.pushed) == (
        *("promoted", True, "pushed"),
    )
    assert dvc.commands == [
        "dvc repro --pull clips",
        "dvc repro --pull",
        "dvc metrics diff --md",
        "dvc remote list",
        "dvc push --run-cache",
    ]
    champion = get_champion()
    assert champion is not None
    assert champion.scorer == sha256(pipeline.scorer)
    decision = read_json(reports(pipeline) / "champion.json")
    assert decision["numbers"]["challenger"] > decision["numbers"]["champion"]
    assert read_json(reports(pipeline) / "accepted.json")["artists"] == 80
    summary = summarise(retraining, pictures=True)
    assert summary.startswith("# Retraining: promoted")
    assert "A new scorer is version 2, the champion is version 2." in summary
    assert "| artists | 80 | 80 |" in summary
    assert "Drift: popularity 0.000 powers of ten, durations 0.00 s." in summary
    assert "- planted truth: correlation" in summary
    assert "| reports/metrics.json | ndcg | 0.5 | 0.6 | 0.1 |" in summary
    assert "![ranking](figures/ranking.png)" in summary
    assert "![" not in summarise(retraining, pictures=False)


def test_where_nothing_changed_the_champion_is_kept(pipeline: PipelineFolders) -> None:
    first = retrain(request(pipeline), FakeDvc())
    assert (first.outcome, first.trained) == ("promoted", False)
    written = {path: path.stat().st_mtime_ns for path in reports(pipeline).iterdir()}
    again = retrain(request(pipeline), FakeDvc())
    assert (again.outcome, again.succeeded, len(read_decisions())) == ("kept", True, 1)
    assert "The same scorer as before" in summarise(again, pictures=False)
    assert written == {path: path.stat().st_mtime_ns for path in reports(pipeline).iterdir()}


def test_shuffled_listens_are_refused_and_the_champion_stays(pipeline: PipelineFolders) -> None:
    retrain(request(pipeline), FakeDvc())
    before, accepted = get_champion(), (reports(pipeline) / "accepted.json").read_bytes()

    def stages() -> None:
        shuffle_similarity(pipeline)
        train(pipeline)

    dvc = FakeDvc(stages=stages)
    retraining = retrain(request(pipeline), dvc)
    assert retraining.outcome == "refused"
    assert not retraining.succeeded
    assert "not better than chance" in retraining.reason
    assert get_champion() == before
    assert dvc.commands[-1] == "dvc checkout --force dvc.yaml"
    summary = summarise(retraining, pictures=True)
    assert retraining.reason in summary
    assert "not pushed" in summary
    assert "The workspace is as it was before." in summary
    assert "![" not in summary
    assert read_json(reports(pipeline) / "champion.json")["outcome"] == "refused"
    assert (reports(pipeline) / "accepted.json").read_bytes() == accepted


def test_data_that_lost_artists_are_blocked_before_training_unless_accepted(
    pipeline: PipelineFolders,
) -> None:
    retrain(request(pipeline), FakeDvc())
    path = reports(pipeline) / "listens.json"
    path.write_text(path.read_text().replace('"artists": 80', '"artists": 40'))
    dvc = FakeDvc()
    blocked = retrain(request(pipeline), dvc)
    assert blocked.outcome == "blocked"
    assert "40 artists, accepted were 80: more than 20% are gone" in blocked.reason
    assert dvc.commands == ["dvc repro --pull clips", "dvc checkout --force dvc.yaml"]
    assert "| artists | 40 | 80 |" in summarise(blocked, pictures=False)
    accepted = retrain(request(pipeline, accept_drift=True), FakeDvc())
    assert accepted.succeeded
    assert accepted.pushed == "not pushed: --push was not given"
    assert read_json(reports(pipeline) / "accepted.json")["artists"] == 40


def test_a_stage_that_fails_ends_it_with_its_reason(pipeline: PipelineFolders) -> None:
    for command, outcome in (("clips", "blocked"), ("", "failed")):
        dvc = FakeDvc(fails={f"dvc repro --pull {command}".strip(): "plays.tsv: malformed"})
        retraining = retrain(request(pipeline), dvc)
        assert (retraining.outcome, retraining.reason) == (outcome, "plays.tsv: malformed")
        assert "dvc push --run-cache" not in dvc.commands
        assert summarise(retraining, pictures=True).startswith(f"# Retraining: {outcome}")
    assert read_decisions() == []


def test_a_remote_that_refuses_or_is_missing_is_not_a_failure(pipeline: PipelineFolders) -> None:
    asked = request(pipeline, push=True)
    refused = retrain(asked, FakeDvc(fails={"dvc push --run-cache": "no room"}))
    assert (refused.succeeded, refused.pushed) == (True, "not pushed: error: no room")
    missing = retrain(asked, FakeDvc(fails={"dvc remote list": ""}))
    assert missing.succeeded


STAGE = """
import shutil, sys
from pathlib import Path

if sys.argv[1] == "clips":
    if "artist" not in Path("data/clips.csv").read_text():
        sys.exit("error: data/clips.csv: has no column artist")
    shutil.copy("planted/clips.csv", "artifacts/clips.csv")
else:
    shutil.copytree("planted/training", "artifacts/training", dirs_exist_ok=True)
    Path("reports/metrics.json").write_text('{"ndcg": 0.75}')
"""
STAGES = {
    "clips": {"cmd": "python stage.py clips", "deps": ["data"], "outs": ["artifacts/clips.csv"]},
    "training": {
        "cmd": "python stage.py training",
        "deps": ["artifacts/clips.csv", "planted"],
        "outs": ["artifacts/training"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    },
}


@pytest.fixture
def project(trained: PipelineFolders, tmp_path: Path) -> Project:
    """A repository of two quick stages, with a DVC remote and the pipeline's results."""
    project = Project(folder=tmp_path / "repository")
    folders = plant_pipeline(project.folder)
    planted = project.folder / "planted"
    planted.mkdir()
    (folders.artifacts / "clips.csv").rename(planted / "clips.csv")
    shutil.copytree(trained.scorer.parent, planted / "training")
    shutil.copy(PARAMS, project.folder)
    write_database(project.folder)
    (project.folder / "stage.py").write_text(STAGE)
    (project.folder / "reports/metrics.json").write_text('{"ndcg": 0.5}')
    with (project.folder / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": STAGES}, file)
    project.must("git", "init", "-q")
    run_dvc(project.folder, "init", "-q")
    run_dvc(project.folder, "remote", "add", "-q", "--default", "here", "../remote")
    run_dvc(project.folder, "add", "-q", "data")
    project.must("git", "add", "dvc.yaml", "reports", "params.yaml", ".dvc", "data.dvc")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    project.must("git", *identity, "commit", "-qm", "begin")
    return project


def kept(folder: Path) -> dict[str, bytes]:
    """What DVC pins, the artefacts and the metrics."""
    files = [*folder.glob("artifacts/**/*"), folder / "reports/metrics.json"]
    files += [folder / "data.dvc", folder / "dvc.lock"]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.slow(reason="starts DVC many times")
def test_the_command_promotes_pushes_when_asked_and_leaves_nothing_that_is_blocked_or_refused(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The command runs in this process, DVC and its stages in theirs."""
    page = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    monkeypatch.setenv("TWINEAR_TRACKING", "on")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(project.folder)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twinear", "retrain", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capfd.readouterr()

    status, shown, stderr = run()
    assert status == 0, stderr
    assert "Running stage 'training'" in stderr
    assert shown.startswith("# Retraining: promoted")
    assert "not pushed: --push was not given" in shown
    assert "| reports/metrics.json | ndcg | 0.5 | 0.75 | 0.25 |" in " ".join(shown.split())
    assert page.read_text(encoding="utf-8") == shown
    written = Path("reports/retraining.md").read_text(encoding="utf-8")
    assert written.startswith(shown.rstrip())
    assert not list((tmp_path / "remote").rglob("*"))
    assert "\n\npushed\n\n" in run("--push")[1]
    assert list((tmp_path / "remote").rglob("*"))

    before = kept(project.folder)
    Path("data/clips.csv").write_text("file\n")
    status, shown, stderr = run()
    assert status == 1
    assert "Running stage 'training'" not in stderr
    assert shown.startswith("# Retraining: blocked")
    assert "data/clips.csv: has no column artist" in shown
    assert "error: blocked: data/clips.csv: has no column artist" in stderr
    assert shown in page.read_text(encoding="utf-8")
    assert kept(project.folder) == before
    assert Path("data/clips.csv").read_text() == "file\n"  # someone's work

    Path("data/clips.csv").write_text("file,artist,mbid,title\n")
    planted = PipelineFolders(data=Path("data"), artifacts=Path("artifacts"))
    weak = train(planted, Path("planted/training/scorer.safetensors"), epochs=1, learning_rate=1e-6)
    status, shown, stderr = run()
    assert status == 1
    assert "Running stage 'training'" in stderr
    assert shown.startswith("# Retraining: refused")
    assert "The workspace is as it was before." in shown
    assert find_version(sha256(weak)) is not None  # it can still be looked at
    assert kept(project.folder) == before
    assert read_json(Path("reports/champion.json"))["outcome"] == "refused"


def test_the_commands_of_champions_print_for_people_and_machines(
    pipeline: PipelineFolders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["twinear", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    monkeypatch.chdir(pipeline.data.parent)
    shutil.copy(PARAMS, "params.yaml")
    assert run("champion") == (0, "no champion yet\n")
    status, output = run("promote")
    assert (status, output.startswith("version 1 promoted: no champion")) == (0, True)
    assert read_json(Path("reports/champion.json"))["version"] == 1
    weak = train(pipeline, Path("weak.safetensors"), epochs=1, learning_rate=1e-6)
    status, output = run("promote", str(weak))
    assert (status, output.startswith("version 2 refused: ")) == (1, True)
    status, output = run("champion")
    assert output.startswith(f"champion: models:/twinear/1, scorer {sha256(pipeline.scorer)[:10]}")
    assert [line.split()[:4] for line in output.splitlines()[1:]] == [
        ["2", "version", "2", "refused"],
        ["1", "version", "1", "promoted"],
    ]


def test_the_stage_after_which_data_are_judged_is_in_the_pipeline() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert list(stages).index(LAST_DATA_STAGE) < list(stages).index("training")


def test_the_workflow_does_nothing_but_make_retrain() -> None:
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/retrain.yml")
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make retrain"]
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is False
    recipe = (ROOT / "Makefile").read_text().split("\nretrain:")[1].split("\n\n")[0]
    assert "twinear retrain" in recipe
