"""Worker processes that each run one trial at a time, and tell of every epoch.

After each epoch a worker waits for the answer whether to go on: who asks decides, and a worker
whose parent was killed notices and ends. A process that the system kills (out of memory) costs its
trial only; a fresh one takes its place. Ctrl-C reaches the parent alone.
"""

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from twinear.base.errors import ParamsError, TrainingError, TwinearError
from twinear.tuning.evaluation import Data, Job, Judged, Sources, Step, evaluate

STOP_SECONDS = 5  # for a process to end by itself
BUG, TOLD_TO_STOP = 1, 143  # exit codes: Python's for an exception, the usual one for SIGTERM


@dataclass(frozen=True, kw_only=True)
class Ended:
    """All parts are judged."""

    judged: list[Judged]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The trial was told not to go on."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """These params cannot be trained."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Broken:
    """No trial could run: the data are to blame."""

    error: TwinearError


News = Step | Ended | Stopped | Failed | Broken


class _Stop(Exception):
    """The answer after an epoch was no."""


class _Worker:
    """A process, our end of the pipe to it, and whose trial it runs."""

    def __init__(self, sources: Sources) -> None:
        # torch's threads do not survive a fork: fork from a server that has only imported it
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([evaluate.__module__])
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, sources), daemon=True
        )
        self.process.start()
        theirs.close()
        self.key: Any = None

    def read(self) -> News:
        try:
            news: News = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode or 0
            if code == BUG:
                raise RuntimeError("a worker of the search ended with the error above") from None
            return Failed(reason=f"its process was killed (exit code {code}); out of memory?")
        return news

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Crew:
    """Some workers; a trial is known by a key."""

    def __init__(self, size: int, sources: Sources) -> None:
        self._size, self._sources = size, sources
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._workers:
            each.stop()

    @property
    def running(self) -> list[Any]:
        """The keys of the trials that run."""
        return [each.key for each in self._workers if each.key is not None]

    @property
    def has_room(self) -> bool:
        """Whether a trial can be given."""
        return len(self.running) < self._size

    def give(self, key: Any, job: Job) -> None:
        """Let an idle worker run a trial."""
        worker = next((each for each in self._workers if each.key is None), None)
        if worker is None:
            worker = _Worker(self._sources)
            self._workers.append(worker)
        worker.key = key
        worker.pipe.send(job)

    def news(self, seconds: float) -> Iterator[tuple[Any, News]]:
        """What the workers have to say; a `Step` must be answered before they go on."""
        pipes = {each.pipe: each for each in self._workers if each.key is not None}
        for pipe in wait(list(pipes), seconds):
            worker = pipes[pipe]  # type: ignore[index]
            key, news = worker.key, worker.read()
            if not isinstance(news, Step):
                worker.key = None
                if not worker.process.is_alive():
                    self._workers.remove(worker)
            yield key, news

    def answer(self, key: Any, *, go_on: bool) -> None:
        """Let the trial go on, or not."""
        worker = next(each for each in self._workers if each.key == key)
        with suppress(BrokenPipeError):  # it died meanwhile, which `news` will tell
            worker.pipe.send(go_on)


def _work(pipe: Connection, sources: Sources) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TOLD_TO_STOP))  # leaves no half a file
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        data = None
        while True:
            job = pipe.recv()
            try:
                data = data or Data.read(sources)
                pipe.send(_run(job, data, pipe))
            except TwinearError as error:
                pipe.send(Broken(error=error))


def _run(job: Job, data: Data, pipe: Connection) -> News:
    def ask(step: Step) -> None:
        pipe.send(step)
        if not pipe.recv():
            raise _Stop

    try:
        return Ended(judged=evaluate(job, data, ask))
    except _Stop:
        return Stopped()
    except (TrainingError, ParamsError) as error:
        return Failed(reason=str(error))
    except MemoryError:
        return Failed(reason="out of memory")
    except RuntimeError as error:  # what torch says of shapes that do not fit, and of memory
        traceback.print_exc()
        return Failed(reason=str(error).splitlines()[0])
