"""A run whose process was killed is ended by the next start, and continued where work goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gethostname
from typing import Any

import psutil
import pytest

from twinear.tracking.processes import PROCESS_TAG, is_dead, process_tag
from twinear.tracking.runs import open_run, open_study

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


def statuses(mlflow: Any) -> dict[str, str]:
    runs = mlflow.search_runs(experiment_names=["twinear"], output_format="list")
    return {run.info.run_id: run.info.status for run in runs}


@contextmanager
def another_process() -> Iterator[str]:
    """A process that waits; its tag. It is killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = psutil.Process(process.pid).create_time()
        yield f"{gethostname()} {process.pid} {started:.0f}"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def killed(mlflow: Any) -> str:
    """The id of a run that logged an epoch, and whose process was then killed."""
    with open_run({"seed": 1}) as run:
        run.log_metrics({"train_loss": 1.0}, step=1)
    (run_id,) = statuses(mlflow)
    with another_process() as tag:
        mlflow.MlflowClient().set_tag(run_id, PROCESS_TAG, tag)
    mlflow.MlflowClient().update_run(run_id, status="RUNNING")
    return run_id


def test_the_next_start_ends_it_as_killed(mlflow: Any, killed: str) -> None:
    with open_run({"seed": 2}):
        pass
    assert statuses(mlflow).pop(killed) == "KILLED"


def test_work_that_goes_on_goes_on_in_its_run(mlflow: Any, killed: str) -> None:
    with open_run({"seed": 1}, interrupted=True) as run:
        run.log_metrics({"train_loss": 1.0}, step=1)  # a training tells all its epochs again
        run.log_metrics({"train_loss": 0.5}, step=2)
    assert statuses(mlflow) == {killed: "FINISHED"}
    curve = mlflow.MlflowClient().get_metric_history(killed, "train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]


@pytest.mark.parametrize(("seed", "interrupted"), [(2, True), (1, False)])
def test_other_params_or_work_from_the_beginning_are_another_run(
    mlflow: Any, killed: str, seed: int, interrupted: bool
) -> None:
    with open_run({"seed": seed}, interrupted=interrupted):
        pass
    assert len(statuses(mlflow)) == 2


def test_a_run_that_has_its_scorer_is_not_continued(mlflow: Any) -> None:
    def interrupt() -> None:
        with open_run({"seed": 1}) as run:
            run.tag_scorers(["ab" * 32])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    with open_run({"seed": 1}, interrupted=True):
        pass
    assert sorted(statuses(mlflow).values()) == ["FAILED", "FINISHED"]


def test_a_run_of_a_living_process_and_of_another_machine_is_left_alone(mlflow: Any) -> None:
    with open_run({"seed": 1}):
        pass
    (run_id,) = statuses(mlflow)
    client = mlflow.MlflowClient()
    client.update_run(run_id, status="RUNNING")
    with another_process() as living:
        for tag in (living, "another.machine 1 0"):
            client.set_tag(run_id, PROCESS_TAG, tag)
            with open_run({"seed": 1}, interrupted=True):
                pass
            assert statuses(mlflow)[run_id] == "RUNNING"
    assert len(statuses(mlflow)) == 3  # each start began a run of its own


def test_a_search_that_was_killed_goes_on_in_its_run(mlflow: Any) -> None:
    with open_study("a", {"trials": 3}, "identity"):
        (run_id,) = statuses(mlflow)
        with another_process() as tag:
            mlflow.set_tag(PROCESS_TAG, tag)
    mlflow.MlflowClient().update_run(run_id, status="RUNNING")
    with open_study("a", {"trials": 3}, "identity"):
        assert statuses(mlflow) == {run_id: "RUNNING"}
        assert mlflow.get_run(run_id).data.tags[PROCESS_TAG] == process_tag()


def test_another_process_of_the_same_number_is_not_it() -> None:
    host, number, started = process_tag().rsplit(" ", 2)
    assert not is_dead(f"{host} {number} {started}")
    assert is_dead(f"{host} {number} {int(started) - 60}")
