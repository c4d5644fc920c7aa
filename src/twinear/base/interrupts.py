"""Ctrl-C and SIGTERM end a program with one line, and nothing half-written stays.

While the modules of a program are imported there is nothing to tidy, and an exception that is
raised in the middle of an import comes out as anything: there Ctrl-C ends the process at once.
Later both are exceptions, so that temporary files are removed and worker processes ended.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143  # exit codes, as a shell gives them


class Terminated(SystemExit):
    """SIGTERM came."""


def end_on_interrupt() -> None:
    """End the program on Ctrl-C with one line, until `one_line_errors` takes over.

    What ignores Ctrl-C goes on ignoring it.
    """
    if _can_set_handlers() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on Ctrl-C and `Terminated` on SIGTERM.

    Handlers that somebody else has set stay.
    """
    if not _can_set_handlers():
        yield
        return
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated(TERMINATED)


def _can_set_handlers() -> bool:
    return threading.current_thread() is threading.main_thread()
