"""How often a service may be asked, kept exactly, and when it is left alone.

A `Limit` is a rolling window, not a token bucket. It has n slots. A request takes one before it is
sent and gives it back when its answer has come; the slot can be taken again `seconds` later. The
service saw the request somewhere between the two, so that it never sees more than n requests in any
window of that length, however long they are under way. A program that was stopped and started again
waits for a whole window if the one before it asked just now.
"""

import heapq
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

MARGIN_SECONDS = 0.002  # of rounding, between two clocks


class Clock(Protocol):
    """What time it is, and how to let it pass."""

    def now(self) -> float:
        """Seconds since 1970; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The computer's clock as it was at the start, and no setting of it since."""

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._start + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Limit:
    """At most `n` requests in any `seconds`, of all threads together.

    Parameters
    ----------
    mark
        A file whose time tells the next program when the last request was; None: not told.
    """

    def __init__(self, n: int, seconds: float, clock: Clock, mark: Path | None = None) -> None:
        self._seconds = seconds + MARGIN_SECONDS
        self._clock = clock
        self._mark = mark
        self._free = [self._last() + self._seconds] * n  # a heap: when each slot may be taken
        self._returned = threading.Condition()
        self._not_before = 0.0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot and hold it while a request is under way."""
        with self._returned:
            while not self._free:
                self._returned.wait()
            free = heapq.heappop(self._free)
        try:
            while (wait := max(free, self._not_before) - self._clock.now()) > 0:
                self._clock.sleep(wait)
            self._note()
            yield
        finally:
            self._note()
            with self._returned:
                heapq.heappush(self._free, self._clock.now() + self._seconds)
                self._returned.notify()

    def _last(self) -> float:
        """When the last request was, of this program or the one before it."""
        try:
            last = self._mark.stat().st_mtime if self._mark else 0.0
        except OSError:
            return 0.0
        return min(last, self._clock.now())

    def _note(self) -> None:
        if not self._mark:
            return
        now = self._clock.now()
        with suppress(OSError):  # an answer that cannot be written will say so
            self._mark.parent.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
            os.utime(self._mark, (now, now))

    def pause(self, seconds: float) -> None:
        """Let nobody ask for a while: the service said so."""
        self._not_before = max(self._not_before, self._clock.now() + seconds)


class Breaker:
    """Leaves a service alone after `failures` failures in a row, for `away_seconds`.

    Then one request may try; while it does, the others are still told that the service is away.
    """

    def __init__(self, failures: int, away_seconds: float, clock: Clock) -> None:
        self._allowed = failures
        self._away_seconds = away_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0
        self._said_until = 0.0

    def away_for(self) -> float:
        """How many seconds the service is still left alone; 0: it may be asked."""
        with self._lock:
            now = self._clock.now()
            left = max(self._until, self._said_until) - now
            if left <= 0 and self._failed >= self._allowed:
                self._until = now + self._away_seconds
            return max(0.0, left)

    def succeeded(self) -> None:
        """Hear that the service answered."""
        with self._lock:
            self._failed = 0
            self._until = 0.0

    def failed(self) -> None:
        """Hear that a request failed for good."""
        with self._lock:
            self._failed += 1
            if self._failed >= self._allowed:
                self._until = self._clock.now() + self._away_seconds

    def leave_alone(self, seconds: float) -> None:
        """Ask nothing for that long: the service said so."""
        with self._lock:
            self._said_until = max(self._said_until, self._clock.now() + seconds)
