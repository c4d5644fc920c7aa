"""One HTTP exchange, for API requests, previews and data sets alike, bounded in time.

Redirects are followed a few times, to http and https only and never from https to http. Compressed
bodies are not asked for, as they could unpack to any size. What goes wrong becomes a `SourceError`
whose place is the caller's: a URL's query or a header may hold secrets, which no message shows.

HTTP libraries bound each single read. A service that sends one byte of its headers now and then
could so hold a thread for days. Here `time_limit` sets a deadline for the current thread, and every
connect, read and write gets at most the time that is left until it. httpx cannot hand its own
transport a network backend, so `TimedTransport` drives httpcore's connection pool, which takes one,
and uses the proxies of the environment as httpx does.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from ssl import SSLContext
from typing import Any, cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from twinear.acquisition.network.errors import (
    ConnectionFailedError,
    InvalidContentError,
    RequestRefusedError,
    ServiceUnavailableError,
)

Seconds = float | None

MAX_REDIRECTS = 5

_thread = threading.local()  # .deadline: when the current thread's exchange must have ended


def open_client(user_agent: str, timeout: httpx.Timeout) -> httpx.Client:
    """Open an HTTP client that keeps `time_limit` and logs no URLs."""
    for name in ("httpx", "httpcore"):  # they log URLs with their queries
        logging.getLogger(name).setLevel(logging.WARNING)
    headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
    return httpx.Client(transport=TimedTransport(), headers=headers, timeout=timeout)


@contextmanager
def open_response(
    client: httpx.Client,
    request: httpx.Request,
    place: str,
    around_each: Callable[[], AbstractContextManager[object]],
    remedy: str = "",
) -> Iterator[httpx.Response]:
    """Send a request, follow its redirects, and give the response with its body unread.

    `around_each` is opened around each request of a chain of redirects; around the last one until
    its body has been read. `remedy` is for the message of an error that may pass.
    """
    for _ in range(MAX_REDIRECTS + 1):
        with around_each(), translate_errors(place, remedy):
            response = client.send(request, stream=True)
            try:
                if response.next_request is None:
                    yield response
                    return
            finally:
                response.close()
        require_safe_redirect(place, request.url, response.next_request.url)
        request = response.next_request
    raise RequestRefusedError(place, f"redirects more than {MAX_REDIRECTS} times")


def require_safe_redirect(place: str, old: httpx.URL, new: httpx.URL) -> None:
    """Refuse a redirect that leaves http and https, or goes from https to http."""
    if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
        raise RequestRefusedError(place, f"redirects from {old.scheme} to {new.scheme!r}")


@contextmanager
def translate_errors(place: str, remedy: str = "") -> Iterator[None]:
    """Raise httpx's errors as `SourceError`, without their text, which may name a URL."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise RequestRefusedError(place, "has an invalid URL") from None
    except httpx.TimeoutException:
        raise ServiceUnavailableError(place, "does not answer in time", remedy=remedy) from None
    except httpx.ProtocolError as error:
        if str(error).startswith("Server disconnected"):
            found = "closed the connection without an answer"
            raise ConnectionFailedError(place, found, remedy=remedy) from None
        raise InvalidContentError(place, "is cut off, or not HTTP", remedy=remedy) from None
    except httpx.TransportError as error:
        found = f"connection failed ({type(error).__name__})"
        raise ConnectionFailedError(place, found, remedy=remedy) from None


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


def _left(timeout: Seconds, error: type[Exception]) -> Seconds:
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

    def read(self, max_bytes: int, timeout: Seconds = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: Seconds = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: Seconds = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _TimedBackend(httpcore.SyncBackend):
    def connect_tcp(
        self, host: str, port: int, timeout: Seconds = None, *args: Any, **options: Any
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(super().connect_tcp(host, port, left, *args, **options))


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


@cache
def _read_certificates() -> SSLContext:
    """Read the certificate authorities, which takes 20 ms, once for all clients of a process."""
    return httpx.create_ssl_context()


class TimedTransport(httpx.BaseTransport):
    """A transport that keeps the `time_limit`, with or without a proxy."""

    def __init__(self) -> None:
        proxies = getproxies()
        ssl_context = _read_certificates()
        self._direct = _pool(ssl_context, None)
        self._by_proxy = {
            scheme: _pool(ssl_context, address if "://" in address else f"http://{address}")
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
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
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


def _pool(ssl_context: SSLContext, address: str | None) -> httpcore.ConnectionPool:
    proxy = httpx.Proxy(address) if address else None
    return httpcore.ConnectionPool(
        ssl_context=ssl_context,
        proxy=httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth) if proxy else None,
        max_connections=100,
        keepalive_expiry=5.0,
        network_backend=_TimedBackend(),
    )
