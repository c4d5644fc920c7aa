"""Cross-validation on planted artefacts: nobody is judged by a scorer that has heard of them."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.planting import plant_artefacts, plant_params
from twinear.base.errors import DataError
from twinear.cli.main import main
from twinear.evaluation.comparison import CORRECTED
from twinear.evaluation.crossval.folds import On
from twinear.evaluation.crossval.plan import Splitting, plan_folds, plan_tasks
from twinear.evaluation.crossval.running import finished, run_tasks
from twinear.evaluation.crossval.scoring import TRAINED, FoldScores, Task, score_fold
from twinear.evaluation.crossval.systems import choose_systems, form_contest
from twinear.evaluation.dataset import Folders, Material
from twinear.evaluation.recipes import Recipe, read_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return read_recipe(plant_params(tmp_path), settings=["split.n_folds=3"])


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return plant_artefacts(tmp_path / "artifacts")


def tasks(
    folders: Folders, recipe: Recipe, work: Path, on: On = "test", seed: int = 1
) -> list[Task]:
    splitting = Splitting(by="", clips=Path("clips.csv"), on=on, n_folds=0)
    folds = plan_folds(Material.read(folders), recipe, splitting)
    return plan_tasks(folds, [seed], folders, recipe, work)[seed]


def changed(folders: Folders, into: Path, artists: tuple[str, ...], *, clips: bool) -> Folders:
    """The same artefacts, but for what is known of some artists."""
    material = Material.read(folders)
    rows = np.flatnonzero(material.similarity.artists["artist"].isin(artists))
    matrix = material.similarity.matrix.copy()
    matrix[rows] = matrix[:, rows] = 0.5
    heard = material.spectrograms
    values = np.array(heard.values)
    if clips:
        values[heard.clips["artist"].isin(artists).to_numpy()] = 0.25
    new = Folders(similarity=into / "similarity", spectrograms=into / "spectrograms")
    replace(material.similarity, matrix=matrix).write(new.similarity)
    replace(heard, values=values).write(new.spectrograms)
    return new


def test_what_is_known_of_the_queries_listens_changes_no_score(
    folders: Folders, recipe: Recipe, tmp_path: Path
) -> None:
    task = tasks(folders, recipe, tmp_path / "one")[0]
    other = changed(folders, tmp_path / "other", task.fold.queries, clips=False)
    again = replace(task, folders=other, path=tmp_path / "two" / "fold.npz")
    first, second = score_fold(task), score_fold(again)
    for name in TRAINED:
        np.testing.assert_array_equal(first.scores[name], second.scores[name])


def test_on_validation_the_test_artists_change_nothing_at_all(
    folders: Folders, recipe: Recipe, tmp_path: Path
) -> None:
    task = tasks(folders, recipe, tmp_path / "one", "validation")[0]
    other = changed(folders, tmp_path / "other", task.fold.left_out, clips=True)
    again = replace(task, folders=other, path=tmp_path / "two" / "fold.npz")
    first, second = score_fold(task), score_fold(again)
    for name in TRAINED:
        np.testing.assert_array_equal(first.scores[name], second.scores[name])
        out = [artist in task.fold.left_out for artist in first.artists]
        assert np.isnan(first.scores[name][:, out]).all()
    rows = [first.artists.index(each) for each in task.fold.queries]
    tables = []
    for each in (folders, other):
        material = Material.read(each)
        systems = choose_systems(["l2", "mfcc_mp"], material, [])
        folds = [one.fold for one in tasks(each, recipe, tmp_path, "validation")]
        contest = form_contest(material, folds, {}, systems, {})
        mask = contest.candidates["all"][rows]
        tables.append([contest.scores[name][0][rows][mask] for name in systems])
        tables[-1].append(contest.truths[CORRECTED][rows][mask])
    for one, two in zip(*tables, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_finished_fold_is_not_trained_again_and_another_is(
    folders: Folders, recipe: Recipe, tmp_path: Path
) -> None:
    planned = tasks(folders, recipe, tmp_path / "work")
    done = dict(run_tasks(planned[:1], 1, lambda task, epoch: None))
    assert list(finished(planned)) == planned[:1]
    read = FoldScores.read(planned[0].path, planned[0].fingerprint)
    assert read is not None
    assert read.history == done[planned[0]].history
    np.testing.assert_array_equal(read.scores["catalogue"], done[planned[0]].scores["catalogue"])
    assert not list((tmp_path / "work").glob("*.pt"))
    longer = {**recipe.sections, "training": recipe.sections["training"] | {"epochs": 3}}
    assert not finished(tasks(folders, replace(recipe, sections=longer), tmp_path / "work"))
    planned[0].path.write_bytes(b"PK\x03\x04 cut short")
    assert not finished(planned)


def test_several_processes_give_the_same_scores(
    folders: Folders, recipe: Recipe, tmp_path: Path
) -> None:
    here, there = (tasks(folders, recipe, tmp_path / name) for name in ("one", "many"))
    alone = dict(run_tasks(here[:2], 1, lambda task, epoch: None))
    beside = dict(run_tasks(there[:2], 2, lambda task, epoch: None))
    for one, two in zip(here[:2], there[:2], strict=True):
        for name in TRAINED:
            np.testing.assert_array_equal(alone[one].scores[name], beside[two].scores[name])


def test_systems_that_are_not_there_are_refused(folders: Folders) -> None:
    material = Material.read(folders)
    assert choose_systems(["l2", "catalogue"], material, []) == ["catalogue", "l2"]
    assert "cosine" not in choose_systems([], material, ["mine"])
    with pytest.raises(DataError, match=r"--systems: no system 'siamse', .*did you mean 'siamese'"):
        choose_systems(["siamse"], material, [])
    with pytest.raises(DataError, match="--matrix: the name 'l2' is taken"):
        choose_systems([], material, ["l2"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with planted artefacts and small params, where commands run."""
    plant_params(tmp_path)
    plant_artefacts(tmp_path / "artifacts")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["twinear", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_the_command_judges_under_both_protocols_and_writes_it_down(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["crossval", "--folds", "3", "--seeds", "1,2", "--against", "l2", "--name", "try"]
    command(monkeypatch, *words)
    shown = capsys.readouterr().out
    assert "candidates: all other artists" in shown
    assert "ahead of l2" in shown
    assert max(map(len, shown.splitlines())) <= 100
    work = project / "artifacts/crossval/try"
    assert len(list(work.glob("fold*-seed*.npz"))) == 6
    summary = json.loads((work / "summary.json").read_text())
    assert (summary["artists"], sum(summary["folds"]), summary["seeds"]) == (23, 23, [1, 2])
    for protocol in ("all", "fold"):
        verdict = summary["protocols"][protocol]
        assert len(verdict["seeds"]["catalogue"]["ndcg@10"]) == 2
        assert set(verdict["metrics"]) == set(verdict["differences"]) == {"similarity", "corrected"}
        names = list(verdict["metrics"]["similarity"])
        assert names == ["catalogue", "chance", "siamese", "popularity", "l2", "mfcc", "mfcc_mp"]
        apart = verdict["differences"]["similarity"]
        assert sum(map(len, apart.values())) == 7 * 6 // 2
        assert set(verdict["hubness"]) == set(names)
    queries = pd.read_parquet(work / "queries.parquet")
    assert queries["query"].nunique() == 23
    assert shown.rstrip() in (work / "summary.md").read_text()


def test_asked_for_json_it_says_nothing_else(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("mine.npz", artists=[f"artist {at}" for at in range(23)], scores=np.eye(23))
    words = ["--folds", "3", "--systems", "l2,mine", "--matrix", "mine=mine.npz", "--json"]
    command(monkeypatch, "crossval", *words)
    summary = json.loads(capsys.readouterr().out)
    assert list(summary["protocols"]["all"]["hubness"]) == ["l2", "mine", "chance"]
    assert summary["seeds"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "8"], "error: fold 0 of 8: has"),
        (
            ["--seeds", "1,x"],
            "error: --seeds: found '1,x', expected different whole",
        ),
        (["--seeds", "1,1"], "error: --seeds: found '1,1', expected different whole"),
        (["--against", "l3"], "error: --against: no system 'l3'"),
        (["--matrix", "mine.npz"], "error: --matrix: found 'mine.npz', expected NAME=FILE"),
        (["--set", "training.epoch=1"], "did you mean 'training.epochs'?"),
        (["--set", "spectrograms.n_mels=9"], "error: data/clips.csv: is missing"),
    ],
)
def test_a_mistake_is_one_line(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["twinear", "crossval", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert message in capsys.readouterr().err


PROGRAM = """
import signal, sys
from twinear.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests ignores
sys.argv[0] = "twinear"
if __name__ == "__main__":
    main()
"""


def test_interrupted_it_ends_at_once_and_keeps_what_was_trained(project: Path) -> None:
    (project / "program.py").write_text(PROGRAM)
    endless = ["--set", "training.epochs=90000", "--set", "training.patience=90000"]
    words = ["program.py", "crossval", "--folds", "3", "--jobs", "2", *endless]
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True)
    work = project / "artifacts/crossval/default"
    end = time.monotonic() + 60
    while not list(work.glob("*.pt")) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert list(work.glob("*.pt"))
