"""An HTTP client for one service: it keeps the service's limits and is prepared for any response.

Every request waits for the `RateLimit`. What may pass (no connection, time-out, 5xx, a broken or
unexpected body, throttling) is tried again after growing waits with jitter, or after the time that
the service names in Retry-After. What will not pass (4xx) is not tried again. Bodies are bounded in
bytes and seconds whatever their headers say.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self, TypeVar

import httpx

from twinear.acquisition.network.errors import (
    ConnectionFailedError,
    ExpiredUrlError,
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    ServiceUnavailableError,
    ThrottledError,
    UnauthorisedError,
)
from twinear.acquisition.network.exchange import open_client, open_response, time_limit
from twinear.acquisition.network.rate_limit import CircuitBreaker, RateLimit, SystemClock
from twinear.acquisition.network.response_cache import JsonObject, ResponseCache
from twinear.base.errors import TwinearError
from twinear.base.files import replacing

T = TypeVar("T")

Params = Mapping[str, str | int]

DAY_SECONDS = 86400.0


@dataclass(frozen=True, kw_only=True)
class RequestPolicy:
    """How a service is asked."""

    n: int  # at most n requests
    seconds: float  # in any window of this length
    throttling_statuses: frozenset[int] = frozenset({429, 503})  # they ask for fewer requests
    throttles_by_reset: bool = False  # it also resets connections to ask for fewer
    attempts: int = 5
    backoff_seconds: float = 1.0  # the first wait, doubled from attempt to attempt
    max_backoff_seconds: float = 60.0
    max_retry_after_seconds: float = 120.0  # for a longer Retry-After the service counts as away
    failures: int = 3  # so many failed requests in a row, and the service is left alone
    away_seconds: float = 300.0  # for so long
    connect_seconds: float = 10.0
    read_seconds: float = 20.0  # of a single read
    total_seconds: float = 60.0  # of a whole exchange
    max_json_bytes: int = 4_000_000
    max_clip_bytes: int = 16_000_000
    max_age_seconds: float = 30 * DAY_SECONDS  # an older response on disk is requested again


def user_agent(contact: str) -> str:
    """Name this program and its user's contact; `TwinearError` if that is no address."""
    if not re.fullmatch(r"[!-'*-~]+@[!-'*-~]+\.[!-'*-~]+|https?://[!-'*-~]+", contact.strip()):
        raise TwinearError(
            "contact",
            repr(contact) if contact else "is missing",
            expected="an e-mail address or a web address",
            remedy="the services require one: give --contact or set TWINEAR_CONTACT",
        )
    return f"twinear/{version('twinear')} ({contact.strip()})"


class Client:
    """Sends requests to one service. Make one and share it: it holds the rate limit of all threads.

    `service` names it in messages and in `cache`, where responses are kept; `agent` is as
    `user_agent` gives it.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        agent: str,
        policy: RequestPolicy,
        *,
        cache: ResponseCache | None = None,
        clock: SystemClock | None = None,
    ) -> None:
        if not re.match(r"https?://[^/]", base_url):
            raise TwinearError(f"{service}'s URL", base_url, expected="http:// or https://")
        self.service = service
        self.clock = clock or SystemClock()
        self._base_url = base_url.rstrip("/")
        self._policy = policy
        self._cache = cache
        last_request_file = cache.last_request_file(service) if cache else None
        self._limit = RateLimit(policy.n, policy.seconds, self.clock, last_request_file)
        self._breaker = CircuitBreaker(policy.failures, policy.away_seconds, self.clock)
        timeout = httpx.Timeout(policy.read_seconds, connect=policy.connect_seconds)
        self._http = open_client(agent, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(
        self,
        path: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        # raises the error that a response with status 200 stands for
        check: Callable[[JsonObject], None] | None = None,
        to_cache: Callable[[JsonObject], JsonObject] | None = None,  # what of it goes to disk
        fresh: bool = False,  # neither taken from disk nor kept
        list_key: str = "",  # the service answers a list: it becomes an object with this key
    ) -> JsonObject:
        """Get a JSON object from the responses on disk or from the service.

        `ServiceUnavailableError` and `InvalidContentError` are raised after all attempts,
        `RequestRefusedError` at once.
        """
        # a name in a file may hold lone surrogates, which no URL can
        encodable = {
            name: str(value).encode("utf-8", "replace").decode()
            for name, value in (params or {}).items()
        }
        url = self._base_url + path
        request = self._http.build_request("GET", url, params=encodable, headers=headers)
        if fresh or self._cache is None:
            return self._request_json(path, request, check, list_key)
        key = str(request.url)
        not_before = self.clock.now() - self._policy.max_age_seconds
        response = self._cache.read(self.service, key, not_before)
        if response is None:
            response = self._request_json(path, request, check, list_key)
            kept = to_cache(response) if to_cache else response
            self._cache.write(self.service, key, kept, self.clock.now())
        return response

    def post(self, path: str, form: Mapping[str, str], headers: Mapping[str, str]) -> JsonObject:
        """Send a form; the response, a JSON object, is not kept."""
        url = self._base_url + path
        request = self._http.build_request("POST", url, data=form, headers=headers)
        return self._request_json(path, request, None)

    def download(self, url: str, to: Path) -> None:
        """Download a URL to a file, whole or not at all. The rate limit does not apply.

        `ExpiredUrlError` if the URL is no longer valid; others as `get`, `RequestRefusedError` also
        for a body that is too large.
        """
        place = f"{self.service} preview"
        try:
            request = self._http.build_request("GET", url)
        except (httpx.InvalidURL, ValueError):
            raise RequestRefusedError(place, "has an invalid URL") from None
        if request.url.scheme not in ("http", "https") or not request.url.host:
            found = f"has a URL of {request.url.scheme!r}"
            raise RequestRefusedError(place, found, expected="https")

        def attempt() -> None:
            n_bytes = 0
            with self._open(place, request, limited=False) as response:
                if response.status_code in (403, 410):
                    raise ExpiredUrlError(place, "is no longer at its URL")
                self._require_ok(place, response)
                if response.headers.get("content-type", "").startswith("text/html"):
                    raise InvalidContentError(place, "is a web page", expected="audio")
                with temporary.open("wb") as file:
                    for piece in _body(place, response, self._policy.max_clip_bytes):
                        n_bytes += file.write(piece)
            if not n_bytes:
                raise InvalidContentError(place, "is empty", expected="audio")

        with replacing(to) as temporary:
            self._retry(attempt, limited=False)

    def _request_json(
        self,
        path: str,
        request: httpx.Request,
        check: Callable[[JsonObject], None] | None,
        list_key: str = "",
    ) -> JsonObject:
        place = f"{self.service} {path}"

        def attempt() -> JsonObject:
            with self._open(place, request, limited=True) as response:
                self._require_ok(place, response)
                body = b"".join(_body(place, response, self._policy.max_json_bytes))
            try:
                value: object = json.loads(body)
            except (ValueError, RecursionError):
                start = body.lstrip()[:1]
                found = {b"<": "is a web page", b"{": "is cut off"}.get(start, "is not JSON")
                raise InvalidContentError(place, found, expected="JSON") from None
            if list_key and isinstance(value, list):
                return {list_key: value}
            if list_key or not isinstance(value, dict):
                found = f"a JSON {type(value).__name__}"
                expected = "a list" if list_key else "an object"
                raise InvalidContentError(place, found, expected=expected)
            answer: JsonObject = value
            if check:
                check(answer)
            return answer

        return self._retry(attempt, limited=True)

    def _retry(self, attempt: Callable[[], T], *, limited: bool) -> T:
        """Try until it succeeds, cannot succeed, or has been tried often enough."""
        policy = self._policy
        n_failed = 0
        while True:
            if left := self._breaker.away_for():
                found = f"is away, to be asked again in {left:.0f} s at the earliest"
                raise ServiceUnavailableError(self.service, found)
            try:
                result = attempt()
            except (ServiceUnavailableError, InvalidContentError) as error:
                n_failed += 1
                if n_failed == policy.attempts:
                    self._breaker.failed()
                    raise
                longest = min(
                    policy.backoff_seconds * 2 ** (n_failed - 1), policy.max_backoff_seconds
                )
                wait = longest * random.uniform(0.5, 1)  # noqa: S311, it only spreads the waits
                if isinstance(error, ThrottledError) and error.seconds is not None:
                    wait += error.seconds
                if wait > policy.max_retry_after_seconds:
                    self._breaker.leave_alone(wait)
                    raise
                throttled = isinstance(error, ThrottledError) or (
                    policy.throttles_by_reset and isinstance(error, ConnectionFailedError)
                )
                if throttled and limited:
                    self._limit.pause(wait)  # for all threads
                else:
                    self.clock.sleep(wait)
            except (RequestRefusedError, ExpiredUrlError):  # the service is there, and answers
                self._breaker.succeeded()
                raise
            else:
                self._breaker.succeeded()
                return result

    def _open(
        self, place: str, request: httpx.Request, *, limited: bool
    ) -> AbstractContextManager[httpx.Response]:
        @contextmanager
        def bounded() -> Iterator[None]:  # each redirect counts as a request
            slot = self._limit.slot() if limited else nullcontext()
            with slot, time_limit(self._policy.total_seconds):
                yield

        return open_response(self._http, request, place, bounded)

    def _require_ok(self, place: str, response: httpx.Response) -> None:
        status = response.status_code
        found = f"answers {status}"
        if status in self._policy.throttling_statuses:
            headers = response.headers
            wait = headers.get("retry-after") or headers.get("x-ratelimit-reset-in", "")
            seconds = _retry_after(wait, self.clock.now())
            raise ThrottledError(place, found, seconds=seconds)
        if status in (404, 410):
            raise NotFoundError(place, found)
        if status == 401:
            raise UnauthorisedError(place, found)
        if status == 408 or status >= 500:
            raise ServiceUnavailableError(place, found)
        if status >= 400:
            raise RequestRefusedError(place, found)
        if status != 200:
            raise InvalidContentError(place, found, expected="200")


def _body(place: str, response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidContentError(place, "is compressed", expected="no Content-Encoding")
    too_large = RequestRefusedError(place, f"is larger than {max_bytes} bytes")
    if int(response.headers.get("content-length", "0")) > max_bytes:
        raise too_large
    n_bytes = 0
    for piece in response.iter_raw(65536):
        n_bytes += len(piece)
        if n_bytes > max_bytes:
            raise too_large
        yield piece


def _retry_after(header: str, now: float) -> float | None:
    """Seconds from now; the header holds seconds or a date.

    Examples
    --------
    >>> _retry_after("120", now=0.0)
    120.0
    >>> _retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0)
    10.0
    """
    if re.fullmatch(r"\d{1,9}", header):
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
