"""A large file fetched over HTTP: resumed where it broke off, never half-written at its place.

What has come stays in `<name>.part`, with the address and the server's mark of the file beside it.
A next try asks for the rest, on condition that the file is still the same; a server that ignores
that, or has another file by now, sends it whole, and it begins anew. Redirects are followed a few
times, to http and https only and never from https to http.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import httpx

from twinear.acquisition.network.deadline import bound, deadline
from twinear.acquisition.network.rate_limit import Clock
from twinear.base.errors import DataError
from twinear.base.files import write_text

MAX_REDIRECTS = 5
GONE_ON = "run it again to go on where it stopped"


class Bar(Protocol):
    """What is told of every piece that comes."""

    def update(self, n: int) -> object:
        """So many bytes more."""


Progress = Callable[[int, int | None], AbstractContextManager[Bar]]  # of bytes there, bytes in all


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a server is waited for.

    Parameters
    ----------
    attempts
        Tries in a row that bring less than `stall_bytes`.
    backoff_seconds, max_backoff_seconds
        The first wait between them, doubled each time, and the longest.
    answer_seconds
        Until the server begins to answer.
    read_seconds
        Between two pieces.
    stall_seconds, stall_bytes
        So long no less than so many bytes: else the connection is given up.
    """

    attempts: int = 5
    backoff_seconds: float = 2.0
    max_backoff_seconds: float = 60.0
    answer_seconds: float = 60.0
    read_seconds: float = 30.0
    stall_seconds: float = 60.0
    stall_bytes: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be fetched; a size of 0 is not known."""

    url: str
    size: int
    max_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """What the bytes in `.part` are a part of."""

    url: str
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What a server is talked to with."""

    client: httpx.Client
    patience: Patience
    clock: Clock


class _Broken(DataError):
    """What may go better the next time."""


class _Wrong(DataError):
    """What is here is not what is wanted: going on with it would lead nowhere."""


def download(
    wanted: Wanted, to: Path, progress: Progress, clock: Clock, patience: Patience | None = None
) -> None:
    """Fetch a file to `to`, going on with what is there of it.

    Raises
    ------
    DataError
        Refused, another size than expected, too large, no end of redirects, or broken off too
        often; what has come stays for the next time, unless it is wrong.
    """
    patience = patience or Patience()
    part = to.with_name(f"{to.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    headers = {"User-Agent": f"twinear/{version('twinear')}", "Accept-Encoding": "identity"}
    times = httpx.Timeout(patience.read_seconds)
    tried = 0
    with bound(httpx.Client(headers=headers, timeout=times)) as client:
        line = _Line(client=client, patience=patience, clock=clock)
        while True:
            n_before = _size(part)
            try:
                _attempt(line, wanted, part, progress)
                break
            except OSError as error:
                found = f"could not be written ({error.strerror})"
                raise DataError(part, found, remedy=f"free some space; {GONE_ON}") from error
            except _Wrong:
                forget(to)
                raise
            except _Broken:
                came = _size(part) - n_before
                tried = 0 if came >= patience.stall_bytes else tried + 1
                if tried == patience.attempts:
                    raise
                clock.sleep(min(patience.backoff_seconds * 2**tried, patience.max_backoff_seconds))
    part.replace(to)
    _marked(part).unlink(missing_ok=True)


def forget(to: Path) -> None:
    """Remove what there is of a file, to begin anew."""
    part = to.with_name(f"{to.name}.part")
    for path in (to, part, _marked(part)):
        path.unlink(missing_ok=True)


def _attempt(line: _Line, wanted: Wanted, part: Path, progress: Progress) -> None:
    known = _read_mark(part)
    mine = known.url == wanted.url and bool(known.mark)
    n = _size(part) if mine else 0
    headers = {"Range": f"bytes={n}-", "If-Range": known.mark} if n else {}
    with _opened(line, wanted.url, headers) as response:
        n = _begins_at(response, wanted, n)
        total = _total(response, n)
        _require_size(wanted, total)
        mark = _mark(response) or (known.mark if n else "")
        _write_mark(part, _Mark(url=wanted.url, mark=mark), n)
        with part.open("ab") as file, progress(n, total) as bar:
            for piece in _pieces(line, response, wanted.url):
                n += file.write(piece)
                if n > wanted.max_bytes:
                    raise _Wrong(wanted.url, f"is larger than {wanted.max_bytes} bytes")
                bar.update(len(piece))
    if total is not None and n != total:
        raise _Broken(wanted.url, f"broke off at {n} of {total} bytes", remedy=GONE_ON)
    _require_size(wanted, n, _Wrong)


def _begins_at(response: httpx.Response, wanted: Wanted, asked: int) -> int:
    """The first byte of what the server sends."""
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        raise _Broken(wanted.url, f"answers {status}", remedy=GONE_ON)
    if status == 206 and asked:
        found = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
        if found and int(found[1]) == asked:
            return asked
        raise DataError(wanted.url, "sends another part than was asked for", remedy=GONE_ON)
    if status == 416 and asked:  # all of it is there, or it is another file
        return _after_416(response, wanted, asked)
    if status != 200:
        raise DataError(wanted.url, f"answers {status}", expected="200")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise DataError(wanted.url, "is a web page", expected="an archive")
    return 0


def _after_416(response: httpx.Response, wanted: Wanted, asked: int) -> int:
    if response.headers.get("content-range", "") == f"bytes */{asked}":
        return asked
    raise _Wrong(wanted.url, f"is smaller than the {asked} bytes that were here of it")


def _total(response: httpx.Response, n: int) -> int | None:
    """The size of the whole file, if the server says it."""
    if response.status_code == 416:
        return n
    found = re.search(r"/(\d+)$", response.headers.get("content-range", ""))
    if response.status_code == 206:
        return int(found[1]) if found else None
    length = response.headers.get("content-length", "")
    return int(length) if length.isdigit() else None


def _require_size(wanted: Wanted, size: int | None, kind: type[DataError] = DataError) -> None:
    if size is None or size == wanted.size or (not wanted.size and size <= wanted.max_bytes):
        return
    expected = str(wanted.size) if wanted.size else f"at most {wanted.max_bytes}"
    raise kind(wanted.url, f"is {size} bytes", expected=expected)


def _pieces(line: _Line, response: httpx.Response, url: str) -> Iterator[bytes]:
    """The bytes as they come, given up when hardly any do; none of the body of a 416."""
    if response.status_code == 416:
        return
    since, n = line.clock.now(), 0
    with _faults(url):
        for piece in response.iter_raw():
            yield piece
            n += len(piece)
            if line.clock.now() - since > line.patience.stall_seconds:
                if n < line.patience.stall_bytes:
                    raise _Broken(url, "hardly sends anything", remedy=GONE_ON)
                since, n = line.clock.now(), 0


@contextmanager
def _opened(line: _Line, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    with _faults(url):
        request = line.client.build_request("GET", url, headers=headers)
    for _ in range(MAX_REDIRECTS + 1):
        with _faults(url), deadline(line.patience.answer_seconds):
            response = line.client.send(request, stream=True)
        try:
            if not response.next_request:
                yield response
                return
        finally:
            response.close()
        schemes = (request.url.scheme, response.next_request.url.scheme)
        if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
            raise DataError(url, f"redirects from {schemes[0]} to {schemes[1]!r}")
        request = response.next_request
    raise DataError(url, f"redirects more than {MAX_REDIRECTS} times")


@contextmanager
def _faults(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise DataError(url, "leads to an address that is none") from None
    except httpx.TimeoutException:
        raise _Broken(url, "does not answer in time", remedy=GONE_ON) from None
    except httpx.TransportError as error:
        found = f"broke off ({type(error).__name__})"
        raise _Broken(url, found, remedy=GONE_ON) from None


def _mark(response: httpx.Response) -> str:
    """What names this version of the file: a strong ETag, else the date of its last change."""
    tag: str = response.headers.get("etag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("last-modified", "")


def _marked(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_mark(part: Path) -> _Mark:
    try:
        said = json.loads(_marked(part).read_text(encoding="utf-8"))
        return _Mark(url=str(said["url"]), mark=str(said["mark"]))
    except (OSError, ValueError, KeyError, TypeError):
        return _Mark(url="")


def _write_mark(part: Path, mark: _Mark, n: int) -> None:
    """Note what the bytes are a part of; those of another file go first."""
    if not n:
        part.write_bytes(b"")
    if mark != _read_mark(part):
        write_text(_marked(part), json.dumps(asdict(mark)))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
