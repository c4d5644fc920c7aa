"""A bound on the time that one exchange may take in all, bytes that drip in included.

HTTP libraries bound each single read. A service that sends a byte of its headers now and then
could so hold a thread for days; here every read and write of a connection is given no more time
than is left.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

_mine = threading.local()  # .until: when this thread's exchange has to be over


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound what this thread does over the network inside of the block."""
    _mine.until = time.monotonic() + seconds  # of real time: no test can make a network faster
    try:
        yield
    finally:
        del _mine.until


def _left(timeout: float | None, kind: type[Exception]) -> float | None:
    until = getattr(_mine, "until", None)
    if until is None:
        return timeout
    left = float(until - time.monotonic())
    if left <= 0:
        raise kind("out of time")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


def bound(client: httpx.Client) -> httpx.Client:
    """Let all connections of a client, those by way of a proxy too, keep the `deadline`."""
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            # httpx has no public way to hand its pool another network backend
            transport._pool._network_backend = _Backend()
    return client
