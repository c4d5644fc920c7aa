"""Work spread over processes: results in order, memory bounded, a worker that dies loses one item.

The processes are of this machine, or of a Dask cluster that is named by its scheduler's address:
the same call, the same results. Functions return their failures: an exception raised in a worker
is a bug.

On this machine workers are forked from a clean server that has made the slow imports once: as fast
as plain forking, and safe when the caller has threads. Where there is no such server they are
spawned. A cluster's workers need this package and Dask (`pip install 'twinear[dask]'`) and see the
caller's folder under the same path; one thread a worker is best (`dask worker ADDRESS --nworkers
auto --nthreads 1`), and one project at a time, because an item runs in the caller's folder.
"""

import math
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from twinear.base.errors import TwinearError

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Workers = int | str  # processes of this machine, or the address of a Dask scheduler

DASK = "TWINEAR_DASK"  # the environment's word for that address

PRELOAD = [
    "twinear.spectrograms.computation"
]  # the slow imports; what a worker lacks it imports itself
AHEAD = 4  # items handed out for each worker: enough to keep it busy, few enough to hold
COUNTED_SECONDS = 1  # between two counts of a cluster's workers, which come and go
PATIENCE_SECONDS = 60  # with a cluster that has no workers


def choose_workers(environment: Mapping[str, str]) -> Workers:
    """The cluster that TWINEAR_DASK names, else every core of this machine."""
    return environment.get(DASK) or os.cpu_count() or 1


def spread(
    function: Callable[[T], R], items: Iterable[T], workers: Workers, died: R
) -> Iterator[R]:
    """Yield `function(item)` for each item, in the order of `items`.

    When a worker dies, the items it may have died of are tried again one by one, each without
    others beside it; one that kills its worker again yields `died`.

    Raises
    ------
    TwinearError
        The cluster cannot be used: no Dask, no answer, no workers, or they do not see the folder.
    """
    todo = iter(items)
    flying: deque[tuple[T, Future[R]]] = deque()
    crew: _Crew = _Processes(workers) if isinstance(workers, int) else _Cluster(workers)
    try:
        while True:
            for item in islice(todo, max(0, crew.ahead() - len(flying))):
                flying.append((item, crew.submit(function, item)))
            if not flying:
                return
            item, future = flying.popleft()
            try:
                result = crew.result(future)
            except _WorkerDied:
                result = _again(crew, function, item, [each for _, each in flying], died)
            yield result
    finally:
        crew.close()


def _again(
    crew: "_Crew", function: Callable[[T], R], item: T, flying: list[Future[R]], died: R
) -> R:
    try:
        return crew.alone(function, item, flying)
    except _WorkerDied:
        return died


class _WorkerDied(Exception):
    """A process died while it had the item."""


class _Crew(Protocol):
    """Those who do the work; they are given `ahead` items at a time."""

    def ahead(self) -> int: ...
    def submit(self, function: Callable[[T], R], item: T) -> Future[R]: ...
    def result(self, future: Future[R]) -> R: ...
    def alone(self, function: Callable[[T], R], item: T, flying: list[Future[R]]) -> R: ...
    def close(self) -> None: ...


class _Processes:
    """Processes of this machine."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = _pool(workers)

    def ahead(self) -> int:
        return AHEAD * self._workers

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        try:
            return self._pool.submit(function, item)
        except BrokenProcessPool:
            self._pool = _pool(self._workers)
            return self._pool.submit(function, item)

    def result(self, future: Future[R]) -> R:
        try:
            return future.result()
        except BrokenProcessPool:
            raise _WorkerDied from None

    def alone(self, function: Callable[[T], R], item: T, _flying: list[Future[R]]) -> R:
        with _pool(1) as pool:  # a process of its own
            return self.result(pool.submit(function, item))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(PRELOAD)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)


def _ignore_interrupts() -> None:
    # Ctrl-C reaches every process of the group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Cluster:
    """The workers of a Dask scheduler, which itself gives the items of a dead one to others."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client, KilledWorker
        except ModuleNotFoundError:
            found = "is the address of a Dask cluster, and Dask is not installed"
            raise TwinearError(address, found, remedy="pip install 'twinear[dask]'") from None
        try:
            self._client = Client(address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise TwinearError(
                address,
                f"no Dask scheduler answers ({error})",
                expected="an address such as tcp://host:8786",
                remedy=f"start 'dask scheduler' or unset {DASK}",
            ) from None
        self._counted, self._workers = -math.inf, 1
        self._address = address
        self._folder = Path.cwd()
        self._killed = KilledWorker
        self._executor = self._client.get_executor(pure=False)

    def ahead(self) -> int:
        now = time.monotonic()
        if now > self._counted + COUNTED_SECONDS:
            self._counted = now
            self._workers = max(1, sum(self._client.nthreads().values()))
        return AHEAD * self._workers

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        future: Future[R] = self._executor.submit(_in_folder, self._folder, function, item)
        return future

    def result(self, future: Future[R]) -> R:
        while not wait([future], PATIENCE_SECONDS).done:
            self._require_workers()
        try:
            return future.result()
        except self._killed:
            raise _WorkerDied from None
        except CancelledError:
            raise TwinearError(self._address, "the Dask scheduler went away") from None
        except OSError as error:
            if error.filename != str(self._folder):
                raise
            found = f"a worker cannot enter {self._folder} ({error.strerror})"
            remedy = "mount the project there under the same path"
            raise TwinearError(self._address, found, remedy=remedy) from None

    def alone(self, function: Callable[[T], R], item: T, flying: list[Future[R]]) -> R:
        while wait(flying, PATIENCE_SECONDS).not_done:
            self._require_workers()
        return self.result(self.submit(function, item))

    def close(self) -> None:
        self._client.close()

    def _require_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, PATIENCE_SECONDS)
        except TimeoutError:
            found = f"has had no worker for {PATIENCE_SECONDS} seconds"
            remedy = f"start 'dask worker {self._address}'"
            raise TwinearError(self._address, found, remedy=remedy) from None


def _in_folder(folder: Path, function: Callable[[T], R], item: T) -> R:
    os.chdir(folder)  # paths mean what they mean to the caller
    return function(item)
