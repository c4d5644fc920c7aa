"""What a playlist is made of: the clips of a catalogue, or the recordings of a folder of music.

Each finds the recordings with which a playlist may begin or end: an audio file, of the source or
not, or an artist, of whose recordings the most central is taken, which scores highest with the
others. A folder of music also takes what only the catalogue knows, and begins with the recording
nearest to it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twinear.acquisition.music_folder import describe_recording
from twinear.artists.identity import artist_id, no_artist, normalise_name, several_artists
from twinear.base.errors import ClipError, DataError, nearest
from twinear.catalogue.head import head_of
from twinear.clips.clips import ClipsParams
from twinear.clips.decoding import AUDIO
from twinear.recommendation.collection import Collection
from twinear.recommendation.library import (
    SHORT,
    SILENT,
    MusicLibrary,
    describe_entry,
    encode_recording,
    examine_recording,
    find_fault,
)
from twinear.recommendation.playlist import (
    Floats,
    Ints,
    Logit,
    PlaylistEnd,
    PlaylistEntry,
    PlaylistSource,
)

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer


@dataclass(frozen=True, kw_only=True, eq=False)
class CatalogueClips:
    """The clips of a catalogue.

    Attributes
    ----------
    data
        The data folder, which holds their files.
    usable
        The least length and level of another file.
    """

    collection: Collection
    data: Path
    usable: ClipsParams

    def source(self) -> PlaylistSource:
        """Give the clips to choose from."""
        catalogue = self.collection.catalogue
        counts = np.diff(catalogue.encoded.clip_offsets)
        return PlaylistSource(
            embeddings=catalogue.encoded.embeddings,
            artists=np.repeat(np.arange(len(counts)), counts),
            entries=self._entries,
            logit=catalogue.scoring.head.logit,
        )

    def find(self, query: str) -> PlaylistEnd:
        """Find an artist by name or id, a clip by its file, or encode an audio file.

        Raises
        ------
        DataError
            No such artist or clip.
        ClipError
            A file that cannot be decoded, is too short or silent.
        """
        artists, encoded = self.collection.catalogue.artists, self.collection.catalogue.encoded
        if os.path.isfile(query):  # noqa: PTH113  # False for a name that no file can have
            file = Path(os.path.abspath(query))  # noqa: PTH100  # links stay
            try:
                row = artists.find_clip(os.path.relpath(file, self.data)).row
            except DataError:
                row = None
            if row is None or self._entries(np.array([row]))[0].file != file:
                return encode_file(file, self.collection.load_scorer(), self.usable, self._id_of)
        elif Path(query).suffix.lower() in AUDIO:
            row = artists.find_clip(query).row
        else:
            artist = artists.find(query).row
            first, end = encoded.clip_offsets[artist : artist + 2]
            logit = self.collection.catalogue.scoring.head.logit
            row = int(first) + find_central(encoded.embeddings[first:end], logit)
        return PlaylistEnd(
            entry=self._entries(np.array([row]))[0], embedding=np.array(encoded.embeddings[row])
        )

    def _entries(self, rows: Ints) -> list[PlaylistEntry]:
        artists = self.collection.catalogue.artists
        clips = [artists.clip(int(row)) for row in rows]
        of = {each.row: each for each in artists.records({clip.artist_row for clip in clips})}
        return [
            PlaylistEntry(
                file=Path(os.path.abspath(self.data / clip.file)),  # noqa: PTH100
                artist=of[clip.artist_row].artist,
                name=of[clip.artist_row].name,
                title=clip.title,
                seconds=clip.seconds,
            )
            for clip in clips
        ]

    def _id_of(self, mbid: str, name: str) -> str:
        try:
            return self.collection.find(mbid or name).artist
        except DataError:
            return artist_id(mbid, name)


@dataclass(frozen=True, kw_only=True, eq=False)
class LibraryRecordings:
    """The recordings of a folder of music.

    Attributes
    ----------
    scorer
        The scorer that encoded the library.
    catalogue
        One of the same scorer, to begin and end near its artists and clips.
    usable
        The least length and level of another file.
    """

    folder: Path
    library: MusicLibrary
    scorer: "Scorer"
    usable: ClipsParams
    catalogue: CatalogueClips | None = None

    def source(self) -> PlaylistSource:
        """Give the recordings to choose from."""
        entries = self.library.entries
        _, artists = np.unique([entry.artist for entry in entries], return_inverse=True)
        return PlaylistSource(
            embeddings=self.library.embeddings,
            artists=artists,
            entries=lambda rows: [entries[row] for row in rows],
            logit=head_of(self.scorer).logit,
        )

    def find(self, query: str) -> PlaylistEnd:
        """Find an artist by name or id, or a file; what is not in the folder too.

        Raises
        ------
        DataError
            No such artist, or several.
        ClipError
            A file that cannot be decoded, is too short or silent.
        """
        entries, logit = self.library.entries, head_of(self.scorer).logit
        if os.path.isfile(query):  # noqa: PTH113  # False for a name that no file can have
            file = Path(os.path.abspath(query))  # noqa: PTH100  # links stay
            rows = [row for row, entry in enumerate(entries) if entry.file == file]
            if not rows:
                return encode_file(file, self.scorer, self.usable, self._id_of)
            return self._end(rows[0])
        ids = {query, query.strip().lower()}
        rows = [row for row, entry in enumerate(entries) if entry.artist in ids]
        if not rows:
            key = normalise_name(query)
            rows = [row for row, entry in enumerate(entries) if normalise_name(entry.name) == key]
        found = {entries[row].artist: entries[row].name for row in rows}
        if len(found) > 1:
            namesakes = [(name, artist) for artist, name in found.items()]
            raise several_artists(self.folder, query, namesakes)
        if rows:
            return self._end(rows[find_central(self.library.embeddings[rows], logit)])
        try:
            if self.catalogue is None:
                raise no_artist(self.folder, query, len(set(self._names())), ())
            waypoint = self.catalogue.find(query).embedding[None]
        except DataError:
            spelt = self._names()
            near = [spelt[key] for key in nearest(normalise_name(query), spelt, n=3)]
            if not near:
                raise
            raise no_artist(self.folder, query, len(spelt), near) from None
        return self._end(int(logit(waypoint, self.library.embeddings)[0].argmax()))

    def _end(self, row: int) -> PlaylistEnd:
        return PlaylistEnd(entry=self.library.entries[row], embedding=self.library.embeddings[row])

    def _names(self) -> dict[str, str]:
        return {normalise_name(entry.name): entry.name for entry in self.library.entries}

    def _id_of(self, mbid: str, name: str) -> str:
        entries = self.library.entries
        if mbid in {entry.artist for entry in entries}:
            return mbid
        ids = {normalise_name(entry.name): entry.artist for entry in entries}
        return ids.get(normalise_name(name)) or artist_id(mbid, name)


def find_central(embeddings: Floats, logit: Logit) -> int:
    """Find the row that scores highest with all rows on average; the first of equals."""
    rows = np.array(embeddings)  # not a view of a file
    return int(logit(rows, rows).sum(axis=0).argmax())


def encode_file(
    file: Path, scorer: "Scorer", usable: ClipsParams, id_of: Callable[[str, str], str]
) -> PlaylistEnd:
    """Encode a file that belongs to no source.

    Parameters
    ----------
    id_of
        Gives the id of an artist by MusicBrainz id, or "", and name.

    Raises
    ------
    ClipError
        It cannot be decoded, is too short or silent.
    DataError
        The scorer needs embeddings of another network.
    """
    from twinear.inference import embed_waveforms  # with torch

    embed_waveforms(scorer, ())  # refuses a scorer that audio alone is not enough for
    try:
        examined = examine_recording(file, scorer.spectrograms)
    except OSError as error:
        raise ClipError(file, f"cannot be read ({error.strerror})") from error
    recording = describe_recording(file, file.parent, examined.tags)
    encoded = encode_recording(scorer, examined)
    fault = find_fault(encoded, recording, usable)
    if fault in (SHORT, SILENT):
        found = f"is {fault} ({encoded.seconds:.1f} s, {encoded.dbfs:.0f} dBFS)"
        expected = f"at least {usable.min_seconds:g} s and {usable.min_dbfs:g} dBFS"
        raise ClipError(file, found, expected=expected, remedy="name another file")
    artist = id_of(recording.mbid, recording.artist) if recording.artist else f"file {file}"
    entry = describe_entry(recording, encoded, artist, scorer.spectrograms)
    return PlaylistEnd(
        entry=replace(entry, name=entry.name or "Unknown Artist"), embedding=encoded.embedding
    )
