"""Where a study is kept: PostgreSQL and Optuna's proxy for real, and what does not answer."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.tuning import project
from tests.tuning.test_tuning import BINDING, DEFAULTS, SPACE, tuning_params, work
from twinear.base.errors import DataError, TwinearError
from twinear.tuning.storage import open_storage, shown
from twinear.tuning.study import Study


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def programs() -> Path:
    """The folder of PostgreSQL's programs; skips the test where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("PostgreSQL's initdb is not installed")
    return folders[-1]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A cluster of its own on loopback; its URL."""
    user = "postgres" if os.geteuid() == 0 else None  # initdb refuses root
    folder.mkdir()
    if user:
        shutil.chown(folder, user)
        for each in [folder, *folder.parents][:-2]:
            each.chmod(each.stat().st_mode | 0o011)
    password = folder / "password"
    password.write_text("se:cr@t", encoding="utf-8")
    if user:
        shutil.chown(password, user)
    data, port = folder / "data", free_port()
    cluster = [str(programs() / "initdb"), "-D", str(data), "-U", "tuner", "-A", "scram-sha-256"]
    subprocess.run(
        [*cluster, "--no-sync", "--pwfile", str(password)],
        check=True,
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    options = ["-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-c", "fsync=off"]
    command = [str(programs() / "postgres"), "-D", str(data), *options]
    server = subprocess.Popen(command, user=user, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield f"postgresql+pg8000://tuner:se%3Acr%40t@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # its fast way to stop, without waiting for clients
        server.wait()


def begin(storage: str, folder: Path) -> Study:
    study = Study(storage, "test", SPACE, tuning_params(), folder)
    study.open(BINDING, DEFAULTS, anew=False)
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
        wait_for(port)
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def test_two_searches_share_a_study_through_the_proxy(tmp_path: Path) -> None:
    made = [project(tmp_path / name) for name in ("here", "there")]
    command = "from twinear.cli.main import main; main()"
    with proxy(tmp_path) as address:
        options = ("tune", "--trials", "8", "--storage", address)
        running = [
            subprocess.Popen(
                [sys.executable, "-c", command, *options],
                cwd=each.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for each in made
        ]
        said = [each.communicate()[1] for each in running]
        assert [each.returncode for each in running] == [0, 0], said
        found = open_storage(address)
        (study,) = found.get_all_studies()
        trials = found.get_all_trials(study._study_id)
        found.close()
    assert 8 <= len(trials) <= 9  # two may draw the last one at once
    assert {each.state.name for each in trials} <= {"COMPLETE", "PRUNED"}
    assert len({each.user_attrs["search"] for each in trials}) == 2


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("postgresql+pg8000://me:secret@127.0.0.1:9/x", r"me:\*\*\*@127\.0\.0\.1:9/x: the storage"),
        ("grpc://127.0.0.1:9", r"grpc://127\.0\.0\.1:9: the storage cannot be reached \(Connect"),
        ("grpc://127.0.0.1", r"names no host and port, expected a file, postgresql"),
        ("postgresql+nothing://127.0.0.1:{open}/x", r"no driver for it .*'twinear\[postgres\]'"),
        ("grpc://127.0.0.1:{open}", r"cannot be reached \(GRPC connection timeout\)"),
        ("grpc://127.0.0.1:x", "is no address"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_at_once(
    monkeypatch: pytest.MonkeyPatch, storage: str, message: str
) -> None:
    monkeypatch.setattr("twinear.tuning.storage.CONNECT_SECONDS", 1)
    started = time.monotonic()
    with socket.socket() as silent:  # accepts, and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TwinearError, match=message) as error:
            open_storage(storage.replace("{open}", str(silent.getsockname()[1])))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert time.monotonic() - started < 10


def test_a_journal_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_text("not a journal\nat all\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"journal\.log: is no journal of studies"):
        open_storage(str(path))
    with pytest.raises(DataError, match="cannot be used"):
        open_storage(str(path / "below.log"))


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql://me:a@b:c@host/x") == "postgresql://me:***@host/x"
    assert shown("artifacts/tuning/journal.log") == "artifacts/tuning/journal.log"
