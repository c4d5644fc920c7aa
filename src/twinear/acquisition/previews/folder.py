"""A folder of music `Artist/Album/…` as a source: your own recordings, an excerpt of each.

Artist and title come from the tags, or from the path where tags are missing. An artist is found by
the MusicBrainz id in the tags, else by the normalised name. The albums alternate, so that the clips
of an artist do not all come from one of them.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from threading import Lock

from tinytag import TinyTag, TinyTagException

from twinear.acquisition.import_corpus import find_audio, one_line
from twinear.acquisition.network.errors import InvalidContentError
from twinear.acquisition.previews.excerpt import cut_excerpt
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist
from twinear.artists.identity import is_mbid, normalise_name, strip_featured
from twinear.base.errors import ClipError, DataError
from twinear.base.files import require

OWN = "own library"
MAX_SECONDS = 86400.0  # a longer duration is taken for a damaged tag


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is known of a file of music before it is decoded; path is relative to the folder."""

    path: str
    artist: str
    mbid: str
    title: str
    album: str
    seconds: float


class FolderSource:
    """Recordings under a folder, which is read once, when an artist is first requested."""

    name = "folder"
    terms = OWN

    def __init__(self, folder: Path) -> None:
        require(folder, "name a folder of music with --music")
        self._folder = folder
        self._lock = Lock()

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by the MusicBrainz id in the tags, else by name."""
        by_tags = "the tags have the MusicBrainz id"
        for key, confidence, why in (
            (artist.mbid, 1.0, by_tags),
            (artist.ids.get("musicbrainz", ""), 1.0, by_tags),
            (normalise_name(artist.name), 0.9, "the tags or the folder have the name"),
        ):
            recordings = self._recordings.get(key, [])
            if key and recordings:
                name = recordings[0].artist
                return Candidate(artist_id=key, name=name, confidence=confidence, why=why)
        return None

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's recordings: one of each album, then a second of each, and so on."""
        albums: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in self._recordings[candidate.artist_id]:
            albums[recording.album].append(recording)
        alternating = [
            recording for turn in zip_longest(*albums.values()) for recording in turn if recording
        ]
        return [
            Preview(
                source_id=recording.path,
                title=recording.title,
                url=recording.path,
                duration_seconds=recording.seconds,
                terms=self.terms,
            )
            for recording in alternating[:limit]
        ]

    def download(self, preview: Preview, to: Path) -> None:
        """Write the representative excerpt of the recording to a file."""
        write_excerpt(self._folder / preview.url, to)

    @property
    def _recordings(self) -> dict[str, list[Recording]]:
        with self._lock:  # one thread reads the folder, the others wait for it
            return self._by_key

    @cached_property
    def _by_key(self) -> dict[str, list[Recording]]:
        """MusicBrainz id or normalised name -> the artist's recordings, sorted by path."""
        by_key: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in read_folder(self._folder):
            by_key[normalise_name(recording.artist)].append(recording)
            if recording.mbid:
                by_key[recording.mbid].append(recording)
        return dict(by_key)


def write_excerpt(recording: Path, to: Path) -> None:
    """Cut the excerpt out of a local file; `InvalidContentError` if that is not audio."""
    try:
        cut_excerpt(recording, to)
    except ClipError as error:
        found = str(error).removeprefix(f"{recording}: ")
        raise InvalidContentError(recording, found) from None


def read_folder(folder: Path) -> list[Recording]:
    """Read the tags of every recording with an artist, by path; `DataError` if there is none."""
    recordings = [_read_recording(folder, path) for path in find_audio(folder, "**/*")]
    recordings = [recording for recording in recordings if recording.artist]
    if not recordings:
        expected = "Artist/Album/… with audio"
        raise DataError(folder, "holds no music", expected=expected, remedy="name another folder")
    return recordings


def _read_recording(folder: Path, path: Path) -> Recording:
    inside = path.relative_to(folder)
    artist_folder, *album = inside.parts[:-1] or ("",)
    try:
        tags = TinyTag.get(path)
    except (TinyTagException, OSError):  # whether it is audio turns out when it is decoded
        tags = TinyTag()
    mbid = ""
    for key, values in tags.other.items():  # taggers spell this key in several ways
        if "".join(filter(str.isalpha, key)).endswith("musicbrainzartistid"):
            mbid = values[0].strip().lower()
            break
    duration = tags.duration or 0.0
    return Recording(
        path=inside.as_posix(),
        artist=one_line(strip_featured(tags.artist or tags.albumartist or "") or artist_folder),
        mbid=mbid if is_mbid(mbid) else "",
        title=one_line(tags.title) or one_line(path.stem),
        album=one_line(tags.album) or one_line("/".join(album)),
        seconds=duration if 0 < duration < MAX_SECONDS else 0.0,
    )
