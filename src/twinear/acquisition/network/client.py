"""One service's HTTP client: polite, patient, and never surprised by an answer.

Every request waits for its `Limit`. What may pass (no connection, time-out, 5xx, a broken or
unexpected body, being throttled) is tried again after growing, jittered waits, or after the time
that the service names in Retry-After; what will not pass (4xx) is not. Redirects are followed a
few times, to http and https only and never from https to http. Bodies are bounded in bytes and
seconds whatever their headers say, and compressed ones are not asked for, as they could unfold.

An error's place is service and path: a query or a header may hold secrets, so neither is ever
shown, logged or kept.
"""

import json
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from twinear.acquisition.network.deadline import bound, deadline
from twinear.acquisition.network.errors import (
    Away,
    Expired,
    Malformed,
    Refused,
    Unauthorised,
    Unknown,
)
from twinear.acquisition.network.rate_limit import Breaker, Clock, Limit, SystemClock
from twinear.acquisition.network.response_cache import Answer, Answers
from twinear.base.errors import TwinearError
from twinear.base.files import replacing

T = TypeVar("T")

Params = Mapping[str, str | int]
Check = Callable[[Answer], None]

MAX_REDIRECTS = 5
DAY_SECONDS = 86400.0


class Throttled(Away):
    """The service wants fewer requests.

    Parameters
    ----------
    seconds
        How long it wants to be left alone; None if it does not say.
    """

    def __init__(
        self,
        place: object,
        found: str,
        *,
        expected: str = "",
        remedy: str = "",
        seconds: float | None = None,
    ) -> None:
        super().__init__(place, found, expected=expected, remedy=remedy)
        self.seconds = seconds


class Unreachable(Away):
    """No connection, or one that was reset."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How a service is asked.

    Parameters
    ----------
    n, seconds
        At most n requests in any so many seconds.
    throttled
        The statuses by which it asks for fewer.
    resets
        Whether it also resets connections when it wants fewer.
    attempts
        How often a request is tried.
    backoff_seconds, max_backoff_seconds
        The first wait, doubled from try to try, and the longest.
    patience_seconds
        A Retry-After beyond this is not waited for: the service is away.
    failures, away_seconds
        After so many failed requests in a row it is left alone for so long.
    max_age_seconds
        Answers on disk that are older are asked again.
    """

    n: int
    seconds: float
    throttled: frozenset[int] = frozenset({429, 503})
    resets: bool = False
    attempts: int = 5
    backoff_seconds: float = 1.0
    max_backoff_seconds: float = 60.0
    patience_seconds: float = 120.0
    failures: int = 3
    away_seconds: float = 300.0
    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    total_seconds: float = 60.0
    max_answer_bytes: int = 4_000_000
    max_clip_bytes: int = 16_000_000
    max_age_seconds: float = 30 * DAY_SECONDS


def user_agent(contact: str) -> str:
    """Name this program and its user's contact, an e-mail address or a web address.

    Raises
    ------
    TwinearError
        It is neither.
    """
    if not re.fullmatch(r"[!-'*-~]+@[!-'*-~]+\.[!-'*-~]+|https?://[!-'*-~]+", contact.strip()):
        raise TwinearError(
            "contact",
            repr(contact) if contact else "is not given",
            expected="an e-mail address or a web address",
            remedy="services want to know whom to write to: give --contact or set TWINEAR_CONTACT",
        )
    return f"twinear/{version('twinear')} ({contact.strip()})"


class Client:
    """Asks one service; to be made once and shared by all threads, as it holds the limit.

    Parameters
    ----------
    service
        Its name, for messages and for the answers on disk.
    agent
        As `user_agent` gives it.
    answers
        Where answers are kept; None: nowhere.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        agent: str,
        manners: Manners,
        *,
        answers: Answers | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        if not re.match(r"https?://[^/]", base_url):
            raise TwinearError(f"{service}'s address", base_url, expected="http:// or https://")
        self.service = service
        self.clock = clock or SystemClock()
        self._base_url = base_url.rstrip("/")
        self._manners = manners
        self._answers = answers
        self._chance = chance or random.Random()  # noqa: S311, it only spreads waits
        mark = answers.mark(service) if answers else None
        self._limit = Limit(manners.n, manners.seconds, self.clock, mark)
        self._breaker = Breaker(manners.failures, manners.away_seconds, self.clock)
        times = httpx.Timeout(manners.read_seconds, connect=manners.connect_seconds)
        headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        self._http = bound(httpx.Client(headers=headers, timeout=times))
        for name in ("httpx", "httpcore"):  # they log addresses with their queries
            logging.getLogger(name).setLevel(logging.WARNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(
        self,
        path: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        check: Check | None = None,
        keep: Callable[[Answer], Answer] | None = None,
        fresh: bool = False,
    ) -> Answer:
        """Ask for a JSON object, of the answers on disk or of the service.

        Parameters
        ----------
        check
            Looks at an answer and raises Away or Throttled for what may pass, else Refused.
        keep
            What of the answer goes to disk.
        fresh
            Neither take the answer from disk nor keep it.

        Raises
        ------
        Away, Malformed, Refused
            After all attempts; at once; at once.
        """
        url = self._base_url + path
        request = self._http.build_request("GET", url, params=_encodable(params), headers=headers)
        if fresh or self._answers is None:
            return self._answer(path, request, check)
        asked = str(request.url)
        oldest = self.clock.now() - self._manners.max_age_seconds
        kept = self._answers.read(self.service, asked, oldest)
        if kept is None:
            kept = self._answer(path, request, check)
            at = self.clock.now()
            self._answers.write(self.service, asked, keep(kept) if keep else kept, at)
        return kept

    def post(self, path: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Send a form; the answer, a JSON object, is not kept."""
        request = self._http.build_request(
            "POST", self._base_url + path, data=form, headers=headers
        )
        return self._answer(path, request, None)

    def download(self, url: str, to: Path) -> None:
        """Put what is at an address into a file, whole or not at all.

        Raises
        ------
        Expired
            The address is no longer good.
        Away, Malformed, Refused
            As `get`; Refused also for a body that is too large.
        """
        place = f"{self.service} preview"
        try:
            request = self._http.build_request("GET", url)
        except (httpx.InvalidURL, ValueError):
            raise Refused(place, "has an address that is none") from None
        if request.url.scheme not in ("http", "https") or not request.url.host:
            raise Refused(place, f"has an address of {request.url.scheme!r}", expected="https")
        with replacing(to) as temporary:
            self._persist(place, lambda: self._write(place, request, temporary), limited=False)

    def _answer(self, path: str, request: httpx.Request, check: Check | None) -> Answer:
        place = f"{self.service} {path}"

        def attempt() -> Answer:
            with self._open(place, request, limited=True) as response:
                self._require_answered(place, response)
                body = b"".join(self._body(place, response, self._manners.max_answer_bytes))
            answer = _parse(place, body)
            if check:
                check(answer)
            return answer

        return self._persist(place, attempt, limited=True)

    def _write(self, place: str, request: httpx.Request, to: Path) -> None:
        n = 0
        with self._open(place, request, limited=False) as response:
            if response.status_code in (403, 410):
                raise Expired(place, "is no longer at its address")
            self._require_answered(place, response)
            if response.headers.get("content-type", "").startswith("text/html"):
                raise Malformed(place, "is a web page", expected="audio")
            with to.open("wb") as file:
                for piece in self._body(place, response, self._manners.max_clip_bytes):
                    n += file.write(piece)
        if not n:
            raise Malformed(place, "is empty", expected="audio")

    def _persist(self, place: str, attempt: Callable[[], T], *, limited: bool) -> T:
        """Try until it works, will not work, or has been tried often enough."""
        tried = 0
        while True:
            if left := self._breaker.away_for():
                raise Away(self.service, f"is away, asked again in {left:.0f} s at the earliest")
            try:
                result = attempt()
            except (Away, Malformed) as error:
                tried += 1
                if tried == self._manners.attempts:
                    self._breaker.failed()
                    raise
                self._wait(tried, error, limited)
            except (Refused, Expired):  # it is there, and answers
                self._breaker.succeeded()
                raise
            else:
                self._breaker.succeeded()
                return result

    def _wait(self, tried: int, error: Away | Malformed, limited: bool) -> None:
        """Wait before the next try; when the service wants fewer requests, all threads wait."""
        manners = self._manners
        longest = min(manners.backoff_seconds * 2 ** (tried - 1), manners.max_backoff_seconds)
        seconds = longest * self._chance.uniform(0.5, 1)
        if isinstance(error, Throttled) and error.seconds is not None:
            seconds += error.seconds
        if seconds > manners.patience_seconds:
            self._breaker.leave_alone(seconds)
            raise error
        throttled = isinstance(error, Throttled) or (
            manners.resets and isinstance(error, Unreachable)
        )
        if throttled and limited:
            self._limit.pause(seconds)
        else:
            self.clock.sleep(seconds)

    @contextmanager
    def _open(
        self, place: str, request: httpx.Request, *, limited: bool
    ) -> Iterator[httpx.Response]:
        """Send a request and follow where it leads; each step counts as a request."""
        for _ in range(MAX_REDIRECTS + 1):
            slot = self._limit.slot() if limited else nullcontext()
            with slot, deadline(self._manners.total_seconds), _faults(place):
                response = self._http.send(request, stream=True)
                try:
                    if not response.next_request:
                        yield response
                        return
                finally:
                    response.close()
            request = _led_to(place, request, response.next_request)
        raise Refused(place, f"redirects more than {MAX_REDIRECTS} times")

    def _require_answered(self, place: str, response: httpx.Response) -> None:
        status = response.status_code
        found = f"answers {status}"
        if status in self._manners.throttled:
            seconds = _retry_after(response.headers.get("retry-after", ""), self.clock.now())
            raise Throttled(place, found, seconds=seconds)
        if status in (404, 410):
            raise Unknown(place, found)
        if status == 401:
            raise Unauthorised(place, found)
        if status == 408 or status >= 500:
            raise Away(place, found)
        if status >= 400:
            raise Refused(place, found)
        if status != 200:
            raise Malformed(place, found, expected="200")

    def _body(self, place: str, response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
        length = response.headers.get("content-length", "0")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Malformed(place, "is compressed", expected="it as it is")
        too_large = Refused(place, f"is larger than {max_bytes} bytes")
        if int(length) > max_bytes:
            raise too_large
        n = 0
        for piece in response.iter_raw(65536):
            n += len(piece)
            if n > max_bytes:
                raise too_large
            yield piece


def _encodable(params: Params | None) -> dict[str, str]:
    """The params, lone surrogates replaced: a name in a file may hold anything."""
    return {
        key: str(value).encode("utf-8", "replace").decode() for key, value in (params or {}).items()
    }


@contextmanager
def _faults(place: str) -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise Refused(place, "has an address that is none") from None
    except httpx.TimeoutException:
        raise Away(place, "does not answer in time") from None
    except httpx.ProtocolError as error:
        if str(error).startswith("Server disconnected"):
            raise Unreachable(place, "hangs up") from None
        raise Malformed(place, "is cut off, or not HTTP") from None
    except httpx.TransportError as error:
        raise Unreachable(place, f"cannot be reached ({type(error).__name__})") from None


def _led_to(place: str, request: httpx.Request, following: httpx.Request) -> httpx.Request:
    schemes = (request.url.scheme, following.url.scheme)
    if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
        raise Refused(place, f"redirects from {schemes[0]} to {schemes[1]!r}")
    return following


def _retry_after(text: str, now: float) -> float | None:
    """Seconds from now: the header holds seconds or a date."""
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


def _parse(place: str, body: bytes) -> Answer:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed(place, _described(body), expected="JSON") from None
    if not isinstance(answer, dict):
        raise Malformed(place, f"a JSON {type(answer).__name__}", expected="an object")
    return answer


def _described(body: bytes) -> str:
    start = body.lstrip()[:1]
    return "is a web page" if start == b"<" else "is cut off" if start == b"{" else "is no JSON"
