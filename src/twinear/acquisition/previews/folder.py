"""A folder of music `Artist/Album/…` as a source: your own recordings, a window of each.

Whose a recording is and what it is called its tags say, and where they do not, its place in the
folder. An artist is found by the MusicBrainz id in the tags, else by the normalised name. The
albums take turns, so that the clips of an artist do not all come from one of them.
"""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from threading import Lock

from tinytag import TinyTag, TinyTagException

from twinear.acquisition.import_corpus import AUDIO
from twinear.acquisition.network.errors import Malformed
from twinear.acquisition.previews.deduplication import FEATURED
from twinear.acquisition.previews.excerpt import write_window
from twinear.acquisition.previews.source import Candidate, Preview, Wanted
from twinear.artists.identity import is_mbid, normalise_name
from twinear.base.errors import ClipError, DataError
from twinear.base.files import require

OWN = "own library"
MAX_SECONDS = 86400.0  # beyond a day it is damage that speaks


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is known of a file of music before it is heard; path is relative to the folder."""

    path: str
    artist: str
    mbid: str
    title: str
    album: str
    seconds: float


class FolderSource:
    """Recordings under a folder; it is read at the first question, and once."""

    name = "folder"
    terms = OWN

    def __init__(self, folder: Path) -> None:
        require(folder, "name a folder of music with --music")
        self._folder = folder
        self._lock = Lock()

    def find(self, artist: Wanted) -> Candidate | None:
        """Find the artist by the MusicBrainz id in the tags, else by name."""
        by_tags = "the tags have the MusicBrainz id"
        for key, confidence, why in (
            (artist.mbid, 1.0, by_tags),
            (artist.ids.get("musicbrainz", ""), 1.0, by_tags),
            (normalise_name(artist.name), 0.9, "the tags or the folder have the name"),
        ):
            found = self._recordings.get(key, [])
            if key and found:
                return Candidate(
                    artist_id=key,
                    name=found[0].artist,
                    source=self.name,
                    popularity=len(found),
                    confidence=confidence,
                    why=why,
                )
        return None

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's recordings, one of each album, then another of each."""
        albums: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in self._recordings[candidate.artist_id]:
            albums[recording.album].append(recording)
        turns = [each for turn in zip_longest(*albums.values()) for each in turn if each]
        return [
            Preview(
                source=self.name,
                source_artist=candidate.artist_id,
                source_id=recording.path,
                title=recording.title,
                url=recording.path,
                duration_seconds=recording.seconds,
                terms=self.terms,
            )
            for recording in turns[:limit]
        ]

    def download(self, preview: Preview, to: Path) -> None:
        """Put the recording's representative window into a file."""
        write_excerpt(self._folder / preview.url, to)

    @property
    def _recordings(self) -> dict[str, list[Recording]]:
        with self._lock:
            return self._read

    @cached_property
    def _read(self) -> dict[str, list[Recording]]:
        """MusicBrainz id or normalised name -> the artist's recordings, sorted by path."""
        found: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in read_folder(self._folder):
            found[normalise_name(recording.artist)].append(recording)
            if recording.mbid:
                found[recording.mbid].append(recording)
        return dict(found)


def write_excerpt(recording: Path, to: Path) -> None:
    """Cut the window out of a file of the user's; what is not audio is Malformed."""
    try:
        write_window(recording, to)
    except ClipError as error:
        raise Malformed(recording, str(error).removeprefix(f"{recording}: ")) from None


def read_folder(folder: Path) -> list[Recording]:
    """Read the tags of every recording under a folder, in the order of their paths.

    Raises
    ------
    DataError
        There is none.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in AUDIO and not path.name.startswith(".") and path.is_file()
    ]
    recordings = [_described(path, path.relative_to(folder)) for path in paths]
    if not any(recording.artist for recording in recordings):
        expected = f"Artist/Album/… with {', '.join(AUDIO)}"
        raise DataError(folder, "holds no music", expected=expected, remedy="name another folder")
    return [recording for recording in recordings if recording.artist]


def _described(path: Path, inside: Path) -> Recording:
    tags = _tags(path)
    duration = tags.duration or 0.0
    folder, *album = inside.parts[:-1] or ("",)
    return Recording(
        path=inside.as_posix(),
        artist=_plain(FEATURED.sub("", tags.artist or tags.albumartist or "") or folder),
        mbid=_mbid(tags),
        title=_plain(tags.title) or _plain(path.stem),
        album=_plain(tags.album) or _plain("/".join(album)),
        seconds=duration if 0 < duration < MAX_SECONDS else 0.0,
    )


def _tags(path: Path) -> TinyTag:
    try:
        return TinyTag.get(path)
    except (TinyTagException, OSError):  # whether it is audio is seen when it is heard
        return TinyTag()


def _mbid(tags: TinyTag) -> str:
    """The artist's MusicBrainz id: taggers spell the key in several ways."""
    for key, values in tags.other.items():
        if "".join(filter(str.isalpha, key)).endswith("musicbrainzartistid"):
            mbid = values[0].strip().lower()
            return mbid if is_mbid(mbid) else ""
    return ""


def _plain(text: str | None) -> str:
    return unicodedata.normalize("NFC", " ".join((text or "").replace("\0", " ").split()))
