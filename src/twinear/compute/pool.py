"""A function mapped over items in processes: results in order, memory bounded, crashes survived.

The processes are of this machine, or of a Dask cluster given by its scheduler's address: the same
call, the same results. A worker that dies costs at most the item it died of. Functions return
their failures: an exception raised in a worker is a bug.

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
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

from twinear.base.errors import TwinearError

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Workers = int | str  # processes of this machine, or the address of a Dask scheduler

DASK = "TWINEAR_DASK"  # environment variable: that address

# The slow imports. A worker makes those that are missing here itself.
PRELOAD = ["twinear.spectrograms.computation"]
AHEAD = 4  # items handed out for each worker: enough to keep it busy, few enough to hold
RECOUNT_SECONDS = 1  # between two counts of a cluster's workers, which come and go
PATIENCE_SECONDS = 60  # with a cluster that has no workers


def choose_workers(environment: Mapping[str, str]) -> Workers:
    """Return the address in TWINEAR_DASK, else the number of this machine's cores.

    Examples
    --------
    >>> choose_workers({"TWINEAR_DASK": "tcp://host:8786"})
    'tcp://host:8786'
    """
    return environment.get(DASK) or os.cpu_count() or 1


def map_in_processes(
    function: Callable[[T], R], items: Iterable[T], workers: Workers, crashed: R
) -> Generator[R, None, None]:
    """Yield `function(item)` for each item, in the order of `items`.

    When a worker dies, the items that may have caused it are tried again one by one, each alone.
    An item that kills its worker again yields `crashed`. `TwinearError` if the cluster cannot be
    used: no Dask, no answer, no workers, or they do not see the folder.
    """
    remaining = iter(items)
    pending: deque[tuple[T, Future[R]]] = deque()
    pool = _LocalPool(workers) if isinstance(workers, int) else _DaskPool(workers)
    try:
        while True:
            for item in islice(remaining, max(0, pool.n_ahead() - len(pending))):
                pending.append((item, pool.submit(function, item)))
            if not pending:
                return
            item, future = pending.popleft()
            try:
                result = pool.result(future)
            except _WorkerDiedError:
                try:
                    result = pool.run_alone(function, item, [other for _, other in pending])
                except _WorkerDiedError:
                    result = crashed
            yield result
    finally:
        pool.close()


class _WorkerDiedError(Exception):
    """A process died while it had the item."""


class _LocalPool:
    """Processes of this machine."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor = _executor(workers)

    def n_ahead(self) -> int:
        """How many items to hand out before the first result is awaited."""
        return AHEAD * self._workers

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        with _interrupts_blocked():  # the first items start the workers
            try:
                return self._executor.submit(function, item)
            except BrokenProcessPool:  # one dead worker ends an executor
                self._executor = _executor(self._workers)
                return self._executor.submit(function, item)

    def result(self, future: Future[R]) -> R:
        try:
            return future.result()
        except BrokenProcessPool:
            raise _WorkerDiedError from None

    def run_alone(self, function: Callable[[T], R], item: T, _pending: list[Future[R]]) -> R:
        with _executor(1) as executor:  # so that a crash is this item's
            with _interrupts_blocked():
                future = executor.submit(function, item)
            return self.result(future)

    def close(self) -> None:
        """End the workers after the items they have; another Ctrl-C does not stop that half-way."""
        with _interrupts_held():
            self._executor.shutdown(cancel_futures=True)


def _executor(workers: int) -> ProcessPoolExecutor:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(PRELOAD)
    # Ctrl-C reaches every process of the group; only the parent answers it.
    ignored = (signal.SIGINT, signal.SIG_IGN)
    return ProcessPoolExecutor(workers, context, signal.signal, initargs=ignored)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, not even before they can ignore it.

    A process inherits what its parent blocks. One that was interrupted while it started left the
    executor waiting for it for ever.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    resource_tracker.ensure_running()  # its start, which the first worker brings, would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets it
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held and callable(before):
            before(held[0], None)


class _DaskPool:
    """Workers of a Dask scheduler, which itself gives the items of a dead worker to others."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client, KilledWorker
        except ModuleNotFoundError:
            found = "is the address of a Dask cluster, and Dask is not installed"
            raise TwinearError(address, found, remedy="pip install 'twinear[dask]'") from None
        try:
            self._client = Client(address, set_as_default=False)
        except (OSError, ValueError) as error:
            found = f"no Dask scheduler answers ({error})"
            expected = "an address such as tcp://host:8786"
            remedy = f"start 'dask scheduler' or unset {DASK}"
            raise TwinearError(address, found, expected=expected, remedy=remedy) from None
        self._counted_at, self._workers = -math.inf, 1
        self._address = address
        self._folder = Path.cwd()
        self._killed = KilledWorker
        self._executor = self._client.get_executor(pure=False)

    def n_ahead(self) -> int:
        now = time.monotonic()
        if now > self._counted_at + RECOUNT_SECONDS:
            self._counted_at = now
            self._workers = max(1, sum(self._client.nthreads().values()))
        return AHEAD * self._workers

    def submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        future: Future[R] = self._executor.submit(_run_in_folder, self._folder, function, item)
        return future

    def result(self, future: Future[R]) -> R:
        while not wait([future], PATIENCE_SECONDS).done:
            self._require_workers()
        try:
            return future.result()
        except self._killed:
            raise _WorkerDiedError from None
        except CancelledError:
            raise TwinearError(self._address, "the Dask scheduler went away") from None
        except OSError as error:
            if error.filename != str(self._folder):
                raise
            found = f"a worker cannot enter {self._folder} ({error.strerror})"
            remedy = "mount the project there under the same path"
            raise TwinearError(self._address, found, remedy=remedy) from None

    def run_alone(self, function: Callable[[T], R], item: T, pending: list[Future[R]]) -> R:
        while wait(pending, PATIENCE_SECONDS).not_done:
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


def _run_in_folder(folder: Path, function: Callable[[T], R], item: T) -> R:
    os.chdir(folder)  # relative paths mean what they mean to the caller
    return function(item)
