"""Which searches are alive: a search that was killed leaves trials that nothing runs.

A search holds a lock on a file of its own, which the system releases even after `kill -9`, and
writes the time into the study every `BEAT_SECONDS`. Searches that share the folder see each other's
locks. For searches on other machines, which do not, the time counts.
"""

import time
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

BEAT_SECONDS = 15.0
SILENT_SECONDS = 90.0  # more than the clocks of two machines differ


class Heartbeat:
    """The sign of life of a search, and the look at that of others."""

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder
        self._lock = FileLock(folder / f"{self.id}.lock")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._last_beat = -BEAT_SECONDS

    def close(self) -> None:
        """Remove the lock file and release the lock."""
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def is_due(self) -> bool:
        """Whether it is time to write the time again."""
        now = time.monotonic()
        if now < self._last_beat + BEAT_SECONDS:
            return False
        self._last_beat = now
        return True

    def is_alive(self, search: str, beat: float) -> bool:
        """Whether the search with that id, whose last beat was at the time `beat`, still runs."""
        if search == self.id:
            return True
        path = self._folder / f"{search}.lock"
        if not path.exists():  # it runs on another machine, or has ended
            return time.time() < beat + SILENT_SECONDS
        try:
            with FileLock(path, blocking=False):
                path.unlink(missing_ok=True)
        except Timeout:
            return True
        return False
