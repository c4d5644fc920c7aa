"""A PostgreSQL of the test's own, on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import free_port


def wait_for_port(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server listens, for as long as it runs."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert server.poll() is None
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
        wait_for_port(server, port)
        yield f"postgresql+pg8000://tuner:se%3Acr%40t@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # its fast way to stop, without waiting for clients
        server.wait()
