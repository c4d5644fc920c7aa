"""A folder of music `Artist/Album/…` as a source: your own recordings, an excerpt of each.

`acquisition.music_folder` says whose they are. The albums alternate, so that the clips of an artist
do not all come from one of them.
"""

from collections import defaultdict
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from threading import Lock

from twinear.acquisition.music_folder import LeftOut, MusicFolder, Recording, read_music_folder
from twinear.acquisition.network.errors import InvalidContentError
from twinear.acquisition.previews.excerpt import cut_excerpt
from twinear.acquisition.previews.own_recordings import OwnRecordings
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist
from twinear.base.errors import ClipError
from twinear.base.files import require

OWN = "own library"


class FolderSource:
    """Recordings under a folder, which is read once, when an artist is first requested."""

    name = "folder"
    terms = OWN

    def __init__(self, folder: Path) -> None:
        require(folder, "name a folder of music with --music")
        self._folder = folder
        self._lock = Lock()

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by the MusicBrainz ids in the tags, else by name."""
        return self._recordings.find(artist)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's recordings: one of each album, then a second of each, and so on."""
        albums: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in self._recordings.recordings(candidate):
            albums[recording.album].append(recording)
        alternating = [
            recording for turn in zip_longest(*albums.values()) for recording in turn if recording
        ]
        return [
            Preview(
                source_id=recording.name,
                title=recording.title,
                url=recording.name,
                duration_seconds=recording.seconds,
                terms=self.terms,
            )
            for recording in alternating[:limit]
        ]

    def left_out(self) -> LeftOut:
        """Count the files that were left out, if the folder was read."""
        return self._music.left_out if "_music" in vars(self) else LeftOut()

    def download(self, preview: Preview, to: Path) -> None:
        """Write the representative excerpt of the recording to a file."""
        write_excerpt(self._files[preview.source_id], to)

    @property
    def _recordings(self) -> OwnRecordings[Recording]:
        with self._lock:  # one thread reads the folder, the others wait for it
            return self._by_artist

    @cached_property
    def _by_artist(self) -> OwnRecordings[Recording]:
        recordings = OwnRecordings[Recording]("the music")
        for recording in self._music.recordings:
            recordings.add(recording, recording.credits)
        return recordings

    @cached_property
    def _files(self) -> dict[str, Path]:
        return {recording.name: recording.file for recording in self._music.recordings}

    @cached_property
    def _music(self) -> MusicFolder:
        return read_music_folder(self._folder)


def write_excerpt(recording: Path, to: Path) -> None:
    """Cut the excerpt out of a local file; `InvalidContentError` if that is not audio."""
    try:
        cut_excerpt(recording, to)
    except ClipError as error:
        found = str(error).removeprefix(f"{recording}: ")
        raise InvalidContentError(recording, found) from None
