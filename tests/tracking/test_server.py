"""A tracking server that dies while a run is open: work goes on, and every loss is reported."""

from pathlib import Path

import pytest

from tests.support.tracking import Server
from twinear.tracking import runs
from twinear.tracking.afterwards import log_waiting
from twinear.tracking.runs import MlflowRun, open_run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own
EXPERIMENT = "dying"


def curve(server: Server) -> tuple[str, list[int]]:
    import mlflow

    client = mlflow.MlflowClient(server.address)
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    history = client.get_metric_history(run.info.run_id, "train_loss")
    return run.info.status, [point.step for point in history]


@pytest.mark.slow(reason="starts an MLflow server twice")
def test_a_server_that_dies_and_returns_gets_every_number_and_a_later_gap_is_reported(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # MLflow's own patience
    monkeypatch.setattr(runs, "PAUSE_SECONDS", 0.0)
    (tmp_path / "note.txt").write_text("a file")
    with open_run({"seed": 1}) as run:
        run.log_metrics({"train_loss": 1.0}, step=1)
        server.kill()
        run.log_metrics({"train_loss": 0.5}, step=2)
        assert "tracking: 1 numbers wait" in capsys.readouterr().err
        server.start()
        run.log_metrics({"train_loss": 0.25}, step=3)
    assert curve(server) == ("FINISHED", [1, 2, 3])
    with open_run({"seed": 1}, scorer="ab" * 32) as run:
        server.kill()
        run.log_metrics({"map": 0.5})
        run.log_files(tmp_path / "note.txt")
    errors = capsys.readouterr().err
    assert "note.txt was not logged" in errors
    assert "1 numbers never arrived" in errors
    assert "the end of the run was not logged" in errors
    with open_run({"seed": 1}, scorer="ab" * 32) as run:
        assert not isinstance(run, MlflowRun)
        run.log_metrics({"mrr": 0.25})
    assert "this stage is not logged" in capsys.readouterr().err
    server.start()
    assert log_waiting() == 2
    import mlflow

    client = mlflow.MlflowClient(server.address)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    (run, _) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"map": 0.5, "mrr": 0.25}
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["note.txt"]
    assert log_waiting() == 0
