"""A large file downloaded over HTTP: resumed where it broke off, whole or absent at its place.

What has come stays in `<name>.part`; `<name>.part.json` beside it names the URL and the version of
the file (ETag or date). The next attempt asks for the rest, on condition that the file is still the
same. A server that ignores the condition, or has another version by now, sends the file from its
start, and so the download starts over.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx

from twinear.acquisition.network.errors import (
    InvalidContentError,
    RequestRefusedError,
    ServiceUnavailableError,
)
from twinear.acquisition.network.exchange import (
    lift_time_limit,
    open_client,
    open_response,
    time_limit,
    translate_errors,
)
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.base.errors import DataError
from twinear.base.files import write_text

RESUME = "run it again to resume"


# bytes that are there already, bytes in all if known -> a bar as of `tqdm`, updated by bytes
DownloadProgress = Callable[[int, int | None], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class DownloadPolicy:
    """How long a server is waited for."""

    attempts: int = 5  # in a row that bring less than `stall_bytes`
    backoff_seconds: float = 2.0  # the first wait between them, doubled each time
    max_backoff_seconds: float = 60.0
    answer_seconds: float = 60.0  # until the headers of the response have come
    read_seconds: float = 30.0  # between two pieces of the body
    stall_seconds: float = 60.0  # in so long a connection must bring
    stall_bytes: int = 10_000  # at least so many bytes, or it is given up


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file to download."""

    url: str
    size: int  # in bytes; 0 if unknown
    max_bytes: int  # a larger file is refused

    def require_size(
        self, size: int | None, error: type[RequestRefusedError] = RequestRefusedError
    ) -> None:
        """Raise `error` for a size that is not the expected one, or too large; None is unknown."""
        if size is None or size == self.size or (not self.size and size <= self.max_bytes):
            return
        expected = str(self.size) if self.size else f"at most {self.max_bytes}"
        raise error(self.url, f"is {size} bytes", expected=expected)


class _WrongPartError(RequestRefusedError):
    """The bytes in `.part` do not belong to the file: resuming from them leads nowhere."""


def download(
    file: RemoteFile,
    to: Path,
    progress: DownloadProgress,
    clock: SystemClock,
    policy: DownloadPolicy | None = None,
) -> None:
    """Download a file to `to`, resuming from what is there of it.

    `SourceError` if it is refused, of another size than expected, too large, redirects too often,
    or broke off too often; what has come stays for the next time, unless it is wrong. `DataError`
    if it cannot be written.
    """
    policy = policy or DownloadPolicy()
    part = _part_of(to)
    part.parent.mkdir(parents=True, exist_ok=True)
    n_failed = 0
    agent = f"twinear/{metadata.version('twinear')}"
    with open_client(agent, httpx.Timeout(policy.read_seconds)) as client:
        while True:
            n_before = _size(part)
            try:
                _attempt(client, file, part, progress, clock, policy)
                break
            except OSError as error:
                found = f"could not be written ({error.strerror})"
                raise DataError(part, found, remedy=f"free some space; {RESUME}") from error
            except _WrongPartError:
                remove_download(to)
                raise
            except (ServiceUnavailableError, InvalidContentError):
                n_new = _size(part) - n_before
                n_failed = 0 if n_new >= policy.stall_bytes else n_failed + 1
                if n_failed == policy.attempts:
                    raise
                clock.sleep(min(policy.backoff_seconds * 2**n_failed, policy.max_backoff_seconds))
    part.replace(to)
    _origin_file(part).unlink(missing_ok=True)


def remove_download(to: Path) -> None:
    """Remove a downloaded file and what there is of it, to start over."""
    part = _part_of(to)
    for path in (to, part, _origin_file(part)):
        path.unlink(missing_ok=True)


def _attempt(
    client: httpx.Client,
    file: RemoteFile,
    part: Path,
    progress: DownloadProgress,
    clock: SystemClock,
    policy: DownloadPolicy,
) -> None:
    old_version = _read_version(part, file.url)
    n = _size(part) if old_version else 0
    headers = {"Range": f"bytes={n}-", "If-Range": old_version} if n else {}
    with translate_errors(file.url):
        request = client.build_request("GET", file.url, headers=headers)
    limit = partial(time_limit, policy.answer_seconds)
    with open_response(client, request, file.url, limit, RESUME) as response:
        lift_time_limit()  # a large body may take hours
        n, total = _position(response, file, n)
        file.require_size(total)
        # a strong ETag, else the date of the last change, names this version of the file
        tag = response.headers.get("etag") or "W/"
        version = response.headers.get("last-modified", "") if tag.startswith("W/") else tag
        version = version or (old_version if n else "")
        if not n:  # old bytes go before the version changes, and new ones come after it
            part.write_bytes(b"")
        if version != old_version or not n:
            origin = {"url": file.url, "mark": version}
            write_text(_origin_file(part), json.dumps(origin))
        with part.open("ab") as target, progress(n, total) as bar:
            since, n_then = clock.now(), n
            # the body of a 416 is not the file's
            for piece in response.iter_raw() if response.status_code != 416 else ():
                n += target.write(piece)
                if n > file.max_bytes:
                    raise _WrongPartError(file.url, f"is larger than {file.max_bytes} bytes")
                bar.update(len(piece))
                if clock.now() - since > policy.stall_seconds:
                    if n - n_then < policy.stall_bytes:
                        found = "sends almost nothing"
                        raise ServiceUnavailableError(file.url, found, remedy=RESUME)
                    since, n_then = clock.now(), n
    if total is not None and n != total:
        found = f"broke off at {n} of {total} bytes"
        raise ServiceUnavailableError(file.url, found, remedy=RESUME)
    file.require_size(n, _WrongPartError)


def _position(response: httpx.Response, file: RemoteFile, asked: int) -> tuple[int, int | None]:
    """Where in the file the body starts, and the size of the whole file if the server names it."""
    status = response.status_code
    content_range = response.headers.get("content-range", "")
    if status in (408, 425, 429) or status >= 500:
        raise ServiceUnavailableError(file.url, f"answers {status}", remedy=RESUME)
    if status == 206 and asked:
        if content_range.startswith(f"bytes {asked}-"):
            size = re.search(r"/(\d+)$", content_range)
            return asked, int(size[1]) if size else None
        raise RequestRefusedError(file.url, "sends another part than was asked for", remedy=RESUME)
    if status == 416 and asked:  # nothing is left to send, or the file is another one by now
        if content_range == f"bytes */{asked}":
            return asked, asked
        raise _WrongPartError(file.url, f"is smaller than the {asked} bytes in its .part file")
    if status != 200:
        raise RequestRefusedError(file.url, f"answers {status}", expected="200")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise RequestRefusedError(file.url, "is a web page", expected="an archive")
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None


def _read_version(part: Path, url: str) -> str:
    """The version of the file that the bytes in `.part` belong to; "" if they are of another."""
    try:
        origin = json.loads(_origin_file(part).read_text(encoding="utf-8"))
        return str(origin["mark"]) if origin["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _part_of(to: Path) -> Path:
    return to.with_name(f"{to.name}.part")


def _origin_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
