"""A folder of music: its recordings, whose they are, and every file that was left out, by reason.

Artist and title come from the tags, or from the path where tags are missing: `Artist/…`, at any
depth. The performer is the artist of the track; the artist of the album counts only where the track
names none, and never on a compilation. Guests ("feat. …") are no part of a name. All MusicBrainz
ids of a track are kept, in order.

Links are followed: the folder is the user's own. A folder that several paths lead to is read once,
where it really is rather than by a link, so that loops end. Names need not be UTF-8: what is
written is their text, and the path is opened as it is.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import av
from tinytag import TinyTag, TinyTagException

from twinear.artists.identity import MBID, strip_featured
from twinear.artists.non_artists import SPECIAL_PURPOSE, NonArtists
from twinear.base.encoding import decode_name
from twinear.base.errors import ClipError, DataError
from twinear.base.files import is_system_file
from twinear.base.text import one_line
from twinear.clips.decoding import AUDIO, UNCERTAIN, frames, open_audio

MAX_SECONDS = 86400.0  # a longer duration is taken for a damaged tag
MAX_EXAMPLES = 5  # of the files left out for one reason
# What programs write where they know no artist, in some languages.
NOBODY = """Various Artists; Various; VA; Unknown Artist; Unknown; No Artist; <unknown>
Verschiedene Interpreten; Unbekannter Interpret; Artistes divers; Artiste inconnu; Varios Artistas
Artista desconocido; Artisti Vari; Artista sconosciuto; Vários Artistas; Artista desconhecido
Diverse artiesten; Onbekende artiest"""
NON_ARTISTS = NonArtists([*SPECIAL_PURPOSE.values(), *re.split(r"; |\n", NOBODY)])

COMPILATION = ("compilation", "tcmp", "cpil", "itunescompilation", "wmiscompilation")

SYSTEM, NOT_AUDIO, UNREADABLE = "system file", "not audio", "unreadable"
NOT_DECODED, NO_ARTIST, DUPLICATE = "cannot be decoded", "no artist", "duplicate"
LINKED = "folder linked again"

Tags = Mapping[str, list[str]]  # name in lower case, letters only -> values


@dataclass(kw_only=True)
class LeftOut:
    """Files and folders that were left out: reason -> how many, and the first of them."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """Count one."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if self.counts[reason] <= MAX_EXAMPLES:
            self.examples.setdefault(reason, []).append(name)


@dataclass(frozen=True, kw_only=True)
class Credit:
    """An artist of a recording; the MusicBrainz id is "" if unknown, the name perhaps too."""

    name: str
    mbid: str = ""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is known of a file of music before it is decoded."""

    file: Path  # to open; it may hold bytes that are not UTF-8
    name: str  # its path under the folder as text, each once
    credits: tuple[Credit, ...]  # the first has a name
    title: str
    album: str
    seconds: float  # 0 if unknown

    @property
    def artist(self) -> str:
        """The name of the first artist."""
        return self.credits[0].name

    @property
    def mbid(self) -> str:
        """The MusicBrainz id of the first artist."""
        return self.credits[0].mbid


@dataclass(frozen=True, kw_only=True)
class MusicFolder:
    """The recordings of a folder, sorted by path, and what was left out."""

    recordings: list[Recording]
    left_out: LeftOut


def read_music_folder(folder: Path) -> MusicFolder:
    """Find the recordings under a folder and read their tags.

    A recording without an artist, by tags or by folder, is left out. Of kinds that may hold
    something else than audio, or audio of an unknown codec, the beginning is decoded.

    Raises
    ------
    DataError
        No recording is left.
    """
    left_out = LeftOut()
    recordings: list[Recording] = []
    names: set[str] = set()
    for file in sorted(_find_audio(folder, left_out)):
        path = file.relative_to(folder)
        name = decode_name(path.as_posix())
        if name in names:  # two names that are not UTF-8 may be the same text
            name = os.fsencode(path).decode("utf-8", "backslashreplace")
        try:
            tags, seconds = _read_tags(file)
            if file.suffix.lower() in UNCERTAIN:
                next(frames(file))
        except OSError:
            left_out.add(UNREADABLE, name)
            continue
        except ClipError:
            left_out.add(NOT_DECODED, name)
            continue
        found = _credits(tags, decode_name(path.parts[0]) if len(path.parts) > 1 else "")
        if not found[0].name:
            left_out.add(NO_ARTIST, name)
            continue
        names.add(name)
        recording = Recording(
            file=file,
            name=name,
            credits=found,
            title=_title(tags, path),
            album=_first(tags, "album") or one_line(decode_name("/".join(path.parts[1:-1]))),
            seconds=seconds,
        )
        recordings.append(recording)
    if not recordings:
        counts = (
            ", ".join(f"{n} {reason}" for reason, n in left_out.counts.items()) or "it is empty"
        )
        expected = "Artist/… with audio (.mp3, .flac, .m4a, .ogg and others)"
        remedy = "name another folder"
        raise DataError(folder, f"holds no music ({counts})", expected=expected, remedy=remedy)
    return MusicFolder(recordings=recordings, left_out=left_out)


def _find_audio(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Yield the files whose suffix is of audio."""
    seen: set[tuple[int, int]] = set()  # real folders, by device and number
    folders, links = [folder], list[Path]()
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        try:
            status = current.stat()
            with os.scandir(current) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            left_out.add(UNREADABLE, _text(current, folder))
            continue
        if (status.st_dev, status.st_ino) in seen:
            left_out.add(LINKED, _text(current, folder))
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            path = current / entry.name
            if is_system_file(PurePath(entry.name)):
                left_out.add(SYSTEM, _text(path, folder))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
            # Unlike `Path.is_dir`, this is False for every link that leads nowhere.
            elif entry.is_symlink() and os.path.isdir(path):  # noqa: PTH112
                links.append(path)
            elif path.suffix.lower() not in AUDIO:
                left_out.add(NOT_AUDIO, _text(path, folder))
            elif not os.path.isfile(path):  # noqa: PTH113  # a link to nothing, a pipe
                left_out.add(UNREADABLE, _text(path, folder))
            else:
                yield path


def _text(path: Path, folder: Path) -> str:
    return decode_name(path.relative_to(folder).as_posix())


def _read_tags(file: Path) -> tuple[Tags, float]:
    """Read tags and duration in seconds, 0 if unknown; of a damaged file perhaps none."""
    tags: dict[str, list[str]] = {}
    try:
        read = TinyTag.get(file)
    except TinyTagException:  # not of its formats, or damaged
        try:
            with open_audio(file) as container:
                held = [container.metadata, *(stream.metadata for stream in container.streams)]
                seconds = (container.duration or 0) / av.time_base
        except av.FFmpegError:
            return {}, 0.0
        for key, value in (pair for metadata in held for pair in metadata.items()):
            tags.setdefault(_plain_key(key), []).append(str(value))
        return tags, _plausible(seconds)
    for key, values in read.as_dict().items():
        if isinstance(values, list):
            tags.setdefault(_plain_key(key), []).extend(map(str, values))
    return tags, _plausible(read.duration or 0.0)


def _plausible(seconds: float) -> float:
    return seconds if 0 < seconds < MAX_SECONDS else 0.0


def read_title(file: Path) -> tuple[str, float]:
    """Read the title of a recording, else its file's name, and its duration in seconds or 0."""
    tags, seconds = _read_tags(file)
    return _title(tags, file), seconds


def _title(tags: Tags, path: Path) -> str:
    return _first(tags, "title") or one_line(decode_name(path.stem))


def _plain_key(key: str) -> str:
    """Reduce a key to its letters: taggers spell it in several ways, some with a prefix."""
    return "".join(filter(str.isalpha, key.lower())).removeprefix("comappleitunes")


def _first(tags: Tags, key: str) -> str:
    return one_line(tags.get(key, [""])[0])


def _credits(tags: Tags, folder: str) -> tuple[Credit, ...]:
    """Return the artists of a recording, the performer first; the first name is "" if unknown."""
    names, mbids = _artists(tags, "")
    of_many = {_first(tags, key).lower() for key in COMPILATION} - {"", "0", "false", "no"}
    if not names and not of_many:
        album_names, album_mbids = _artists(tags, "album")
        names, mbids = (album_names, album_mbids) if album_names else (names, mbids)
    if not names and not NON_ARTISTS.include("", folder):
        names = [one_line(folder)]
    names = _split_names(names, len(mbids)) or [""]
    if len(names) < len(mbids):  # whose the other ids are is not known
        names = [names[0], *[""] * (len(mbids) - 1)]
    mbids += [""] * (len(names) - len(mbids))
    return tuple(Credit(name=name, mbid=mbid) for name, mbid in zip(names, mbids, strict=True))


def _artists(tags: Tags, album: str) -> tuple[list[str], list[str]]:
    """Names and MusicBrainz ids in the tags of the track's artist, or of the "album"'s."""
    found = MBID.findall(" ".join(tags.get(f"musicbrainz{album}artistid", [])).lower())
    mbids = [mbid for mbid in dict.fromkeys(found) if not NON_ARTISTS.include(mbid, "")]
    lines = (one_line(value) for value in tags.get(f"{album}artist", []))
    known = mbids[0] if mbids else ""
    return [line for line in lines if line and not NON_ARTISTS.include(known, line)], mbids


def _split_names(names: list[str], n: int) -> list[str]:
    """Give the `n` names that belong to `n` ids; else the first name, without guests.

    Examples
    --------
    >>> _split_names(["Queen & David Bowie", "Queen", "David Bowie"], 2)
    ['Queen', 'David Bowie']
    >>> _split_names(["Queen / David Bowie"], 2), _split_names(["AC/DC"], 1)
    (['Queen', 'David Bowie'], ['AC/DC'])
    """
    if n > 1 and len(names) == n + 1:  # the names, and how the sleeve joins them
        names = [name for name in names if name != max(names, key=len)]
    if n > 1 and len(names) == n:
        return names
    for separator in (";", "/", " feat. ", " & ", ", "):
        parts = [part.strip() for part in names[0].split(separator)] if names else []
        if n > 1 and len(parts) == n and all(parts):
            return parts
    return [strip_featured(name) for name in names[:1]]
