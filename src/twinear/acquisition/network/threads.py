"""Work spread over threads that wait for the network: results as they come, stopped at once."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

HEED_SECONDS = 0.2


def in_threads(function: Callable[[T], R], items: Sequence[T], n: int) -> Iterator[R]:
    """Yield `function(item)` for each item, as they are ready; an error in one ends it all.

    The threads are daemons: one that waits minutes for a service does not hold up the end of the
    program, as those of a `ThreadPoolExecutor` would.
    """
    todo: SimpleQueue[T] = SimpleQueue()
    done: SimpleQueue[tuple[list[R], BaseException | None]] = SimpleQueue()
    for item in items:
        todo.put(item)

    def work() -> None:
        while True:
            try:
                item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put(([function(item)], None))
            except BaseException as error:  # not handled, but handed over
                done.put(([], error))
                return

    for _ in range(min(n, len(items))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in items:
            results, error = _next(done)
            if error:
                raise error
            yield from results
    finally:
        _drain(todo)


def _next(done: SimpleQueue[T]) -> T:
    while True:
        try:
            return done.get(timeout=HEED_SECONDS)
        except Empty:  # a wait without end may not hear an interrupt that another thread caught
            continue


def _drain(todo: SimpleQueue[T]) -> None:
    while True:
        try:
            todo.get_nowait()
        except Empty:
            return
