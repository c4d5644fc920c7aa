"""`make retrain` in a scratch clone: better data win, shuffled are refused, broken are blocked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.conftest import PARAMS, ROOT, Project
from twinear.base.files import sha256
from twinear.base.params import read_params
from twinear.evaluation.recipes import read_recipe
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import SplitParams, split_artists
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

ORIGINAL = ROOT / "recipes/original.yaml"
SCORER = Path("artifacts/training/scorer.safetensors")
EDITS = {
    "  epochs: 30 ": "  epochs: 10 ",
    "n_chance: 1000": "n_chance: 200",
    "method: fractions ": "method: folds ",  # new listeners send no artist to another side
}


Rows = list[list[str]]  # listener, mbid, name, plays; some are damaged, as in life


def edit_listens(project: Project, edit: Callable[[Rows], Rows], table: str = "plays") -> None:
    """Change the rows of the listens, or of another table beside them."""
    (path,) = (project.folder / "data/listens").glob(f"*{table}.tsv")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    path.write_text("\n".join("\t".join(row) for row in edit(rows)), encoding="utf-8")


def more_listeners(rows: Rows) -> Rows:
    """Listeners who played nine tenths of what others played."""
    rng = np.random.default_rng(1)
    return rows + [[row[0][::-1], *row[1:]] for row in rows[:5000] if rng.random() < 0.9]


def shuffled(rows: Rows) -> Rows:
    """Who played is given to somebody else, row by row."""
    order = np.random.default_rng(2).permutation(len(rows))
    return [[rows[other][0], *row[1:]] for row, other in zip(rows, order, strict=True)]


def train_a_little(project: Project, into: Path) -> None:
    """Write a scorer that ranks better than chance, and not by much."""
    artifacts = project.folder / "artifacts"
    clips = Spectrograms.read(artifacts / "spectrograms")
    similarity = Similarity.read(artifacts / "similarity")
    chosen = read_params("split", SplitParams, project.folder / "params.yaml")
    split = split_artists(similarity.artists, chosen)
    little = read_recipe(PARAMS, ORIGINAL, ["training.epochs=2"])
    params = little.read("training", TrainingParams)
    train_scorer(clips, similarity, split, params, into.with_suffix(".pt")).scorer.write(into)


@pytest.fixture(scope="module")
def better(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose champion knew little, then retrained on more listeners."""
    folder = tmp_path_factory.mktemp("better")
    project = finished.copy(folder / "project")
    path = project.folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in EDITS.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    train_a_little(project, folder / "little.safetensors")
    project.must("twinear", "promote", str(folder / "little.safetensors"), tracking="on")
    edit_listens(project, more_listeners)
    edit_listens(project, lambda rows: rows + [[row[0][::-1], *row[1:]] for row in rows], "profile")
    project.must("twinear", "retrain", tracking="on")
    return project


def champion(project: Project) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(project.must("twinear", "champion", "--json", tracking="on"))
    return told


def test_better_data_are_promoted_accepted_and_pushed(better: Project) -> None:
    told = champion(better)
    assert told["champion"]["scorer"] == sha256(better.folder / SCORER)
    assert [each["outcome"] for each in told["decisions"]] == ["promoted", "promoted"]
    decision = json.loads((better.folder / "reports/champion.json").read_text())
    assert decision["numbers"]["challenger"] > decision["numbers"]["champion"]
    assert {each["name"] for each in decision["checks"]} == {
        *("symmetry", "chance on shuffled labels", "planted truth"),
    }
    accepted = json.loads((better.folder / "reports/accepted.json").read_text())
    assert accepted["listeners"] > 2400
    summary = (better.folder / "reports/retraining.md").read_text(encoding="utf-8")
    assert summary.startswith("# Retraining: promoted")
    assert "catalogue.ndcg@10.value" in summary
    assert "![ranking](figures/ranking.png)" in summary
    assert "pushed" in summary


def test_where_nothing_changed_nothing_is_retrained(better: Project, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    before = (project.folder / SCORER).stat().st_mtime_ns
    done = project.run("twinear", "retrain", tracking="on")
    assert done.returncode == 0
    assert "Running stage" not in done.stderr
    assert done.stdout.startswith("# Retraining: kept")
    assert (project.folder / SCORER).stat().st_mtime_ns == before
    assert len(champion(project)["decisions"]) == 2


def test_shuffled_listens_are_refused_and_the_champion_stays(
    better: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    project = better.copy(tmp_path / "project")
    accepted = (project.folder / "reports/accepted.json").read_bytes()
    before = champion(project)["champion"]
    edit_listens(project, shuffled)
    done = project.run("twinear", "retrain", tracking="on")
    assert done.returncode == 1
    told = champion(project)
    assert told["champion"] == before
    refusal = told["decisions"][0]
    assert refusal["outcome"] == "refused"
    assert "not better than chance" in refusal["reason"]
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("# Retraining: refused")
    assert refusal["reason"] in summary
    assert "not pushed" in summary
    assert (project.folder / "reports/accepted.json").read_bytes() == accepted


def cut_columns(project: Project) -> str:
    edit_listens(project, lambda rows: [row[:3] for row in rows])
    return "malformed); every line must have the fields of its format"


def drop_artists(project: Project) -> str:
    edit_listens(project, lambda rows: [row for row in rows if row[1:2] < ["8"]])
    return "artists, accepted were 81: more than 20% are gone"


@pytest.mark.parametrize("spoil", [cut_columns, drop_artists])
def test_broken_data_are_blocked_before_training(
    better: Project, tmp_path: Path, spoil: Callable[[Project], str]
) -> None:
    project = better.copy(tmp_path / "project")
    reason = spoil(project)
    done = project.run("twinear", "retrain", tracking="on")
    assert done.returncode == 1
    assert "Running stage 'spectrograms'" not in done.stderr
    assert "Running stage 'training'" not in done.stderr
    assert "# Retraining: blocked" in done.stdout
    assert reason in done.stdout
    assert sha256(project.folder / SCORER) == sha256(better.folder / SCORER)


def test_the_workflow_does_nothing_but_make_retrain() -> None:
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/retrain.yml")
    (job,) = workflow["jobs"].values()
    assert [each["run"] for each in job["steps"] if "run" in each] == ["make retrain"]
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is False
    recipe = (ROOT / "Makefile").read_text().split("\nretrain:")[1].split("\n\n")[0]
    assert "twinear retrain" in recipe
