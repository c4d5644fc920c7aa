"""How often a service may be asked, kept exactly, and when it is left alone.

A `RateLimit` is a rolling window, not a token bucket. It has n slots. A request takes a slot before
it is sent and returns it when its response has come; the slot can be taken again `seconds` later.
The service saw the request at some moment between the two, so it never sees more than n requests in
any window of that length, however long they take. A program that is started again waits for a whole
window if the last request of the one before it is recent.
"""

import heapq
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARGIN_SECONDS = 0.002  # for rounding between two clocks


class SystemClock:
    """The computer's clock as it was at the start: setting it later has no effect.

    Tests have a clock that does not wait.
    """

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970; never goes back."""
        return self._start + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class RateLimit:
    """At most `n` requests in any `seconds`, over all threads.

    The modification time of `last_request_file` tells the next program when the last request was.
    """

    def __init__(
        self, n: int, seconds: float, clock: SystemClock, last_request_file: Path | None = None
    ) -> None:
        self._seconds = seconds + MARGIN_SECONDS
        self._clock = clock
        self._last_request_file = last_request_file
        last = 0.0
        if last_request_file:
            with suppress(OSError):
                last = min(last_request_file.stat().st_mtime, clock.now())
        self._free = [last + self._seconds] * n  # a heap: when each slot may be taken
        self._returned = threading.Condition()
        self._not_before = 0.0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot and hold it during a request."""
        with self._returned:
            while not self._free:
                self._returned.wait()
            free = heapq.heappop(self._free)
        try:
            while (wait := max(free, self._not_before) - self._clock.now()) > 0:
                self._clock.sleep(wait)
            self._record_request()
            yield
        finally:
            self._record_request()
            with self._returned:
                heapq.heappush(self._free, self._clock.now() + self._seconds)
                self._returned.notify()

    def pause(self, seconds: float) -> None:
        """Let no thread send a request for a while, because the service asked for fewer."""
        self._not_before = max(self._not_before, self._clock.now() + seconds)

    def _record_request(self) -> None:
        if not self._last_request_file:
            return
        now = self._clock.now()
        with suppress(OSError):  # if the folder cannot be written, caching the response will fail
            self._last_request_file.parent.mkdir(parents=True, exist_ok=True)
            self._last_request_file.touch()
            os.utime(self._last_request_file, (now, now))


class CircuitBreaker:
    """Leaves a service alone for `away_seconds` after `failures` failures in a row.

    Then one request may try; until it has ended, the service still counts as away for the others.
    """

    def __init__(self, failures: int, away_seconds: float, clock: SystemClock) -> None:
        self._max_failures = failures
        self._away_seconds = away_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._n_failed = 0
        self._away_until = 0.0  # after failures; a success ends it
        self._blocked_until = 0.0  # at the service's request; nothing ends it early

    def away_for(self) -> float:
        """How many more seconds the service is left alone; 0 if it may be asked."""
        with self._lock:
            now = self._clock.now()
            left = max(self._away_until, self._blocked_until) - now
            if left <= 0 and self._n_failed >= self._max_failures:
                self._away_until = now + self._away_seconds  # for the others, while this one tries
            return max(0.0, left)

    def succeeded(self) -> None:
        """Record that the service answered."""
        with self._lock:
            self._n_failed = 0
            self._away_until = 0.0

    def failed(self) -> None:
        """Record that a request failed after all its attempts."""
        with self._lock:
            self._n_failed += 1
            if self._n_failed >= self._max_failures:
                self._away_until = self._clock.now() + self._away_seconds

    def leave_alone(self, seconds: float) -> None:
        """Send no request for that long, because the service asked for it."""
        with self._lock:
            self._blocked_until = max(self._blocked_until, self._clock.now() + seconds)
