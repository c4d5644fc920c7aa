"""What was read of the files of a folder of music, kept in one SQLite file.

A file is known by path, size and time of change, and by the scorer that encoded it. Each recording
is committed as it comes: a run may be interrupted or killed at any moment. Several programs may use
the file at once; one waits for the other to write. What is lost with the file is only time.

Tags are kept as they are: the place of a file in the folder says what they lack, and the folder may
be another one the next time.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from twinear.acquisition.music_folder import FileTags
from twinear.base.errors import DataError
from twinear.spectrograms.front_end import Floats

APPLICATION = 0x7477726C  # "twrl": SQLite's mark of whose file it is
LAYOUT = 1
PATIENCE_SECONDS = 60.0  # with another program that writes
TABLE = """
CREATE TABLE IF NOT EXISTS recordings (
    path BLOB, scorer TEXT, size INT, mtime_ns INT, fault TEXT, tags TEXT, seconds REAL, dbfs REAL,
    sha256 TEXT, embedding BLOB, PRIMARY KEY (path, scorer)
)
"""
DELETE = "delete it; the recordings are then encoded again"
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")  # the last: it lacks the table


@dataclass(frozen=True, kw_only=True)
class FileState:
    """A file as it was found: with another size or time of change it is another file."""

    file: Path
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, file: Path) -> "FileState":
        """Look at a file; `OSError` if that is not possible."""
        status = file.stat()
        return cls(file=file, size=status.st_size, mtime_ns=status.st_mtime_ns)


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedRecording:
    """What is known of a file; of one that cannot be decoded only the fault."""

    fault: str = ""
    tags: FileTags = field(default_factory=lambda: FileTags(values={}, seconds=0.0))
    seconds: float = 0.0  # as far as it was decoded
    dbfs: float = 0.0  # RMS level of what the front end takes
    sha256: str = ""  # of the waveform: files with other tags may hold the same audio
    embedding: Floats = field(default_factory=lambda: np.empty(0, np.float32))  # (units,)


@dataclass(frozen=True, kw_only=True)
class LibraryCache:
    """The recordings that one scorer encoded.

    Attributes
    ----------
    scorer_sha256
        The scorer; what others encoded is kept beside.
    units
        Length of its embeddings.
    """

    path: Path
    scorer_sha256: str
    units: int
    _connection: sqlite3.Connection

    @classmethod
    @contextmanager
    def open(cls, path: Path, scorer_sha256: str, units: int) -> Iterator["LibraryCache"]:
        """Open the file, or make it.

        Raises
        ------
        DataError
            It is damaged, of another program or layout, cannot be written, or another program
            writes for too long; also while it is open.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(path, error) from error
        try:
            with closing(
                sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
            ) as connection:
                _prepare(connection, path)
                yield cls(
                    path=path, scorer_sha256=scorer_sha256, units=units, _connection=connection
                )
        except sqlite3.Error as error:
            raise _explain(path, error) from error

    def read(self, state: FileState) -> EncodedRecording | None:
        """Read what is known of a file; None if it is new or changed."""
        row = self._connection.execute(
            "SELECT fault, tags, seconds, dbfs, sha256, embedding FROM recordings "
            "WHERE path = ? AND scorer = ? AND size = ? AND mtime_ns = ?",
            (_key(state.file), self.scorer_sha256, state.size, state.mtime_ns),
        ).fetchone()
        if row is None:
            return None
        fault, tags, seconds, dbfs, sha256, embedding = row
        if fault:
            return EncodedRecording(fault=fault)
        try:
            recording = EncodedRecording(
                tags=FileTags(**json.loads(tags)),
                seconds=seconds,
                dbfs=dbfs,
                sha256=sha256,
                embedding=np.frombuffer(embedding, np.float32),
            )
        except (ValueError, TypeError) as error:
            raise _damaged(self.path, str(error)) from error
        if len(recording.embedding) != self.units or not np.isfinite(recording.embedding).all():
            raise _damaged(self.path, f"the embedding of {state.file}")
        return recording

    def write(self, state: FileState, recording: EncodedRecording) -> None:
        """Keep what was read of a file."""
        values = (
            *(_key(state.file), self.scorer_sha256, state.size, state.mtime_ns, recording.fault),
            *(json.dumps(asdict(recording.tags)), recording.seconds, recording.dbfs),
            *(recording.sha256, recording.embedding.astype(np.float32).tobytes()),
        )
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT OR REPLACE INTO recordings VALUES ({marks})", values)  # noqa: S608


def _key(file: Path) -> bytes:
    return os.fsencode(os.path.abspath(file))  # noqa: PTH100  # links stay


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table in a new file; refuse a file that is not such a table."""
    application, layout, n_pages = connection.execute(
        "SELECT application_id, user_version, page_count "
        "FROM pragma_application_id, pragma_user_version, pragma_page_count"
    ).fetchone()
    if not n_pages:
        connection.execute("BEGIN IMMEDIATE")  # two programs may be making it
        connection.execute(TABLE)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {LAYOUT}")
        connection.execute("COMMIT")
    elif application != APPLICATION:
        raise DataError(path, "is a database of another program", remedy="name another file")
    elif layout != LAYOUT:
        raise DataError(path, f"has layout {layout}", expected=f"{LAYOUT}", remedy=DELETE)


def _explain(path: Path, error: sqlite3.Error) -> DataError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(DAMAGED):
        return _damaged(path, str(error))
    if name.startswith("SQLITE_BUSY"):
        found = f"another program has been writing to it for {PATIENCE_SECONDS:.0f} seconds"
        return DataError(path, found, remedy="wait until it has ended, or end it")
    return _not_written(path, error)


def _not_written(path: Path, error: Exception) -> DataError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    remedy = "free some space or fix the permissions and run again; what was encoded is kept"
    return DataError(path, f"could not be written ({reason})", remedy=remedy)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(path, f"is damaged ({reason})", remedy=DELETE)
