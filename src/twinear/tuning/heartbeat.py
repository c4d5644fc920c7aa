"""Who is alive: a search that was killed leaves trials behind that nobody runs.

A search holds a lock on a file of its own, which the system lets go of even after `kill -9`, and
leaves the time in the study every `BEAT_SECONDS`. Searches that share the folder see each other's
locks; for those on other machines the time counts.
"""

import fcntl
import os
import time
import uuid
from pathlib import Path

BEAT_SECONDS = 15.0
SILENT_SECONDS = 90.0  # clocks of machines differ by less


class Presence:
    """A search, as others see it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.id = uuid.uuid4().hex
        self._path = folder / f"{self.id}.lock"
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._beaten = -BEAT_SECONDS

    def close(self) -> None:
        """Leave."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def is_due(self) -> bool:
        """Whether it is time to leave the time again."""
        now = time.monotonic()
        if now < self._beaten + BEAT_SECONDS:
            return False
        self._beaten = now
        return True

    def is_alive(self, other: str, beat: float) -> bool:
        """Whether the search with that id, which left the time `beat`, still runs."""
        if other == self.id:
            return True
        path = self._path.with_name(f"{other}.lock")
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return time.time() < beat + SILENT_SECONDS
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(file)
