"""What clients send: bounded in bytes and time, kept in files only while it is answered.

The files are in a folder of this process in the system's folder of temporary files. A service that
is killed leaves its folder, and the next one that starts removes it: a lock that ends with a
process says whose folder is in use.
"""

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import Request, Response, UploadFile
from fastapi.routing import APIRoute
from filelock import FileLock, Timeout
from starlette.types import Message, Receive

from twinear.base.text import one_line
from twinear.serve.errors import ApiError
from twinear.serve.limited_messages import NamedFile
from twinear.serve.limited_processes import busy
from twinear.serve.options import UploadLimits
from twinear.serve.snapshot import shown

FOLDER = "twinear-serve"
LOCK = "in-use"
MAX_NAME = 200  # letters of a file's name that are repeated
MAX_JSON = 2_000_000  # bytes of a request that holds no clips
CLOSE = {"Connection": "close"}  # what else is sent, perhaps without end, is not read


class Uploads:
    """The folder of uploads, and how many are answered at the same time."""

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        self._free = limits.at_once
        self._folder: Path | None = None
        self._lock: FileLock | None = None

    def start(self) -> None:
        """Remove what killed services left, and make a folder."""
        parent = Path(tempfile.gettempdir()) / FOLDER
        parent.mkdir(mode=0o700, exist_ok=True)
        for left in parent.iterdir():
            lock = FileLock(left / LOCK)
            try:
                with lock.acquire(blocking=False):
                    shutil.rmtree(left, ignore_errors=True)
            except (Timeout, OSError):  # in use, or somebody else's
                continue
        self._folder = Path(tempfile.mkdtemp(dir=parent))
        self._lock = FileLock(self._folder / LOCK)
        self._lock.acquire()

    def stop(self) -> None:
        """Remove the folder."""
        if self._folder is not None and self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.release()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take part in what is received and decoded at the same time; only in the event loop.

        Raises
        ------
        ApiError
            429: too many others do.
        """
        if self._free < 1:
            raise busy(f"{self.limits.at_once} uploads are being answered")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    @contextmanager
    def files(self, sent: list[UploadFile]) -> Iterator[tuple[NamedFile, ...]]:
        """Write what was sent to files, which are removed at the end.

        Raises
        ------
        ApiError
            422: too many clips.
        """
        if len(sent) > self.limits.max_clips:
            found, expected = f"{len(sent)} clips", f"at most {self.limits.max_clips}"
            raise ApiError(422, "invalid_parameters", "clip", found, expected=expected)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            files = []
            for number, each in enumerate(sent, start=1):
                name = shown_name(each.filename or "", number)
                path = Path(folder) / str(number)  # without a suffix: the content decides
                with path.open("wb") as file:
                    shutil.copyfileobj(each.file, file)
                files.append(NamedFile(path=path, name=name))
            yield tuple(files)


def shown_name(sent: str, number: int) -> str:
    r"""Reduce the name of a file that was sent to what is repeated of it.

    Examples
    --------
    >>> shown_name("C:\\Music\\..\\Air\n.mp3", 1), shown_name("../", 2)
    ('Air .mp3', 'clip 2')
    """
    name = one_line(shown(re.split(r"[/\\]", sent)[-1]))
    return name[-MAX_NAME:] if name.strip(". ") else f"clip {number}"


class UploadRoute(APIRoute):
    """A route that takes a slot before it reads what is sent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the endpoint."""
        handle = super().get_route_handler()

        async def handle_in_slot(request: Request) -> Response:
            uploads: Uploads = request.app.state.uploads
            with uploads.slot():
                return await handle(request)

        return handle_in_slot


def bounded(receive: Receive, max_bytes: int, seconds: float) -> Receive:
    """Bound the bytes and the time of what a client sends.

    The function that is returned raises `ApiError`: 413, too many bytes; 408, too slow.
    """
    received, until, complete = 0, time.monotonic() + seconds, False

    async def receive_bounded() -> Message:
        nonlocal received, complete
        if complete:  # what is awaited now is the end of the connection
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
        except TimeoutError:
            found = f"did not arrive within {seconds:g} s"
            raise ApiError(408, "too_slow", "request", found, headers=CLOSE) from None
        received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received > max_bytes:
            raise too_large(max_bytes, CLOSE)
        return message

    return receive_bounded


def too_large(max_bytes: int, headers: dict[str, str] | None = None) -> ApiError:
    """Build the error for a request of too many bytes."""
    found, remedy = f"is larger than {max_bytes / 1e6:g} MB", "send a part of it: 30 s are enough"
    return ApiError(413, "too_large", "request", found, remedy=remedy, headers=headers)
