"""One HTTP exchange, for API requests, previews and data sets alike.

Redirects are followed a few times, to http and https only and never from https to http. Compressed
bodies are not asked for, as they could unpack to any size. What goes wrong becomes a `SourceError`
whose place is the caller's: a URL's query or a header may hold secrets, which no message shows.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx

from twinear.acquisition.network.errors import (
    ConnectionFailedError,
    InvalidContentError,
    RequestRefusedError,
    ServiceUnavailableError,
)
from twinear.acquisition.network.transport import TimedTransport

MAX_REDIRECTS = 5


def open_client(user_agent: str, timeout: httpx.Timeout) -> httpx.Client:
    """Open an HTTP client that keeps `transport.time_limit` and logs no URLs."""
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

    Parameters
    ----------
    around_each
        Opened around each request of a chain of redirects; around the last one until its body has
        been read.
    remedy
        For the message of an error that may pass.
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
