"""A tracking server that dies while a run is open: work goes on, and nothing is lost unsaid."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import answer, free_port
from twinear.tracking import runs
from twinear.tracking.runs import NoRun, open_run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


class Server:
    """A real MLflow server on loopback that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["mlflow", "server", "--workers", "1", "--port", str(self._port)],
            cwd=self._folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
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


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    import mlflow

    mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").search_experiments()  # its tables
    server = Server(tmp_path)
    monkeypatch.setenv("TWINEAR_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    server.start()
    yield server
    server.kill()


def curve(server: Server) -> tuple[str, list[int]]:
    import mlflow

    client = mlflow.MlflowClient(server.address)
    (run,) = client.search_runs([client.get_experiment_by_name("twinear").experiment_id])
    history = client.get_metric_history(run.info.run_id, "train_loss")
    return run.info.status, [each.step for each in history]


def test_a_server_that_dies_and_returns_gets_every_number_and_a_later_gap_is_said(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runs, "PAUSE_SECONDS", 0.0)
    (tmp_path / "note.txt").write_text("a file")
    with open_run({"seed": 1}) as run:
        run.log_metrics({"train_loss": 1.0}, step=1)
        server.kill()
        started = time.monotonic()
        run.log_metrics({"train_loss": 0.5}, step=2)
        assert time.monotonic() - started < 20
        assert "tracking: 1 numbers wait" in capsys.readouterr().err
        server.start()
        run.log_metrics({"train_loss": 0.25}, step=3)
    assert curve(server) == ("FINISHED", [1, 2, 3])
    with open_run({"seed": 1}, scorer="ab" * 32) as run:
        server.kill()
        run.log_metrics({"map": 0.5})
        run.log_files(tmp_path / "note.txt")
    told = capsys.readouterr().err
    assert "note.txt was not logged" in told
    assert "1 numbers never arrived" in told
    assert "the end of the run was not logged" in told
    later: Any
    with open_run({"seed": 1}, scorer="ab" * 32) as later:
        assert isinstance(later, NoRun)
    assert "this stage is not logged" in capsys.readouterr().err
