"""MLflow for tests: a database that has its tables already, and a server that can be killed."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.conftest import ROOT
from tests.support.servers import answer, free_port
from twinear.base.files import replacing
from twinear.tracking.runs import MODEL, SCORER_TAG


@cache
def _empty_database() -> bytes:
    """MLflow takes seconds to make its tables: one process does it, and all later runs read it."""
    kept = ROOT / f".pytest_cache/mlflow-{version('mlflow')}.db"
    kept.parent.mkdir(exist_ok=True)
    with FileLock(kept.with_suffix(".lock")), tempfile.TemporaryDirectory() as folder:
        if not kept.exists():
            import mlflow

            path = Path(folder) / "mlflow.db"
            mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
            copy_database(path, path.with_name("copy.db"))
            with replacing(kept) as temporary:
                shutil.copy(path.with_name("copy.db"), temporary)
    return kept.read_bytes()


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be open: the last writes can still be in SQLite's log beside it."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def write_database(folder: Path) -> str:
    """Write an empty `mlflow.db`; its URI."""
    path = folder / "mlflow.db"
    path.write_bytes(_empty_database())
    return f"sqlite:///{path}"


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, and an empty database in the test's folder, to which runs are logged."""
    import mlflow

    write_database(tmp_path)
    monkeypatch.setenv("TWINEAR_TRACKING", "on")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    yield mlflow
    mlflow.set_tracking_uri(None)


def register(client: Any, scorer: Path, digest: str) -> int:
    """Register the file of a scorer, as it is, with a run of its own; its version."""
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    folder = scorer.parent / f"registered-{digest[:8]}"
    (folder / "artifacts").mkdir(parents=True)
    shutil.copy(scorer, folder / "artifacts")
    experiment = client.get_experiment_by_name("twinear")
    if experiment is None:
        place = (scorer.parent / "mlartifacts").as_uri()
        number = client.create_experiment("twinear", artifact_location=place)
    else:
        number = experiment.experiment_id
    run = client.create_run(number).info.run_id
    tags = {SCORER_TAG: digest}
    return int(client.create_model_version(MODEL, folder.as_uri(), run, tags=tags).version)


class Server:
    """A real MLflow server on loopback that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        write_database(folder)
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is None:
            programs = str(Path(sys.executable).parent)
            self._process = subprocess.Popen(
                ["mlflow", "server", "--workers", "1", "--port", str(self._port)],
                cwd=self._folder,
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
                    "PATH": programs + os.pathsep + os.environ["PATH"],
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # as `make ui` does
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        answer(self._process, f"{self.address}/health")

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
