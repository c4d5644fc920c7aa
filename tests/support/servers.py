"""Servers on loopback, as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def served(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server in its own process group, stopped at the end."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answer(server: subprocess.Popen[bytes], request: str | urllib.request.Request) -> bytes:
    """Wait for a server on loopback for as long as it runs, and return its answer."""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=300) as response:  # noqa: S310
                body: bytes = response.read()
                return body
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, f"{server.args!r} ended without an answer"
            time.sleep(0.3)
