"""An httpx transport that bounds the time of a whole exchange, slowly dripping bytes included.

HTTP libraries bound each single read. A service that sends one byte of its headers now and then
could so hold a thread for days. Here `time_limit` sets a deadline for the current thread, and every
connect, read and write gets at most the time that is left until it.

httpx cannot hand its own transport a network backend, so this one drives httpcore's connection
pool, which takes one, and uses the proxies of the environment as httpx does.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any, cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

_thread = threading.local()  # .deadline: when the current thread's exchange must have ended


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Bound what the current thread does over the network inside the block; not to be nested."""
    _thread.deadline = time.monotonic() + seconds  # real time: a fake clock speeds up no network
    try:
        yield
    finally:
        _thread.deadline = None


def lift_time_limit() -> None:
    """Let the rest of the current `time_limit` block take any time; single reads stay bounded."""
    _thread.deadline = None


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    """The shorter of a timeout and the time until the deadline; `error` if that has passed."""
    deadline = getattr(_thread, "deadline", None)
    if deadline is None:
        return timeout
    left = float(deadline - time.monotonic())
    if left <= 0:
        raise error("out of time")
    return left if timeout is None else min(timeout, left)


class _TimedStream(httpcore.NetworkStream):
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
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _TimedBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(super().connect_tcp(host, port, left, local_address, socket_options))


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise httpcore's errors as the httpx errors of the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class TimedTransport(httpx.BaseTransport):
    """A transport that keeps the `time_limit`, with or without a proxy."""

    def __init__(self) -> None:
        proxies = getproxies()
        ssl_context = httpx.create_ssl_context()
        self._direct = _pool(ssl_context, None)
        self._by_proxy = {
            scheme: _pool(
                ssl_context, httpx.Proxy(address if "://" in address else f"http://{address}")
            )
            for scheme in ("http", "https")
            if (address := proxies.get(scheme) or proxies.get("all"))
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's body is read as it is iterated over."""
        url = request.url
        by_proxy = url.scheme in self._by_proxy and not proxy_bypass(url.host)
        pool = self._by_proxy[url.scheme] if by_proxy else self._direct
        with _httpx_errors():
            response = pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=url.raw_scheme,
                        host=url.raw_host,
                        port=url.port,
                        target=url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=cast(httpx.SyncByteStream, request.stream),
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        for pool in (self._direct, *self._by_proxy.values()):
            pool.close()


def _pool(ssl_context: SSLContext, proxy: httpx.Proxy | None) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=ssl_context,
        proxy=httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth) if proxy else None,
        max_connections=100,
        keepalive_expiry=5.0,
        network_backend=_TimedBackend(),
    )
