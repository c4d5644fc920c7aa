"""A whole search: workers, a killed search, the comparison with the defaults, the report."""

import csv
import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from tqdm import tqdm

from tests.conftest import Project
from tests.support.tuning import WIDE, project, request
from twinear.base.errors import DataError, ParamsError, TrainingError
from twinear.base.params import read_sections
from twinear.cli.main import main
from twinear.metrics.bootstrap import Interval
from twinear.split import Split
from twinear.tuning.confirmation import SeedComparison
from twinear.tuning.evaluation import EpochReport, Job, TrialSplit
from twinear.tuning.space import changed
from twinear.tuning.splits import objective_splits
from twinear.tuning.summary import StudySummary, format_summary
from twinear.tuning.tune import read_tuning, tune
from twinear.tuning.worker_pool import TrialEnd, WorkerPool

SILENT = partial(tqdm, disable=True)


def run(project: Project, **changes: Any) -> StudySummary:
    options = request(project, **changes)
    return tune(options, read_tuning(options.params), SILENT)


def trials(project: Project) -> list[dict[str, str]]:
    with (project.folder / "reports/tuning/trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def job(project: Project, **training: Any) -> Job:
    """Two splits: the pipeline's, and the same with three training artists as queries."""
    params = read_sections(project.folder / "params.yaml")
    (split,) = objective_splits(Split.read(project.folder / "artifacts/split.csv"), "validation", 3)
    queries = TrialSplit(train=split.train, validation=split.validation, queries=split.train[:3])
    return Job(
        training=params["training"] | training,
        pooling="pairs",
        splits=(split, queries),
        checkpoint=project.folder / "checkpoints/a",
    )


def follow(pool: WorkerPool, *, go_on: bool = True) -> tuple[TrialEnd, list[EpochReport]]:
    """Let a trial go on, or not, until it ended."""
    epochs: list[EpochReport] = []
    while True:
        for key, message in pool.messages(60):
            if isinstance(message, TrialEnd):
                return message, epochs
            epochs.append(message)
            pool.answer(key, go_on=go_on)


def workers_of(process: psutil.Process) -> set[psutil.Process]:
    """The workers, which are children of a server that is its child."""
    return set(process.children(recursive=True)) - set(process.children())


@pytest.mark.slow(reason="processes that train and are killed")
def test_workers_report_epochs_results_failures_and_survive_a_killed_process(
    tmp_path: Path,
) -> None:
    planted = project(tmp_path)
    before = workers_of(psutil.Process())
    with WorkerPool(1, request(planted).sources) as pool:
        pool.start("a", job(planted, epochs=2))
        complete, epochs = follow(pool)
        assert complete.state == "complete"
        assert [(report.split, report.epoch.epoch) for report in epochs] == [
            *((0, 1), (0, 2), (1, 1), (1, 2)),
        ]
        best = [result.best for result in complete.results]
        assert epochs[-1].value == pytest.approx(sum(best) / 2)
        assert [len(result.queries) for result in complete.results] == [0, 3]
        pool.start("b", job(planted, learning_rate=1e30))
        failed, _ = follow(pool)
        assert failed.state == "failed"
        assert "the loss is nan" in failed.reason
        pool.start("c", job(planted))
        pruned, epochs = follow(pool, go_on=False)
        assert (pruned.state, len(epochs)) == ("pruned", 1)
        pool.start("d", job(planted, epochs=500, patience=500))
        (worker,) = workers_of(psutil.Process()) - before
        worker.kill()
        killed, _ = follow(pool)
        assert killed.state == "failed"
        assert "its process was killed" in killed.reason
        assert pool.running == []
        (planted.folder / "artifacts/similarity/similarity.npy").unlink()
        pool.start("e", job(planted))  # by a new process, which reads the data again
        with pytest.raises(DataError, match=r"similarity\.npy: is missing"):
            follow(pool)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, StudySummary]:
    """A search with a failure, compared with the defaults by two new seeds, applied."""
    planted = project(
        tmp_path_factory.mktemp("searched"),
        {"epochs": 2},
        space={"learning_rate": [1e-3, 3e-2, 1e30], "model.conv_depth": [1, 2, 3]},
        trials=8,
        workers=2,
        confirm_seeds=[101, 102],
        pruner="none",
    )
    return planted, run(planted, apply=True)


def test_the_best_is_reported_with_every_trial_and_its_reason(
    searched: tuple[Project, StudySummary],
) -> None:
    planted, summary = searched
    rows = trials(planted)
    assert len(rows) == 8
    assert {row["state"] for row in rows} == {"complete", "failed"}
    assert all("the loss is nan" in row["reason"] for row in rows if row["state"] == "failed")
    best = max(float(row["ndcg@10"]) for row in rows if row["state"] == "complete")
    assert summary.best.value == best
    written = json.loads((planted.folder / "reports/tuning/summary.json").read_text())
    assert written == json.loads(json.dumps(summary.as_json()))
    assert written["best"]["ndcg@10"] == best
    assert sum(written["importances"].values()) == pytest.approx(1)
    assert "the loss is nan" in format_summary(summary)


def test_the_best_is_compared_with_the_defaults_on_both_kinds_of_queries(
    searched: tuple[Project, StudySummary],
) -> None:
    _, summary = searched
    assert summary.confirmation is not None
    validation, held_out = summary.confirmation.comparisons
    assert (validation.queries, validation.n_queries) == ("validation", 12)
    assert held_out.queries == "held_out"
    for comparison in (validation, held_out):
        difference = comparison.difference
        means = comparison.best.value - comparison.defaults.value
        assert difference.value == pytest.approx(means)
        assert difference.low <= difference.value <= difference.high
        assert list(comparison.by_seed) == [101, 102]
    text = format_summary(summary)
    assert "validation artists of the split, which also chose the best trial" in text
    assert "training artists left out of this training, which chose nothing" in text


def test_apply_writes_the_best_values_and_nothing_else(
    searched: tuple[Project, StudySummary],
) -> None:
    planted, summary = searched
    training = read_sections(planted.folder / "params.yaml")["training"]
    assert changed(training, summary.best.values) == training
    assert summary.applied
    assert summary.diff.count("\n+") <= 1 + len(summary.best.values)


def test_pictures_and_a_page_without_network_are_written(
    searched: tuple[Project, StudySummary],
) -> None:
    reports = searched[0].folder / "reports/tuning"
    text = (reports / "summary.md").read_text(encoding="utf-8")
    for name in ("history.png", "importances.png", "parallel.png"):
        assert (reports / name).read_bytes().startswith(b"\x89PNG")
        assert f"]({name})" in text
    page = (reports / "study.html").read_text(encoding="utf-8")
    assert page.count("plotly-graph-div") == 3
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)


def test_no_checkpoint_is_left_behind(searched: tuple[Project, StudySummary]) -> None:
    assert list((searched[0].folder / "artifacts/tuning/checkpoints").rglob("*.*")) == []


def test_where_no_trial_can_be_trained_the_reason_is_given(tmp_path: Path) -> None:
    planted = project(tmp_path, {"learning_rate": 1e30}, space={"learning_rate": [1e30]}, trials=1)
    with pytest.raises(TrainingError, match=r"'test': no trial was completed .*the loss is nan"):
        run(planted)


def test_the_mean_over_folds_is_searched_and_the_time_limit_puts_trials_back(
    tmp_path: Path,
) -> None:
    planted = project(tmp_path, objective="folds", trials=2)
    options = request(planted)
    with pytest.raises(TrainingError, match=r"the time was over\); .*--minutes"):
        tune(options, read_tuning(options.params, minutes=0.005), SILENT)
    summary = run(planted)
    assert summary.complete
    assert [trial.number for trial in summary.trials] == [1, 2]  # the first was put back
    first = summary.trials[0]
    assert {record["split"] for record in first.curve} == {0, 1, 2}
    best = [
        max(record["validation_ndcg"] for record in first.curve if record["split"] == n)
        for n in range(3)
    ]
    assert first.value == pytest.approx(sum(best) / 3)


DYING = """
import os, sys
import psutil
from twinear.cli.commands import app
from twinear.tuning.study import Study

report = Study.report

def report_and_die(self, number, record, value):
    if [str(number), str(record["epoch"])] == sys.argv[1:3]:
        print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
        os.kill(os.getpid(), int(sys.argv[3]))
    return report(self, number, record, value)

Study.report = report_and_die
app(["tune"])
"""


def search_until(
    project: Project, trial: int, epoch: int, death: signal.Signals
) -> tuple[subprocess.CompletedProcess[str], list[int]]:
    """Run `twinear tune` in a process that sends itself a signal in an epoch of a trial.

    Returns how it ended, and its children: the worker, the server, and a resource tracker.
    """
    ended = subprocess.run(
        [sys.executable, "-c", DYING, str(trial), str(epoch), str(int(death))],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended, [int(pid) for pid in ended.stdout.split()]


@pytest.mark.slow(reason="searches twice, and a search is killed and interrupted")
def test_a_search_killed_or_interrupted_goes_on_to_the_same_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = project(tmp_path / "whole", **WIDE)
    expected = run(whole)
    cut = project(tmp_path / "cut", **WIDE)
    killed, children = search_until(cut, 1, 2, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(children) == 3
    living = [psutil.Process(pid) for pid in children if psutil.pid_exists(pid)]
    assert psutil.wait_procs(living, timeout=300)[1] == []  # also on a busy machine
    interrupted, _ = search_until(cut, 3, 1, signal.SIGINT)
    assert interrupted.returncode == 130, interrupted.stderr
    assert interrupted.stderr.splitlines()[-1] == "interrupted; the same command goes on"
    monkeypatch.chdir(cut.folder)
    monkeypatch.setattr(sys, "argv", ["twinear", "tune", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    assert not ended.value.code
    assert json.loads(output.out)["trials"] == expected.counts
    assert "trials: 100%" in output.err

    def tried(project: Project) -> list[dict[str, str]]:
        names = ("ndcg@10", *expected.space)
        return [{name: row[name] for name in names} for row in trials(project)]

    assert tried(cut) == tried(whole)


def test_a_bad_space_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    planted = project(tmp_path, space={"model.conv_dept": [1, 2]})
    with pytest.raises(ParamsError, match="did you mean 'conv_depth'"):
        run(planted)
    assert not (planted.folder / "artifacts/tuning").exists()


def test_a_seed_of_the_search_is_refused_for_the_comparison(tmp_path: Path) -> None:
    planted = project(tmp_path, confirm_seeds=[5, 1])
    with pytest.raises(ParamsError, match=r"confirm_seeds: holds 1, the seed of the search"):
        run(planted)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "better"), (-0.01, 0.2, "no clear difference"), (-0.2, -0.01, "worse")],
)
def test_a_difference_is_clear_only_where_its_interval_excludes_zero(
    low: float, high: float, verdict: str
) -> None:
    mean = Interval(value=0.5, low=0.4, high=0.6)
    comparison = SeedComparison(
        queries="validation",
        n_queries=9,
        best=mean,
        defaults=mean,
        difference=Interval(value=(low + high) / 2, low=low, high=high),
        by_seed={},
    )
    assert comparison.verdict == verdict
