"""Cross-validation on planted artefacts: no artist is scored by a scorer trained on it."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from tests.support.planting import plant_artefacts, plant_params
from twinear.base.errors import DataError
from twinear.cli.main import main
from twinear.evaluation.comparison import CORRECTED
from twinear.evaluation.cross_validation import (
    CrossValidationOptions,
    cross_validate,
    plan_folds,
    plan_tasks,
)
from twinear.evaluation.crossval.fold_scores import TRAINED, FoldScores, Task, score_fold
from twinear.evaluation.crossval.folds import On
from twinear.evaluation.crossval.running import read_finished, run_tasks
from twinear.evaluation.crossval.systems import choose_systems, combine_folds
from twinear.evaluation.dataset import ArtefactFolders, EvaluationData
from twinear.evaluation.recipes import Recipe, read_recipe
from twinear.listens.listens import Listens
from twinear.training.keeping import NAMES


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return read_recipe(plant_params(tmp_path), settings=["split.n_folds=3"])


@pytest.fixture
def folders(tmp_path: Path) -> ArtefactFolders:
    return plant_artefacts(tmp_path / "artifacts")


def tasks(
    folders: ArtefactFolders, recipe: Recipe, work: Path, on: On = "test", seed: int = 1
) -> list[Task]:
    options = CrossValidationOptions(on=on, seeds=(seed,), artifacts=work)
    folds = plan_folds(EvaluationData.read(folders), recipe, options)
    return plan_tasks(folds, folders, recipe, options)[seed]


def changed(
    folders: ArtefactFolders, into: Path, artists: tuple[str, ...], *, clips: bool
) -> ArtefactFolders:
    """Write the same artefacts with other listens, and perhaps clips, of some artists."""
    data = EvaluationData.read(folders)
    rows = np.flatnonzero(data.similarity.artists["artist"].isin(artists))
    matrix = data.similarity.matrix.copy()
    matrix[rows] = matrix[:, rows] = 0.5
    spectrograms = data.spectrograms
    values = np.array(spectrograms.values)
    if clips:
        values[spectrograms.clips["artist"].isin(artists).to_numpy()] = 0.25
    new = ArtefactFolders(similarity=into / "similarity", spectrograms=into / "spectrograms")
    replace(data.similarity, matrix=matrix).write(new.similarity)
    replace(spectrograms, values=values).write(new.spectrograms)
    return new


def test_what_is_known_of_the_queries_listens_changes_no_score(
    folders: ArtefactFolders, recipe: Recipe, tmp_path: Path
) -> None:
    task = tasks(folders, recipe, tmp_path / "one")[0]
    other = changed(folders, tmp_path / "other", task.fold.queries, clips=False)
    again = replace(task, folders=other, path=tmp_path / "two" / "fold.npz")
    first, second = score_fold(task), score_fold(again)
    for name in TRAINED:
        np.testing.assert_array_equal(first.scores[name], second.scores[name])


def test_on_validation_the_test_artists_change_nothing_at_all(
    folders: ArtefactFolders, recipe: Recipe, tmp_path: Path
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
        data = EvaluationData.read(each)
        systems = choose_systems(["l2", "mfcc_mp"], data, [])
        folds = [one.fold for one in tasks(each, recipe, tmp_path, "validation")]
        comparison = combine_folds(data, folds, {}, systems, {})
        mask = comparison.candidates["all"][rows]
        tables.append([comparison.scores[name][0][rows][mask] for name in systems])
        tables[-1].append(comparison.truths[CORRECTED][rows][mask])
    for one, two in zip(*tables, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_held_out_source_is_scored_by_what_was_learned_elsewhere(
    recipe: Recipe, tmp_path: Path
) -> None:
    folders = plant_artefacts(tmp_path / "artifacts", n_artists=36)
    data = EvaluationData.read(folders)
    clips = data.spectrograms.clips
    source = clips["source"].to_numpy(object)
    source[[0, 3]] = source[[2, 1]]  # the first two artists have one clip of each source
    replace(data.spectrograms, clips=clips.assign(source=source)).write(folders.spectrograms)
    options = CrossValidationOptions(fold_by="source", seeds=(1,), artifacts=tmp_path / "work")
    folds = plan_folds(EvaluationData.read(folders), recipe, options)
    assert [fold.source for fold in folds] == [("radio",), ("shop",)]
    task = plan_tasks(folds, folders, recipe, options)[1][0]
    assert {"artist 0", "artist 1"} <= set(task.fold.queries)  # as many clips of each: the first
    first = score_fold(task)
    queries = clips["artist"].isin(task.fold.queries).to_numpy()
    dropped = queries != (source == "radio")
    assert dropped.sum() > len(folds)
    values = np.array(data.spectrograms.values)
    scores = []
    for at, changed_clips in enumerate((dropped, ~dropped)):
        other = values.copy()
        other[changed_clips] = 0.25
        folder = tmp_path / f"spectrograms{at}"
        clips_of = clips.assign(source=source)
        replace(data.spectrograms, clips=clips_of, values=other).write(folder)
        again = replace(
            task, folders=replace(folders, spectrograms=folder), path=tmp_path / f"{at}.npz"
        )
        scores.append(score_fold(again).scores[TRAINED[0]])
    np.testing.assert_array_equal(first.scores[TRAINED[0]], scores[0])
    assert not np.allclose(first.scores[TRAINED[0]], scores[1])
    systems = choose_systems(["l2"], data, [])
    comparison = combine_folds(EvaluationData.read(folders), folds, {1: []}, systems, {})
    assert np.isfinite(comparison.scores["l2"][0]).all()
    with pytest.raises(DataError, match=r"--fold-by source.*validation"):
        plan_folds(data, recipe, replace(options, on="validation"))


def test_co_listening_is_denoised_by_the_listens_of_all_but_the_queries(
    folders: ArtefactFolders, recipe: Recipe, tmp_path: Path
) -> None:
    task = tasks(folders, recipe, tmp_path / "one")[0]
    with_clips = list(EvaluationData.read(folders).similarity.artists["artist"])
    outside = [f"outside {at}" for at in range(80)]  # more than there are factors
    ids = [*with_clips, *outside]
    plays = np.random.default_rng(1).integers(0, 2, (120, len(ids)))
    scores = []
    for at, others in enumerate(([], task.fold.queries, outside)):
        heard = np.where(np.isin(ids, others), 1 - plays, plays)
        artists = pd.DataFrame({"artist": ids, "name": "x", "mbid": ""})
        artists = artists.assign(listeners=heard.sum(axis=0), plays=heard.sum(axis=0))
        Listens(artists=artists, plays=csr_array(heard)).write(tmp_path / f"listens{at}")
        for share in (0.0, 0.5):
            changes = {"collaborative_denoised": share, "collaborative_weight": 2.0}
            one = replace(
                task,
                folders=replace(folders, listens=tmp_path / f"listens{at}"),
                training=task.training.model_copy(update={"epochs": 0}),
                catalogue=task.catalogue.model_copy(update=changes),
                path=tmp_path / f"{at}-{share}.npz",
            )
            scores.append(score_fold(one).scores[TRAINED[0]])
    plain, denoised, _, queries_changed, _, outside_changed = scores
    assert not np.allclose(plain, denoised)
    np.testing.assert_array_equal(queries_changed, denoised)
    assert not np.allclose(outside_changed, denoised)


def test_a_finished_fold_is_not_trained_again_and_another_is(
    folders: ArtefactFolders, recipe: Recipe, tmp_path: Path
) -> None:
    planned = tasks(folders, recipe, tmp_path / "work")
    done = dict(run_tasks(planned[:1], 1, lambda task, epoch: None))
    assert list(read_finished(planned)) == planned[:1]
    read = FoldScores.read(planned[0].path, planned[0].fingerprint)
    assert read is not None
    assert read.history == done[planned[0]].history
    np.testing.assert_array_equal(read.scores["catalogue"], done[planned[0]].scores["catalogue"])
    assert not list((tmp_path / "work").rglob("*.pt"))
    longer = {**recipe.sections, "training": recipe.sections["training"] | {"epochs": 3}}
    assert not read_finished(tasks(folders, replace(recipe, sections=longer), tmp_path / "work"))
    planned[0].path.write_bytes(b"PK\x03\x04 cut short")
    assert not read_finished(planned)


@pytest.mark.slow(reason="processes that import torch")
def test_several_processes_give_the_same_scores(
    folders: ArtefactFolders, recipe: Recipe, tmp_path: Path
) -> None:
    here, there = (tasks(folders, recipe, tmp_path / name) for name in ("one", "many"))
    alone = dict(run_tasks(here[:2], 1, lambda task, epoch: None))
    beside = dict(run_tasks(there[:2], 2, lambda task, epoch: None))
    for one, two in zip(here[:2], there[:2], strict=True):
        for name in TRAINED:
            np.testing.assert_array_equal(alone[one].scores[name], beside[two].scores[name])


def test_systems_that_are_not_there_are_refused(folders: ArtefactFolders) -> None:
    data = EvaluationData.read(folders)
    assert choose_systems(["l2", "catalogue"], data, []) == ["catalogue", "l2"]
    assert "cosine" not in choose_systems([], data, ["mine"])
    with pytest.raises(DataError, match=r"systems: no system 'siamse'.*'siamese'"):
        choose_systems(["siamse"], data, [])
    with pytest.raises(DataError, match="matrices: the name 'l2' is taken"):
        choose_systems([], data, ["l2"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with planted artefacts and small params, where commands run."""
    plant_params(tmp_path)
    plant_artefacts(tmp_path / "artifacts")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_library_returns_the_comparison_and_prints_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrapped, epochs = [], []

    def progress(items: Iterable[Any], **options: Any) -> Iterable[Any]:
        wrapped.append(options["desc"])
        return items

    options = CrossValidationOptions(n_folds=3, systems=("siamese", "l2"), on="validation")
    result = cross_validate(options, progress, lambda task, epoch: epochs.append(epoch.epoch))
    assert list(result.protocols["fold"].hubness) == ["siamese", "chance", "l2"]
    assert result.queries["query"].nunique() == result.facts["artists"] == 23
    assert (wrapped, len(epochs)) == (["folds", "evaluating"], 3 * 2)
    assert json.loads((options.folder / "summary.json").read_text()) == result.as_json()
    assert capsys.readouterr() == ("", "")


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["twinear", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_the_command_evaluates_under_both_protocols_and_writes_the_result(
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
    assert [(each["seed"], each["fold"]) for each in summary["trainings"]] == [
        (seed, fold) for seed in (1, 2) for fold in range(3)
    ]
    kept = Counter(NAMES[each["kept"]] for each in summary["trainings"])
    name, n = kept.most_common(1)[0]
    assert summary["kept"].startswith(f"{name} in {n} of 6 trainings")
    for protocol in ("all", "fold"):
        numbers = summary["protocols"][protocol]
        assert len(numbers["seeds"]["catalogue"]["ndcg@10"]) == 2
        assert set(numbers["metrics"]) == set(numbers["differences"]) == {"similarity", "corrected"}
        names = list(numbers["metrics"]["similarity"])
        assert names == ["catalogue", "siamese", "chance", "popularity", "l2", "mfcc", "mfcc_mp"]
        differences = numbers["differences"]["similarity"]
        assert sum(map(len, differences.values())) == 7 * 6 // 2
        assert list(numbers["hubness"]) == names
    queries = pd.read_parquet(work / "queries.parquet")
    assert queries["query"].nunique() == 23
    page = (work / "summary.md").read_text()
    assert shown.rstrip() in page
    assert f"- kept: {summary['kept']}\n" in page
    command(monkeypatch, *words)  # the trainings are finished
    assert json.loads((work / "summary.json").read_text()) == summary


def test_with_json_it_prints_nothing_else(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("mine.npz", artists=[f"artist {at}" for at in range(23)], scores=np.eye(23))
    words = ["--folds", "3", "--systems", "l2,mine", "--matrix", "mine=mine.npz", "--json"]
    command(monkeypatch, "crossval", *words)
    summary = json.loads(capsys.readouterr().out)
    assert list(summary["protocols"]["all"]["hubness"]) == ["l2", "chance", "mine"]
    assert summary["seeds"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "8"], "error: fold 0 of 8: has"),
        (["--seeds", "1,x"], "error: --seeds: found '1,x'"),
        (["--seeds", "1,1"], "error: --seeds: found '1,1'"),
        (["--against", "l3"], "error: against: no system 'l3'"),
        (["--matrix", "mine.npz"], "error: --matrix: found 'mine.npz'"),
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


@pytest.mark.slow(reason="a process that starts others and is interrupted")
def test_interrupted_it_ends_at_once_and_keeps_what_was_trained(project: Path) -> None:
    (project / "program.py").write_text(PROGRAM)
    endless = ["--set", "training.epochs=90000", "--set", "training.patience=90000"]
    words = ["program.py", "crossval", "--folds", "3", "--jobs", "2", *endless]
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True)
    work = project / "artifacts/crossval/default"
    while not list(work.glob("*.pt")) and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert list(work.glob("*.pt"))
