"""Which recordings of a folder of music a media server knows, and by which ids: `library.csv`.

Columns: item_id, file, artist, artist_id, mbid, title, album, seconds. The first two are enough;
the rest is then taken from the tags. Ids are those of the media server, or, where a folder is all
there is, hashes of the paths under it: they stay when tags change.
"""

import csv
import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from twinear.acquisition.subsonic import ServerSong
from twinear.artists.identity import artist_id, is_mbid, normalise_name
from twinear.base.errors import DataError
from twinear.base.files import replacing
from twinear.base.table import read_table
from twinear.recommendation.playlist import PlaylistEntry

REMEDY = "run 'twinear library sync'"
SAME_SECONDS = 3.0  # durations of one recording differ by less


@dataclass(frozen=True, kw_only=True)
class LibraryItem:
    """A recording as a media server knows it; "" and 0.0 where unknown."""

    item_id: str
    file: Path
    artist: str = ""
    artist_id: str = ""  # the server's; "" where there is no server
    mbid: str = ""  # of the artist
    title: str = ""
    album: str = ""
    seconds: float = 0.0


COLUMNS = tuple(field.name for field in fields(LibraryItem))


@dataclass(frozen=True, kw_only=True)
class MatchedSongs:
    """The songs of a server whose files were found, and those whose files were not."""

    items: list[LibraryItem]
    missing: list[ServerSong]


def write_library_table(items: Iterable[LibraryItem], path: Path) -> None:
    """Write the table, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*astuple(item)[:-1], f"{item.seconds:.1f}") for item in items)


def read_library_table(path: Path) -> list[LibraryItem]:
    """Read the table; a relative file lies beside it.

    Raises
    ------
    DataError
        Missing, without item_id or file, an id that is empty or occurs twice, or a duration that
        is no number.
    """
    items: dict[str, LibraryItem] = {}
    for row in read_table(path, COLUMNS, REMEDY, ("item_id", "file")).rows:
        place, values = f"{path}:{row.line}", row.values
        item_id = values["item_id"]
        if not item_id or not values["file"]:
            raise DataError(place, "has no item_id or no file", remedy=REMEDY)
        if item_id in items:
            raise DataError(place, f"has the id {item_id} again", remedy="keep one of the rows")
        try:
            seconds = float(values.get("seconds") or 0)
        except ValueError:
            found = f"{values['seconds']} seconds"
            raise DataError(place, found, expected="a number", remedy=REMEDY) from None
        texts = {key: values.get(key, "") for key in COLUMNS[2:-1]}
        items[item_id] = LibraryItem(
            item_id=item_id, file=path.parent / values["file"], seconds=seconds, **texts
        )
    return list(items.values())


def items_of_folder(entries: Sequence[PlaylistEntry], folder: Path) -> list[LibraryItem]:
    """Make items of the recordings of a folder; an id is a hash of the path under it."""
    return [
        _item(entry, hashlib.sha256(path.encode()).hexdigest()[:20], "")
        for entry, path in zip(entries, _paths(entries, folder), strict=True)
    ]


def match_songs(
    songs: Sequence[ServerSong], entries: Sequence[PlaylistEntry], folder: Path
) -> MatchedSongs:
    """Find the file of each song among the recordings of a folder.

    A song is at the path that the server tells, which may begin above or below `folder`. Servers
    may make up paths, so one that is not there is looked for by artist, title and album, and
    duration; where several fit, none is taken.

    Raises
    ------
    DataError
        No song has a file there.
    """
    by_name = defaultdict[str, list[tuple[PlaylistEntry, str]]](list)
    by_tags = defaultdict[tuple[str, ...], list[PlaylistEntry]](list)
    for entry, path in zip(entries, _paths(entries, folder), strict=True):
        plain = _plain(path)
        by_name[plain.rpartition("/")[2]].append((entry, plain))
        by_tags[_tags(entry.name, entry.title, entry.album)].append(entry)
    items, missing = [], []
    for song in songs:
        asked = _plain(song.path)
        same_name = by_name.get(asked.rpartition("/")[2], [])
        found = [entry for entry, path in same_name if _ends_alike(path, asked)]
        if len(found) != 1:
            same_tags = by_tags.get(_tags(song.artist, song.title, song.album), [])
            found = [entry for entry in same_tags if _last_alike(entry.seconds, song.seconds)]
        if len(found) == 1:
            items.append(_item(found[0], song.id, song.artist_id))
        else:
            missing.append(song)
    if not items:
        found_none = f"holds no file of the server's {len(songs):,} songs"
        raise DataError(folder, found_none, remedy="name the folder that the server reads")
    return MatchedSongs(items=items, missing=missing)


def _item(entry: PlaylistEntry, item_id: str, artist_id: str) -> LibraryItem:
    return LibraryItem(
        item_id=item_id,
        file=entry.file,
        artist=entry.name,
        artist_id=artist_id,
        mbid=entry.artist if is_mbid(entry.artist) else "",
        title=entry.title,
        album=entry.album,
        seconds=entry.seconds,
    )


def _paths(entries: Sequence[PlaylistEntry], folder: Path) -> list[str]:
    """Paths under a folder, as playlists can hold them: they are UTF-8."""
    root = Path(os.path.abspath(folder))  # noqa: PTH100  # links stay, as in the entries
    return [entry.file.relative_to(root).as_posix() for entry in entries]


def _ends_alike(path: str, other: str) -> bool:
    """Whether one path is the other, or the end of it.

    Examples
    --------
    >>> _ends_alike("Air/Sexy Boy.mp3", "/music/Air/Sexy Boy.mp3")
    True
    >>> _ends_alike("Air/Sexy Boy.mp3", "Stair/Sexy Boy.mp3")
    False
    """
    return f"/{path}".endswith(f"/{other}") or f"/{other}".endswith(f"/{path}")


def _last_alike(seconds: float, other: float) -> bool:
    return not seconds or not other or abs(seconds - other) < SAME_SECONDS


def _plain(path: str) -> str:
    """Write accents in one way; file systems do it in two."""
    return unicodedata.normalize("NFC", path.replace("\\", "/"))


def _tags(artist: str, title: str, album: str) -> tuple[str, ...]:
    return artist_id("", artist), normalise_name(title), normalise_name(album)
