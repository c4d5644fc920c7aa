"""One MLflow server for all tests of this folder, and an empty database for each."""

from collections.abc import Iterator

import pytest

from tests.support.tracking import Server, mlflow

__all__ = ["mlflow"]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow-server"))
    yield server
    server.kill()


@pytest.fixture
def server(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, running, with runs of this test's process logged to it."""
    shared_server.start()
    monkeypatch.setenv("TWINEAR_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared_server.address)
    return shared_server
