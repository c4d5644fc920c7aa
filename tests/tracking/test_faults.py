"""A database that is locked, damaged, read-only or full: one line, and no training is lost."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.support.disk import limited_disk, read_only
from tests.support.scorers import small_scorer
from tests.support.tracking import write_database
from twinear.base.errors import DataError, TwinearError
from twinear.base.files import sha256
from twinear.tracking.afterwards import log_waiting
from twinear.tracking.registry import find_version
from twinear.tracking.runs import ChildRun, MlflowRun, Run, open_run
from twinear.tracking.waiting import FOLDER, waiting_files

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@contextmanager
def locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def unwritable(database: Path) -> Iterator[None]:
    with read_only(database.parent):
        yield
    from mlflow.tracking._tracking_service.utils import _get_store

    _get_store().engine.dispose()  # what was opened so stays so: as in the next program


@contextmanager
def full(database: Path) -> Iterator[None]:
    """No page of the database can be written, but for the first ones."""
    with limited_disk(database.stat().st_size // 2):
        yield


FAULTS: dict[str, Callable[[Path], Any]] = {
    "locked": locked,
    "read-only": unwritable,
    "full": full,
}


@pytest.fixture
def place(mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a database in a folder of its own, which waits for no lock."""
    (tmp_path / "db").mkdir()
    write_database(tmp_path / "db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'db/mlflow.db'}")
    event.listen(Engine, "before_cursor_execute", wait_little, retval=True)
    yield tmp_path
    event.remove(Engine, "before_cursor_execute", wait_little)


def wait_little(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
    """MLflow waits 20 seconds for a lock."""
    return statement.replace("busy_timeout = 20000", "busy_timeout = 20"), parameters


def log_all(run: Run, folder: Path) -> None:
    """Call everything that stages call."""
    (folder / "note.txt").write_text("a file")
    scorer = folder / "scorer.safetensors"
    small_scorer().write(scorer)
    run.log_metrics({"train_loss": 1.0}, step=1)
    run.log_metrics({"train_loss": 0.5}, step=2)
    run.log_files(folder / "note.txt", "reports")
    run.log_text("text", "text.csv")
    run.log_scorer(scorer, sha256(scorer), small_scorer().inputs)
    run.log_child(
        ChildRun(name="fold", kind="fold", params={"a": 1}, scorers=[], curve=[], metrics={"m": 1})
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_cannot_begin_waits_and_is_logged_afterwards(
    place: Path, mlflow: Any, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with FAULTS[fault](place / "db/mlflow.db"), open_run({"seed": 1}) as run:
        log_all(run, place)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("tracking: this stage is not logged (sqlite:///")
    assert "twinear track" in line
    digest = sha256(place / "scorer.safetensors")
    with open_run({"seed": 1}, scorer=digest) as later:  # of a run that waits
        assert not isinstance(later, MlflowRun)
        later.log_metrics({"map": 0.5})
    assert log_waiting() == 2
    assert not waiting_files()
    parent, child = sorted(
        mlflow.search_runs(experiment_names=["twinear"], output_format="list"),
        key=lambda each: each.info.run_name,
        reverse=True,
    )
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"train_loss": 0.5, "map": 0.5}
    assert parent.data.params == {"seed": "1"}
    assert parent.data.tags["scorer"] == digest
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    client = mlflow.MlflowClient()
    curve = client.get_metric_history(parent.info.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2]
    logged = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert logged == {"reports", "text.csv"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_goes_on_while_its_database_fails(
    place: Path, mlflow: Any, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_run({"seed": 1}) as run, FAULTS[fault](place / "db/mlflow.db"):
        log_all(run, place)
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) >= 3
        assert all(line.startswith("tracking: ") for line in lines)
    capfd.readouterr()
    assert log_waiting() == 1
    (found, _) = mlflow.search_runs(experiment_names=["twinear"], output_format="list")
    (found,) = [each for each in (found, _) if "train_loss" in each.data.metrics]
    assert found.info.status == "FINISHED"
    assert found.data.tags["scorer"] == sha256(place / "scorer.safetensors")
    assert {file.path for file in mlflow.MlflowClient().list_artifacts(found.info.run_id)} >= {
        "reports", "text.csv"
    }  # fmt: skip


def test_a_registry_that_is_locked_is_one_line(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message = r"database is locked.*end the program that holds it"
    with locked(place / "db/mlflow.db"), pytest.raises(TwinearError, match=message) as error:
        find_version("ab" * 32)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_what_a_damaged_database_did_not_take_goes_to_another_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    database = place / "db/mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(whole[:4096] + bytes(range(256)) * ((len(whole) - 4096) // 256))
    with open_run({"seed": 1}) as run:
        run.log_metrics({"train_loss": 1.0})
    (line,) = capfd.readouterr().err.splitlines()
    message = r"malformed\); restore it from a copy, or move it away"
    assert re.search(message, line)
    with pytest.raises(TwinearError, match=message):
        log_waiting()
    with pytest.raises(TwinearError, match=message):
        find_version("ab" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", write_database(place))
    assert log_waiting() == 1


def test_what_waits_and_is_damaged_is_named(place: Path) -> None:
    path = place / FOLDER / "1.jsonl"
    path.parent.mkdir()
    path.write_text('{"run_id": 7')
    with pytest.raises(DataError, match=r"1\.jsonl: is damaged .*remove it"):
        log_waiting()
    assert path.exists()


def test_a_scorer_that_has_changed_is_not_logged_as_the_one_that_waited(
    place: Path, mlflow: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(place / "db/mlflow.db"), open_run({"seed": 1}) as run:
        log_all(run, place)
    waited = sha256(place / "scorer.safetensors")
    small_scorer(seed=1).write(place / "scorer.safetensors")
    (place / "note.txt").unlink()
    capfd.readouterr()
    assert log_waiting() == 1
    errors = capfd.readouterr().err
    assert "scorer.safetensors was not logged: it is another scorer now" in errors
    assert "note.txt was not logged" in errors
    found = mlflow.search_runs(filter_string=f"tags.scorer = '{waited}'", output_format="list")
    assert len(found) == 1
    assert not waiting_files()
