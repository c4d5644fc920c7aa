"""The storage of a study: a real PostgreSQL, Optuna's real proxy, and what does not answer."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from time import sleep

import pytest

from tests.support.postgres import postgres, wait_for_port
from tests.support.servers import free_port
from tests.support.tuning import BINDING, DEFAULTS, SPACE, project, request, tuning_params, work
from twinear.base.errors import DataError, TwinearError
from twinear.base.params import read_sections
from twinear.split import Split
from twinear.tuning.search import Plan, search
from twinear.tuning.space import NumberRange, Space
from twinear.tuning.splits import objective_splits
from twinear.tuning.storage import open_storage, shown
from twinear.tuning.study import Study
from twinear.tuning.worker_pool import WorkerPool


def begin(storage: str, folder: Path) -> Study:
    study = Study(storage, "test", SPACE, tuning_params(), folder)
    study.open(BINDING, DEFAULTS, restart=False)
    return study


def test_a_study_in_postgresql_is_as_one_in_a_journal_and_its_loss_is_one_line(
    tmp_path: Path,
) -> None:
    with begin(str(tmp_path / "journal.log"), tmp_path / "a") as study:
        expected = work(study, 5)
    with postgres(tmp_path / "postgres") as url:
        with begin(url, tmp_path / "b") as study:
            tried = work(study, 2)
            left = study.ask()
        with begin(url, tmp_path / "c") as study:  # as if on another machine
            tried += work(study, 3)
            assert tried == expected
            assert left.values == expected[2]
            assert len(study.ended) == 5
        lost = begin(url, tmp_path / "d")
        with pytest.raises(TwinearError, match=r"tuner:\*\*\*@.*password authentication failed"):
            open_storage(url.replace("se%3A", "wrong"))
    with pytest.raises(TwinearError, match=r"the storage cannot be reached \(.*; start it"), lost:
        lost.ask()


PROXY = """
import sys, warnings
warnings.simplefilter("ignore")
from optuna.storages import RDBStorage, run_grpc_proxy_server
run_grpc_proxy_server(RDBStorage(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
"""


@contextmanager
def proxy(folder: Path) -> Iterator[str]:
    """Optuna's gRPC proxy before a database; its address."""
    port = free_port()
    command = [sys.executable, "-c", PROXY, f"sqlite:///{folder / 'studies.db'}", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(server, port)
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def study_waits(address: str) -> bool:
    """Whether no trial of the study has been taken yet."""
    storage = open_storage(address)
    (study,) = storage.get_all_studies()
    trials = storage.get_all_trials(study._study_id)
    storage.close()
    return all(trial.state.name == "WAITING" for trial in trials)


@pytest.mark.slow(reason="two searches, with workers, through a server")
def test_two_searches_share_a_study_through_the_proxy(tmp_path: Path) -> None:
    planted = project(tmp_path / "planted")
    sources = request(planted).sources
    training = read_sections(planted.folder / "params.yaml")["training"]
    splits = objective_splits(Split.read(sources.split), "validation", 3)
    space: Space = {"training.learning_rate": NumberRange(low=1e-3, high=1e-1, log=True)}
    both_are_open = Barrier(2)

    def run(address: str, name: str) -> bool:
        """One of the searches, with locks, checkpoints and workers of its own."""
        folder = tmp_path / name
        plan = Plan(
            training=training,
            pooling="pairs",
            splits=splits,
            checkpoints=folder / "checkpoints",
        )
        with (
            Study(address, "shared", space, tuning_params(), folder) as study,
            WorkerPool(1, sources) as pool,
        ):
            study.open(BINDING, {"training.learning_rate": 3e-3}, restart=False)
            both_are_open.wait()
            while name == "there" and study_waits(address):  # one of them takes the first trial
                sleep(0.05)
            return search(study, pool, plan, 8, 10, lambda trial: None)

    with proxy(tmp_path) as address:
        with ThreadPoolExecutor(2) as threads:
            ended = [threads.submit(run, address, name) for name in ("here", "there")]
            assert [search.result() for search in ended] == [True, True]
        storage = open_storage(address)
        (study,) = storage.get_all_studies()
        trials = storage.get_all_trials(study._study_id)
        storage.close()
    assert 8 <= len(trials) <= 9  # two may draw the last one at once
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert len({trial.user_attrs["search"] for trial in trials}) == 2


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("postgresql+pg8000://me:secret@127.0.0.1:9/x", r"me:\*\*\*@127\.0\.0\.1:9/x: the storage"),
        ("grpc://127.0.0.1:9", r"grpc://127\.0\.0\.1:9: the storage cannot be reached \(Connect"),
        ("grpc://127.0.0.1", "names no host and port, expected a file"),
        ("postgresql+nothing://127.0.0.1:{open}/x", r"has no driver .*'twinear\[postgres\]'"),
        ("grpc://127.0.0.1:{open}", r"cannot be reached \(GRPC connection timeout\)"),
        ("grpc://127.0.0.1:x", "is not an address"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_at_once(
    monkeypatch: pytest.MonkeyPatch, storage: str, message: str
) -> None:
    monkeypatch.setattr("twinear.tuning.storage.CONNECT_SECONDS", 1)
    started = time.monotonic()
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TwinearError, match=message) as error:
            open_storage(storage.replace("{open}", str(silent.getsockname()[1])))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert time.monotonic() - started < 60  # the drivers would wait for minutes


def test_a_file_that_is_not_a_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_text("not a journal\nat all\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"journal\.log: is not a journal of studies"):
        open_storage(str(path))
    with pytest.raises(DataError, match="cannot be used"):
        open_storage(str(path / "below.log"))


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql://me:a@b:c@host/x") == "postgresql://me:***@host/x"
    assert shown("artifacts/tuning/journal.log") == "artifacts/tuning/journal.log"
