"""A few processes of limits, kept warm; one that dies or takes too long is replaced.

They are forked from a clean server that has made the slow imports once, so that another one is
there within milliseconds.
"""

import logging
import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec

from twinear.serve.errors import ApiError
from twinear.serve.limited_messages import Failure, Job, Prepare, Reply, Work
from twinear.serve.options import UploadLimits
from twinear.serve.snapshot import Snapshot

log = logging.getLogger(__name__)

WORK = "twinear.serve.limited_work"  # imports torch, which the service itself does not need
STATUS = {"not_audio": 415, "unusable": 422, "too_large": 422}


class LimitedProcesses:
    """Processes that decode audio, each for one job at a time."""

    def __init__(self, workers: int, limits: UploadLimits) -> None:
        self._limits = limits
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()  # the one used last is warm
        self._all: list[_Process] = []
        for _ in range(workers):
            process = _Process(limits)
            self._all.append(process)
            self._idle.put(process)
        self._stopped = False
        self._waiting = threading.BoundedSemaphore(workers + limits.at_once)

    def prepare(self, snapshot: Snapshot) -> None:
        """Start the processes and have them load what a scorer needs, in the background."""

        def prepare_each() -> None:
            for _ in self._all:
                with self._take() as process:
                    if not self._stopped:
                        process.do(Prepare(), snapshot)

        threading.Thread(target=prepare_each, name="prepare", daemon=True).start()

    def do(self, work: Work, snapshot: Snapshot) -> Reply:
        """Do work by the scorer of a snapshot, in the next process that is free.

        Raises
        ------
        ApiError
            415: no audio; 422: it cannot be used, or takes more than it may; 429: too many are
            waiting.
        """
        if not self._waiting.acquire(blocking=False):
            raise busy("too many clips are being decoded")
        try:
            with self._take() as process:
                if self._stopped:
                    raise busy("the service is ending")
                reply = process.do(work, snapshot)
        finally:
            self._waiting.release()
        if (failure := reply.failure) is not None:
            raise ApiError(
                STATUS[failure.kind],
                failure.kind,
                failure.place,
                failure.found,
                expected=failure.expected,
                remedy=failure.remedy,
            )
        return reply

    @contextmanager
    def _take(self) -> Iterator["_Process"]:
        process = self._idle.get()
        try:
            yield process
        finally:
            self._idle.put(process)

    def stop(self) -> None:
        """End the processes; a job that one of them does fails."""
        self._stopped = True
        for process in self._all:
            process.kill()
        for _ in self._all:
            with self._take() as process:
                process.end()


def busy(found: str) -> ApiError:
    """Build the error for a service that has as much to do as it may."""
    return ApiError(
        429, "busy", "", found, remedy="try again in a moment", headers={"Retry-After": "2"}
    )


class _Process:
    """A process, started when it is first needed, and again when it has ended."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._scorer_sha256 = ""
        self._killed = False

    def do(self, work: Work, snapshot: Snapshot) -> Reply:
        """Do one job; a process that does not survive it gives a `Failure`."""
        digest = snapshot.collection.catalogue.scorer_sha256
        connection = self._start()
        job = Job(
            work=work,
            cpu_seconds=self._limits.cpu_seconds,
            scorer_sha256=digest,
            scorer=None if digest == self._scorer_sha256 else snapshot.scorer,
        )
        found = "crashes the decoder"
        try:
            connection.send(job)
            self._scorer_sha256 = digest
            if connection.poll(self._limits.wall_seconds):
                return msgspec.msgpack.decode(connection.recv_bytes(), type=Reply)
            found = f"takes longer than {self._limits.wall_seconds:g} s"
        except (EOFError, OSError, msgspec.MsgspecError):
            if self._process is not None:
                self._process.join(1)
                if self._process.exitcode == -signal.SIGXCPU:
                    found = f"takes more than {self._limits.cpu_seconds} s of computing"
        self.end()
        if not self._killed:
            log.warning("a decoding process was ended: %s", found)
        return Reply(failure=Failure(kind="too_large", place="clip", found=found))

    def _start(self) -> Connection:
        if self._connection is not None and self._process and self._process.is_alive():
            return self._connection
        self.end()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([WORK])
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_run, args=(theirs, self._limits.memory_bytes), name="decoding", daemon=True
        )
        process.start()
        theirs.close()  # so that the end of the process is seen
        self._process, self._connection = process, ours
        return ours

    def kill(self) -> None:
        """Have the process end, whatever it does; another thread may wait for it."""
        self._killed = True
        if (process := self._process) is not None:
            process.kill()

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
        self._scorer_sha256 = ""


def _run(connection: Connection, memory_bytes: int) -> None:
    from twinear.serve.limited_work import run  # with torch

    run(connection, memory_bytes)
