"""Work spread over threads that wait for the network: results as they come, stopped at once."""

import threading
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

POLL_SECONDS = 0.2


def in_threads(function: Callable[[T], R], items: Sequence[T], n_threads: int) -> Generator[R]:
    """Yield `function(item)` for each item, in the order in which they finish.

    An error in one of them ends the iteration. The threads are daemons: one that waits minutes for
    a service does not delay the end of the program, as those of a `ThreadPoolExecutor` would.
    """
    todo: SimpleQueue[T] = SimpleQueue()
    done: SimpleQueue[tuple[list[R], BaseException | None]] = SimpleQueue()
    for item in items:
        todo.put(item)
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put(([function(item)], None))
            except BaseException as error:  # raised again in the thread that iterates
                done.put(([], error))
                return

    for _ in range(min(n_threads, len(items))):
        threading.Thread(target=work, daemon=True).start()
    n_left = len(items)
    try:
        while n_left:
            try:
                results, error = done.get(timeout=POLL_SECONDS)
            except Empty:  # waiting without a timeout can miss an interrupt
                continue
            if error:
                raise error
            n_left -= 1
            yield from results
    finally:
        stopped.set()
