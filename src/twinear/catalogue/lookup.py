"""Artists and clips of a catalogue, found by id, name or file without reading all of them.

One SQLite file, written once and read by any number of programs. An artist is found as
`artists.identity.find_artist` finds it: by id, else by normalised name. For suggestions a trigram
index preselects names that share rare trigrams with what was typed.

Normalised names are stored as text; ids, names, titles and files come back as they were, also
those that no UTF-8 text can hold (lone surrogates), which are stored as bytes.
"""

import errno
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from heapq import nsmallest
from itertools import groupby, product
from pathlib import Path
from typing import Any

from twinear.artists.identity import no_artist, normalise_name, several_artists, spell_plainly
from twinear.base.errors import DataError, nearest
from twinear.base.files import require

AGAIN = "run 'dvc repro catalogue'"
APPLICATION = 0x74776172  # "twar": SQLite's mark of whose file it is
LAYOUT = 2

TABLES = """
CREATE TABLE artists (row INTEGER PRIMARY KEY, artist, name, key TEXT, listeners INT, clips INT);
CREATE TABLE clips (row INTEGER PRIMARY KEY, folder, base, artist_row INT, title, seconds REAL);
CREATE TABLE words (place INT, start TEXT, artist_row INT, listeners INT);
CREATE TABLE heads (place INT, head TEXT, rank INT, artist_row INT, PRIMARY KEY (place, head, rank))
    WITHOUT ROWID;
CREATE VIRTUAL TABLE trigrams
    USING fts5(key, tokenize='trigram', content='', detail=none, columnsize=0);
CREATE VIRTUAL TABLE trigram_counts USING fts5vocab(trigrams, row);
"""
INDEXES = """
CREATE UNIQUE INDEX artists_by_id ON artists (artist);
CREATE INDEX artists_by_key ON artists (key, listeners);
CREATE INDEX words_by_start ON words (place, start, artist_row, listeners);
CREATE UNIQUE INDEX clips_by_file ON clips (base, folder);
CREATE INDEX clips_by_artist ON clips (artist_row);
"""
ARTIST = "SELECT artists.row, artist, name, listeners, clips FROM artists"
CLIP = "SELECT row, folder, base, artist_row, title, seconds FROM clips"
WORDS = "SELECT start, -listeners, artist_row FROM words WHERE place = ? ORDER BY start"
BEST = "SELECT artist_row FROM heads WHERE place = ? AND head = ? ORDER BY rank LIMIT ?"
STARTS = """
SELECT DISTINCT artist_row FROM words WHERE place = ? AND start >= ? AND start < ?
ORDER BY listeners DESC, artist_row LIMIT ?
"""

MAX_FOUND = 1000  # artists of one search
MAX_HEAD = 5  # letters that so many names may begin with
MAX_COMPARED = 1000  # names compared with a misspelt one, letter by letter
MAX_POSTINGS = 20_000  # entries of the trigram index that are read for it
LAST = "\U0010ffff"  # sorts behind every letter


@dataclass(frozen=True, kw_only=True)
class ArtistRecord:
    """An artist of a catalogue: its row, id, name, listeners (0: unknown) and number of clips."""

    row: int
    artist: str
    name: str
    listeners: int = 0
    clips: int = 0


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """A clip of a catalogue: its row, file and artist; "" and 0.0 where unknown."""

    row: int
    file: str
    artist_row: int
    title: str = ""
    seconds: float = 0.0


def write_artist_table(
    path: Path, artists: Iterable[ArtistRecord], clips: Iterable[ClipRecord]
) -> None:
    """Write the table to a new file; equal records give equal bytes.

    Raises
    ------
    OSError
        The disk is full, or refuses the write for another reason; the file is then useless.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # whole or not at all is what the caller's folder is for: no journal, no waiting
            connection.executescript(
                f"""
                PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
                PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -262144;
                PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LAYOUT};
                {TABLES}
                """
            )
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO artists VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (a.row, _stored(a.artist), _stored(a.name), _key(a.name), a.listeners, a.clips)
                    for a in artists
                ),
            )
            connection.executemany(
                "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        c.row,
                        *map(_stored, _split(c.file)),
                        c.artist_row,
                        _stored(c.title),
                        c.seconds,
                    )
                    for c in clips
                ),
            )
            names = connection.execute("SELECT row, name, listeners FROM artists ORDER BY row")
            connection.executemany(
                "INSERT INTO words VALUES (?, ?, ?, ?)",
                (
                    (place, start, row, listeners)
                    for row, name, listeners in names
                    for start, place in word_starts(_read(name)).items()
                ),
            )
            connection.execute(
                "INSERT INTO trigrams (rowid, key) "
                "SELECT row, ' ' || key || ' ' FROM artists ORDER BY row"
            )
            connection.executescript(INDEXES)  # which commits first
            connection.execute("BEGIN")
            for place, length in product((0, 1), range(1, MAX_HEAD + 1)):
                words = connection.execute(WORDS, (place,))
                best = _best(words, place, length)
                connection.executemany("INSERT INTO heads VALUES (?, ?, ?, ?)", best)
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class ArtistTable:
    """The artists and clips in a file that `write_artist_table` wrote.

    Attributes
    ----------
    path
        The file.
    n_artists, n_clips
        Their rows are 0 to n - 1.
    """

    path: Path
    n_artists: int
    n_clips: int
    _connection: sqlite3.Connection

    @classmethod
    def open(cls, path: Path) -> "ArtistTable":
        """Open a table; it is closed with the last reference to it.

        Raises
        ------
        DataError
            Missing, damaged, no table of artists, or of another layout.
        """
        require(path, AGAIN)
        try:
            # immutable: no locks, and no other files beside it
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro&immutable=1",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            application, layout, n_artists, n_clips, n_bytes = connection.execute(
                "SELECT application_id, user_version, (SELECT coalesce(max(row) + 1, 0) "
                "FROM artists), (SELECT coalesce(max(row) + 1, 0) FROM clips), "
                "page_count * page_size FROM pragma_application_id, pragma_user_version, "
                "pragma_page_count, pragma_page_size"
            ).fetchone()
        except sqlite3.DatabaseError as error:
            raise _damaged(path, error) from error
        if (application, layout) != (APPLICATION, LAYOUT):
            found = f"is a table of artists of layout {layout}"
            found = found if application == APPLICATION else "is a database of another program"
            raise DataError(path, found, expected=f"layout {LAYOUT}", remedy=AGAIN)
        if n_bytes != path.stat().st_size:
            found = f"has {path.stat().st_size:,} bytes"
            raise DataError(path, found, expected=f"{n_bytes:,}", remedy=AGAIN)
        return cls(path=path, n_artists=n_artists, n_clips=n_clips, _connection=connection)

    def __len__(self) -> int:
        """Count the artists."""
        return self.n_artists

    def __iter__(self) -> Iterator[ArtistRecord]:
        """Iterate over all artists by row; they are read a page at a time."""
        for start in range(0, self.n_artists, 1000):
            yield from self._artists(f"{ARTIST} WHERE row >= ? ORDER BY row LIMIT 1000", start)

    def find(self, query: str) -> ArtistRecord:
        """Find an artist by id or name; case and accents are ignored.

        Raises
        ------
        DataError
            No such artist (the message suggests similar names), or several.
        """
        matches = self.with_id(query, query.strip().lower()) or self.named(query)
        if len(matches) == 1:
            return matches[0]
        if matches:
            namesakes = [(match.name, match.artist) for match in matches]
            raise several_artists(self.path, query, namesakes)
        raise no_artist(self.path, query, len(self), self.suggest(query))

    def with_id(self, *ids: str) -> list[ArtistRecord]:
        """Find the artists that have one of these ids."""
        sql = f"{ARTIST} WHERE artist IN ({', '.join('?' for _ in ids)}) ORDER BY row"
        return self._artists(sql, *map(_stored, ids))

    def named(self, name: str) -> list[ArtistRecord]:
        """Find the artists of that name; case and accents are ignored."""
        return self._artists(f"{ARTIST} WHERE key = ? ORDER BY row", _key(name))

    def rows(self, ids: Iterable[str]) -> list[int]:
        """Find the rows of artists by id, in the order given.

        Raises
        ------
        DataError
            An id is not in the table.
        """
        wanted = list(ids)
        sql = "SELECT artist, artists.row FROM json_each(?) JOIN artists ON artist = value"
        found = {_read(artist): row for artist, row in self._rows(sql, json.dumps(wanted))}
        missing = [artist for artist in wanted if artist not in found]
        if missing:
            lacks = f"lacks {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
            raise DataError(self.path, lacks, remedy="run 'dvc repro', which brings all in step")
        return [found[artist] for artist in wanted]

    def suggest(self, query: str, n: int = 3) -> list[str]:
        """Suggest the names that are most like a misspelt one, best first; empty if none is."""
        key = _key(query)
        if self.n_artists <= MAX_COMPARED:
            rows: Sequence[int] = range(self.n_artists)
        else:
            rows = self._rows_sharing_trigrams(f" {key} ")
        sql = "SELECT artists.key, name FROM json_each(?) JOIN artists ON row = value ORDER BY row"
        spelt = dict(self._rows(sql, json.dumps(list(rows))))
        return [_read(spelt[near]) for near in nearest(key, spelt, n=n)]

    def search(self, text: str, n: int = 10) -> list[int]:
        """Find artists as somebody types, by row, best first: at most `n`, and at most 1,000.

        First those whose name is `text`, then those whose name begins with it, then those with a
        later word from which on it does; among them, those with more listeners. Each as typed, and
        then as `normalise_name` reads it, for which "The" does not count and "&" is "and". Empty
        for a blank text.
        """
        n, spellings = min(n, MAX_FOUND), _spellings(text)
        found: dict[tuple[int], None] = {}  # rows in order, each once
        for spelling in spellings:
            found |= dict.fromkeys(self._rows(STARTS, 0, spelling, spelling + "\0", n))
        for spelling, place in product(spellings, (0, 1)):
            if len(found) >= n:
                break
            best = self._rows(BEST, place, spelling, MAX_FOUND)
            if not best:  # then few begin with it
                best = self._rows(STARTS, place, spelling, spelling + LAST, MAX_FOUND)
            found |= dict.fromkeys(best)
        return [row for (row,) in found][:n]

    def record(self, row: int) -> ArtistRecord:
        """Read one artist.

        Raises
        ------
        IndexError
            There is no such row.
        """
        return self.records([row])[0]

    def records(self, rows: Iterable[int]) -> list[ArtistRecord]:
        """Read artists, in the order of their rows as given; a row may occur twice.

        Raises
        ------
        IndexError
            There is no such row.
        """
        wanted = [int(row) for row in rows]  # of NumPy, too
        sql = f"{ARTIST} JOIN json_each(?) ON artists.row = value ORDER BY json_each.key"
        found = self._artists(sql, json.dumps(wanted))
        if len(found) < len(wanted):
            raise IndexError(f"rows {wanted[:5]}… of {self.n_artists} artists")
        return found

    def clips_of(self, row: int) -> list[ClipRecord]:
        """Read the clips of an artist, by row."""
        return self._clips(f"{CLIP} WHERE artist_row = ? ORDER BY row", int(row))

    def clip(self, row: int) -> ClipRecord:
        """Read one clip.

        Raises
        ------
        IndexError
            There is no such row.
        """
        found = self._clips(f"{CLIP} WHERE row = ?", int(row))
        if not found:
            raise IndexError(f"row {row} of {self.n_clips} clips")
        return found[0]

    def find_clip(self, file: str) -> ClipRecord:
        """Find a clip by its file.

        The file is exact, or its last parts are (`a.mp3`, `Album/a.mp3`), or it is a longer path
        that ends with a file of the catalogue (`data/clips/a.mp3`).

        Raises
        ------
        DataError
            No such clip (the message suggests similar ones), or several.
        """
        _, base = _split(file)
        matches = self._clips(f"{CLIP} WHERE base = ? ORDER BY row", _stored(base))
        exact = [clip for clip in matches if clip.file == file]
        matches = exact or [
            clip
            for clip in matches
            if f"/{clip.file}".endswith(f"/{file}") or file.endswith(f"/{clip.file}")
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = ", ".join(clip.file for clip in matches[:5])
            found = f"several clips '{file}': {listed}" + (", …" if len(matches) > 5 else "")
            raise DataError(self.path, found, remedy="give the whole path")
        # a misspelt file is likely to sort near the one that is meant
        half = MAX_COMPARED // 2
        near = self._clips(f"{CLIP} WHERE base >= ? ORDER BY base LIMIT {half}", _stored(base))
        near += self._clips(f"{CLIP} WHERE base < ? ORDER BY base DESC LIMIT {half}", _stored(base))
        spelt = {_split(clip.file)[1]: clip.file for clip in near}
        likely = ", ".join(f"'{spelt[each]}'" for each in nearest(base, spelt, n=3))
        remedy = f"did you mean {likely}?" if likely else "give a file of the data folder"
        raise DataError(self.path, f"no clip '{file}' among {self.n_clips}", remedy=remedy)

    def _rows_sharing_trigrams(self, text: str) -> list[int]:
        """Find artists whose keys share the most of the text's rare trigrams, the most first."""
        trigrams = sorted({text[at : at + 3] for at in range(len(text) - 2)})
        sql = (
            "SELECT term, doc FROM json_each(?) JOIN trigram_counts ON term = value "
            "ORDER BY doc, term"
        )
        shared: Counter[int] = Counter()
        n_postings = 0
        for term, n_names in self._rows(sql, json.dumps(trigrams)):
            n_postings += n_names
            if shared and n_postings > MAX_POSTINGS:
                break
            quoted = '"' + term.replace('"', '""') + '"'
            match = self._rows("SELECT rowid FROM trigrams WHERE trigrams MATCH ?", quoted)
            shared.update(row for (row,) in match)
        return [row for row, _ in shared.most_common(MAX_COMPARED)]

    def _artists(self, sql: str, *values: Any) -> list[ArtistRecord]:
        return [
            ArtistRecord(
                row=row, artist=_read(artist), name=_read(name), listeners=listeners, clips=clips
            )
            for row, artist, name, listeners, clips in self._rows(sql, *values)
        ]

    def _clips(self, sql: str, *values: Any) -> list[ClipRecord]:
        return [
            ClipRecord(
                row=row,
                file=_read(folder) + _read(base),
                artist_row=artist_row,
                title=_read(title),
                seconds=seconds,
            )
            for row, folder, base, artist_row, title, seconds in self._rows(sql, *values)
        ]

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _damaged(self.path, error) from error


def _stored(text: str) -> str | bytes:
    """Keep a text that is no UTF-8 as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _read(value: str | bytes) -> str:
    """Undo `_stored`."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def _key(name: str) -> str:
    """Normalise a name and write what is no UTF-8 as an escape."""
    return normalise_name(name).encode("utf-8", "backslashreplace").decode()


def _split(file: str) -> tuple[str, str]:
    """Split a file into its folder, with the slash, and its base name."""
    folder, slash, base = file.rpartition("/")
    return folder + slash, base


def _spellings(name: str) -> list[str]:
    """Spell a name as it is typed, and as it is normalised, each once and none empty."""
    plain = spell_plainly(name).encode("utf-8", "backslashreplace").decode()
    return list(filter(None, dict.fromkeys((plain, _key(name)))))


def word_starts(name: str) -> dict[str, int]:
    """Give the rest of a name from each word on, in each spelling, with its place.

    The place is 0 for a whole name and 1 for the rest of one from a later word on.

    Examples
    --------
    >>> word_starts("The Stone Roses")
    {'the stone roses': 0, 'stone roses': 0, 'roses': 1}
    """
    spellings = _spellings(name)
    starts = dict.fromkeys(spellings, 0)
    for spelling in spellings:
        at = spelling.find(" ")
        while at >= 0:
            starts.setdefault(spelling[at + 1 :], 1)
            at = spelling.find(" ", at + 1)
    return starts


def _best(
    words: Iterable[tuple[str, int, int]], place: int, length: int
) -> Iterator[tuple[int, str, int, int]]:
    """Give the best artists of heads that so many have that sorting them would take long.

    A head is the first `length` letters of (start, -listeners, artist row), which are sorted.
    """
    for head, group in groupby(words, key=lambda word: word[0][:length]):
        ranked = {(listeners, row) for _, listeners, row in group}
        if len(head) == length and len(ranked) > MAX_FOUND:
            for rank, (_, row) in enumerate(nsmallest(MAX_FOUND, ranked)):
                yield place, head, rank, row


def begins_word(name: str, text: str) -> bool:
    """Whether `ArtistTable.search` would find a name.

    Examples
    --------
    >>> begins_word("The Stone Roses", "the s"), begins_word("The Stone Roses", "tone")
    (True, False)
    """
    starts = word_starts(name)
    return any(start.startswith(each) for each in _spellings(text) for start in starts)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(path, f"cannot be read as a table of artists ({error})", remedy=AGAIN)
