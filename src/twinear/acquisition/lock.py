"""One fetch at a time into a data folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from twinear.base.errors import DataError


@contextmanager
def exclusive(lock_file: Path) -> Iterator[None]:
    """Hold a lock on a file, released also if the process is killed; `DataError` if it is held."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(lock_file).acquire(timeout=0)
    except Timeout:
        found, remedy = "another fetch is running", "wait until it has ended"
        raise DataError(lock_file.parent, found, remedy=remedy) from None
    with held:
        yield
