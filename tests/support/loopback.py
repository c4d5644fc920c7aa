"""Servers on loopback: a free port, and patience until a server answers."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

SECONDS = 180  # a busy machine
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Wait until a server listens."""
    _patiently(lambda: socket.create_connection(("127.0.0.1", port), 1).close())


def answer(request: str | urllib.request.Request) -> bytes:
    """What a server answers, once it does."""

    def ask() -> bytes:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            body: bytes = response.read()
            return body

    return _patiently(ask)


def _patiently(attempt: Callable[[], T]) -> T:
    end = time.monotonic() + SECONDS
    while True:
        try:
            return attempt()
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
