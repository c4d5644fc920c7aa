"""The file of added artists: SQLite, written in transactions, never deleted by twinear.

Programs that write at the same time wait for each other; one that is killed leaves what was there.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from os import fsdecode
from pathlib import Path

from twinear.base.errors import DataError

APPLICATION = 0x7477_6164  # "twad": SQLite's mark of whose file it is
LAYOUT = 1
BUSY_SECONDS = 30.0  # wait so long for another program that writes
KEEP = "move it away, or restore it from a copy; twinear never deletes it"

# Rows are never used twice (AUTOINCREMENT): while a program encodes clips again, another one may
# remove their artist and add others.
TABLES = (
    """CREATE TABLE artists (
        row INTEGER PRIMARY KEY AUTOINCREMENT, artist TEXT NOT NULL UNIQUE, name TEXT NOT NULL)""",
    """CREATE TABLE clips (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        artist_row INT NOT NULL REFERENCES artists ON DELETE CASCADE,
        path BLOB NOT NULL, title TEXT NOT NULL, seconds REAL NOT NULL, sha256 TEXT NOT NULL,
        front TEXT NOT NULL, scorer TEXT NOT NULL, embedding BLOB NOT NULL,
        UNIQUE (artist_row, sha256))""",
    """CREATE TABLE inputs (
        clip_row INTEGER PRIMARY KEY REFERENCES clips ON DELETE CASCADE, log_mel BLOB NOT NULL)""",
    """CREATE TABLE represented (
        artist_row INTEGER PRIMARY KEY REFERENCES artists ON DELETE CASCADE,
        catalogue TEXT NOT NULL, nearness REAL NOT NULL,
        representatives BLOB NOT NULL, weights BLOB NOT NULL)""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {LAYOUT}",
)


@dataclass(frozen=True, kw_only=True)
class StoredClip:
    """A clip: `front` are the params of its input as JSON, `scorer` (SHA-256) made `embedding`."""

    row: int
    path: Path
    title: str
    seconds: float
    sha256: str
    front: str
    scorer: str
    embedding: bytes  # float32


@dataclass(frozen=True, kw_only=True)
class StoredArtist:
    """An artist and its clips, at least one."""

    row: int
    artist: str
    name: str
    clips: list[StoredClip]


@dataclass(frozen=True, kw_only=True)
class AdditionsFile:
    """The file at `path`, which is made when something is added."""

    path: Path

    def read(self) -> list[StoredArtist]:
        """Read all artists in the order in which they were added, without the clips' inputs.

        Raises
        ------
        DataError
            Damaged, locked, of another program or another version, or not readable.
        """
        if not self.path.exists():
            return []
        with self.connect() as connection:
            return self.read_from(connection) if self._has_tables(connection) else []

    @staticmethod
    def read_from(connection: sqlite3.Connection) -> list[StoredArtist]:
        """Read all artists within a transaction."""
        artists: dict[int, StoredArtist] = {}
        for artist_row, artist, name, row, path, *facts in connection.execute(
            "SELECT artists.row, artist, name, clips.row, path, title, seconds, sha256, front, "
            "scorer, embedding FROM artists JOIN clips ON artists.row = artist_row "
            "ORDER BY artists.row, clips.row"
        ):
            title, seconds, sha256, front, scorer, embedding = facts
            clip = StoredClip(
                row=row,
                path=Path(fsdecode(path)),
                title=title,
                seconds=seconds,
                sha256=sha256,
                front=front,
                scorer=scorer,
                embedding=embedding,
            )
            new = StoredArtist(row=artist_row, artist=artist, name=name, clips=[])
            artists.setdefault(artist_row, new).clips.append(clip)
        return list(artists.values())

    @contextmanager
    def transaction(
        self, *, create: bool = False, patience: float | None = None
    ) -> Iterator[sqlite3.Connection]:
        """Write all or nothing.

        Parameters
        ----------
        create
            Make the file if there is none.
        patience
            Wait so many seconds for another program that writes.

        Raises
        ------
        DataError
            As `read`; or the disk is full, or refuses the write.
        """
        with self.connect("rwc" if create else "rw", patience) as connection:
            if connection.execute("PRAGMA page_count").fetchone() == (0,):
                connection.execute("PRAGMA auto_vacuum = FULL")  # a new file will shrink, too
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                if not self._has_tables(connection):
                    for statement in TABLES:
                        connection.execute(statement)
                yield connection

    @contextmanager
    def connect(
        self, mode: str = "rw", patience: float | None = None
    ) -> Iterator[sqlite3.Connection]:
        """Open the file; what SQLite refuses becomes a `DataError`.

        Not for reading only: SQLite first undoes what a killed program has half written.
        """
        patience = BUSY_SECONDS if patience is None else patience
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        try:
            with closing(
                sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA foreign_keys = ON")
                yield connection
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):  # bugs
            raise
        except sqlite3.DatabaseError as error:
            raise self._refused(error) from error

    def damaged(self, what: str) -> DataError:
        """Build the error for content that was not written so."""
        return DataError(self.path, f"is damaged ({what})", remedy=KEEP)

    def _has_tables(self, connection: sqlite3.Connection) -> bool:
        """Check whose file it is; it has no tables if its first writer was killed."""
        application, layout, n_tables = connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if (application, n_tables) == (0, 0):
            return False
        if application != APPLICATION:
            found = "is a database of another program"
            raise DataError(self.path, found, expected="added artists", remedy=KEEP)
        if layout != LAYOUT:
            age, remedy = "an older", "move it away and add the artists again"
            if layout > LAYOUT:
                age, remedy = "a newer", "update twinear"
            found = f"was written by {age} twinear (layout {layout})"
            raise DataError(self.path, found, expected=f"layout {LAYOUT}", remedy=remedy)
        return True

    def _refused(self, error: sqlite3.DatabaseError) -> DataError:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # without the details
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            found = f"has been locked by another program for {BUSY_SECONDS:g} s"
            return DataError(self.path, found, remedy="wait until it has ended, and run again")
        if code in (
            *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
            *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
        ):
            found = f"could not be opened, read or written ({error})"
            remedy = "free some space or fix the permissions and run again; what was there stays"
            return DataError(self.path, found, remedy=remedy)
        return self.damaged(str(error))
