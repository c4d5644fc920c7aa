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
from dataclasses import dataclass, field, replace
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
NAMES = ("artist", "albumartist", "musicbrainzartistid", "musicbrainzalbumartistid")
KEPT = {"title", "album", *NAMES, *COMPILATION}  # tags; others may be long

SYSTEM, NOT_AUDIO, UNREADABLE = "system file", "not audio", "unreadable"
NOT_DECODED, NO_ARTIST, DUPLICATE = "cannot be decoded", "no artist", "duplicate"
LINKED = "folder linked again"

Tags = Mapping[str, list[str]]  # name in lower case, letters only -> values


@dataclass(frozen=True, kw_only=True)
class FileTags:
    """The tags of a file that say what it is, and its duration in seconds (0: unknown)."""

    values: Tags
    seconds: float


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
    for file in sorted(find_audio(folder, left_out)):
        name = decode_name(file.relative_to(folder).as_posix())
        try:
            tags = read_tags(file)
            if file.suffix.lower() in UNCERTAIN:
                next(frames(file))
        except OSError:
            left_out.add(UNREADABLE, name)
            continue
        except ClipError:
            left_out.add(NOT_DECODED, name)
            continue
        recording = describe_recording(file, folder, tags)
        if not recording.artist:
            left_out.add(NO_ARTIST, name)
            continue
        if name in names:  # two names that are not UTF-8 may be the same text
            name = os.fsencode(file.relative_to(folder)).decode("utf-8", "backslashreplace")
            recording = replace(recording, name=name)
        names.add(name)
        recordings.append(recording)
    if not recordings:
        raise no_music(folder, left_out)
    return MusicFolder(recordings=recordings, left_out=left_out)


def describe_recording(file: Path, folder: Path, tags: FileTags) -> Recording:
    """Say what a file under a folder is, by its tags and by its place; its artist is "" if unknown.

    Nothing is read.
    """
    path = file.relative_to(folder)
    place = decode_name(path.parts[0]) if len(path.parts) > 1 else ""
    album = one_line(decode_name("/".join(path.parts[1:-1])))
    return Recording(
        file=file,
        name=decode_name(path.as_posix()),
        credits=_credits(tags.values, place),
        title=_first(tags.values, "title") or one_line(decode_name(path.stem)),
        album=_first(tags.values, "album") or album,
        seconds=tags.seconds if 0 < tags.seconds < MAX_SECONDS else 0.0,
    )


def no_music(folder: Path, left_out: LeftOut) -> DataError:
    """Build the error for a folder without a recording that can be used."""
    counts = ", ".join(f"{n} {reason}" for reason, n in left_out.counts.items()) or "it is empty"
    expected = "Artist/… with audio (.mp3, .flac, .m4a, .ogg and others)"
    found, remedy = f"holds no music ({counts})", "name another folder"
    return DataError(folder, found, expected=expected, remedy=remedy)


def find_audio(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Yield the files whose suffix is of audio; what is left out is counted."""
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


def read_tags(file: Path) -> FileTags:
    """Read the tags of a file; of a damaged file there are none, which decoding will show.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    tags: dict[str, list[str]] = {}
    try:
        read = TinyTag.get(file)
        seconds = read.duration or 0.0
        found = [(key, each) for key, each in read.as_dict().items() if isinstance(each, list)]
    except TinyTagException:  # not of its formats, or damaged
        try:
            with open_audio(file) as container:
                held = [container.metadata, *(stream.metadata for stream in container.streams)]
                seconds = (container.duration or 0) / av.time_base
        except av.FFmpegError:
            return FileTags(values={}, seconds=0.0)
        found = [(key, [value]) for metadata in held for key, value in metadata.items()]
    for key, values in found:
        tags.setdefault(_plain_key(key), []).extend(map(str, values))
    kept = {key: values for key, values in tags.items() if key in KEPT}
    return FileTags(values=kept, seconds=seconds)


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
