"""Work spread over processes: results in order, memory bounded, a worker that dies loses one item.

Workers are forked from a clean server that has made the slow imports once: as fast as plain
forking, and safe when the caller has threads. Where there is no such server they are spawned.
Functions return their failures: an exception raised in a worker is a bug.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[Iterable[Any]], Iterable[Any]]

PRELOAD = ["twinear.spectrograms"]  # the slow imports; what a worker lacks it imports itself
AHEAD = 4  # items handed out for each worker: enough to keep it busy, few enough to hold


def spread(function: Callable[[T], R], items: Iterable[T], workers: int, died: R) -> Iterator[R]:
    """Yield `function(item)` for each item, in the order of `items`.

    When a worker dies, the items it may have died of are tried again one by one, each in a
    process of its own; one that kills its process again yields `died`.
    """
    todo = iter(items)
    flying: deque[tuple[T, Future[R]]] = deque()
    pool = _pool(workers)
    try:
        while True:
            for item in islice(todo, AHEAD * workers - len(flying)):
                try:
                    future = pool.submit(function, item)
                except BrokenProcessPool:
                    pool = _pool(workers)
                    future = pool.submit(function, item)
                flying.append((item, future))
            if not flying:
                return
            item, future = flying.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                result = _alone(function, item, died)
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(function: Callable[[T], R], item: T, died: R) -> R:
    with _pool(1) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return died


def _pool(workers: int) -> ProcessPoolExecutor:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(PRELOAD)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)


def _ignore_interrupts() -> None:
    # Ctrl-C reaches every process of the group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
