"""Worker processes that each run one trial at a time and report every epoch.

After each epoch a worker waits for the answer whether to go on. So the parent decides on pruning,
and a worker whose parent was killed notices it and ends. A process that the system kills (out of
memory) costs its trial only; a new one takes its place. Ctrl-C reaches the parent alone.
"""

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from twinear.base.errors import ParamsError, TrainingError, TwinearError
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.tuning.evaluation import EpochReport, Job, Sources, SplitResult, evaluate

State = Literal["complete", "pruned", "failed"]
STOP_SECONDS = 5  # for a process to end by itself
BUG, TERMINATED = 1, 143  # exit codes: Python's for an exception, the usual one for SIGTERM


@dataclass(frozen=True, kw_only=True)
class TrialEnd:
    """How a trial ended."""

    state: State  # `pruned`: the answer after an epoch was no; `failed`: it cannot be trained
    results: Sequence[SplitResult] = ()  # of every split, if the trial is complete
    reason: str = ""  # why it failed


Message = EpochReport | TrialEnd


class _StopTrial(Exception):
    """The answer after an epoch was no."""


class _Worker:
    """A process, the parent's end of its pipe, and the key of the trial that it runs."""

    def __init__(self, sources: Sources) -> None:
        # torch's threads do not survive a fork: fork from a server that has only imported it
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([evaluate.__module__])
        self.pipe, child_pipe = context.Pipe()
        arguments = (child_pipe, sources)
        self.process: BaseProcess = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        child_pipe.close()  # else the pipe stays open here after the process has died
        self.key: Any = None

    def read(self) -> Message:
        """Receive a message; raise an error of the data, with which no trial can run."""
        try:
            message: Message | TwinearError = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode or 0
            if code == BUG:
                raise RuntimeError("a worker of the search ended with the error above") from None
            reason = f"its process was killed (exit code {code}); out of memory?"
            return TrialEnd(state="failed", reason=reason)
        if isinstance(message, TwinearError):
            raise message
        return message

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class WorkerPool:
    """Up to `size` workers; a trial is identified by a key."""

    def __init__(self, size: int, sources: Sources) -> None:
        self._size, self._sources = size, sources
        self._workers: list[_Worker] = []

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    @property
    def running(self) -> list[Any]:
        """The keys of the running trials."""
        return [worker.key for worker in self._workers if worker.key is not None]

    @property
    def has_room(self) -> bool:
        """Whether another trial can be started."""
        return len(self.running) < self._size

    def start(self, key: Any, job: Job) -> None:
        """Run a trial on an idle worker, or on a new one."""
        worker = next((worker for worker in self._workers if worker.key is None), None)
        if worker is None:
            worker = _Worker(self._sources)
            self._workers.append(worker)
        worker.key = key
        worker.pipe.send(job)

    def messages(self, seconds: float) -> Iterator[tuple[Any, Message]]:
        """Yield (key, message), waiting for the first; answer each `EpochReport`."""
        workers = {worker.pipe: worker for worker in self._workers if worker.key is not None}
        for pipe in wait(list(workers), seconds):
            worker = workers[pipe]  # type: ignore[index]
            key, message = worker.key, worker.read()
            if not isinstance(message, EpochReport):
                worker.key = None
                if not worker.process.is_alive():
                    self._workers.remove(worker)
            yield key, message

    def answer(self, key: Any, *, go_on: bool) -> None:
        """Let the trial go on, or stop it."""
        worker = next(worker for worker in self._workers if worker.key == key)
        with suppress(BrokenPipeError):  # it has died: `messages` reports that next
            worker.pipe.send(go_on)


def _work(pipe: Connection, sources: Sources) -> None:
    """Run the jobs that arrive until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # exit by an exception, so that no half-written file stays
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        data = None
        while True:
            job = pipe.recv()
            try:
                if data is None:
                    clips = Spectrograms.read(sources.spectrograms)
                    data = clips, Similarity.read(sources.similarity)
                pipe.send(_run(job, *data, pipe))
            except TwinearError as error:
                pipe.send(error)


def _run(job: Job, clips: Spectrograms, similarity: Similarity, pipe: Connection) -> Message:
    def report(epoch: EpochReport) -> None:
        pipe.send(epoch)
        if not pipe.recv():
            raise _StopTrial

    try:
        return TrialEnd(state="complete", results=evaluate(job, clips, similarity, report))
    except _StopTrial:
        return TrialEnd(state="pruned")
    except (TrainingError, ParamsError) as error:
        return TrialEnd(state="failed", reason=str(error))
    except MemoryError:
        return TrialEnd(state="failed", reason="out of memory")
    except RuntimeError as error:  # torch raises it for shapes that do not fit and for memory
        traceback.print_exc()
        return TrialEnd(state="failed", reason=str(error).splitlines()[0])
