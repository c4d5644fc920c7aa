"""What a playlist is made of: the clips of a catalogue, or the recordings of a folder of music.

Each finds the recordings with which a playlist may begin or end: an audio file, of the source or
not, or an artist, of whose recordings the most central is taken, which scores highest with the
others. A folder of music also takes what only the catalogue knows, and begins with the recording
nearest to it.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twinear.acquisition.music_folder import describe_recording
from twinear.artists.identity import artist_id, no_artist, normalise_name, several_artists
from twinear.base.errors import ClipError, DataError, nearest
from twinear.catalogue.head import head_of
from twinear.catalogue.lookup import ClipRecord
from twinear.clips.clips import ClipsParams
from twinear.clips.decoding import AUDIO
from twinear.model.scorer import Scorer
from twinear.recommendation.collection import Collection
from twinear.recommendation.library import (
    MusicLibrary,
    describe_entry,
    encode_recording,
    find_fault,
)
from twinear.recommendation.playlist import (
    Floats,
    Logit,
    PlaylistEnd,
    PlaylistEntry,
    PlaylistSource,
)


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
        groups = self.collection.groups
        counts = np.concatenate([group.clip_counts for group in groups])
        return PlaylistSource(
            # only where artists were added, all are read into memory
            embeddings=groups[0].embeddings
            if len(groups) == 1
            else np.concatenate([group.embeddings for group in groups]),
            artists=np.repeat(np.arange(len(counts)), counts),
            entries=self._entries,
            logit=self._logit,
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
        if os.path.isfile(query):  # noqa: PTH113  # False for a name that no file can have
            file = Path(os.path.abspath(query))  # noqa: PTH100  # links stay
            try:
                clip = self._find_clip(os.path.relpath(file, self.data))
            except DataError:
                clip = None
            if clip is None or self._path(clip) != file:
                return encode_file(file, self.collection.load_scorer(), self.usable, self._id_of)
        elif Path(query).suffix.lower() in AUDIO:
            clip = self._find_clip(query)
        else:
            clip = self.central_clip(self.collection.find(query).row)
        return self.end(clip)

    def central_clip(self, artist: int) -> ClipRecord:
        """Find the clip of an artist, by its row, that scores highest with the artist's others."""
        nth = find_central(self.collection.encoded([artist]).embeddings, self._logit)
        return self.collection.clips_of(artist)[nth]

    def end(self, clip: ClipRecord) -> PlaylistEnd:
        """Begin or end with a clip of the catalogue."""
        clips = self.collection.clips_of(clip.artist_row)
        nth = [each.row for each in clips].index(clip.row)
        return PlaylistEnd(
            entry=self._entries([clip.row])[0],
            embedding=np.array(self.collection.encoded([clip.artist_row]).embeddings[nth]),
        )

    def _find_clip(self, file: str) -> ClipRecord:
        added = [clip for clip in self.collection.added_clips if clip.file == file]
        return added[0] if added else self.collection.catalogue.artists.find_clip(file)

    def _path(self, clip: ClipRecord) -> Path:
        return Path(os.path.abspath(self.data / clip.file))  # noqa: PTH100  # links stay

    def _logit(self, u: Floats, v: Floats) -> Floats:
        return self.collection.catalogue.scoring.head.logit(u, v)

    def _entries(self, rows: Iterable[int]) -> list[PlaylistEntry]:
        clips = self.collection.clips(rows)
        artists = self.collection.records(clip.artist_row for clip in clips)
        return [
            PlaylistEntry(
                file=self._path(clip),
                artist=artist.artist,
                name=artist.name,
                title=clip.title,
                seconds=clip.seconds,
                row=clip.row,
            )
            for clip, artist in zip(clips, artists, strict=True)
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
    scorer: Scorer
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
                raise no_artist(self.folder, query, len(self._names()), ())
            waypoint = self.catalogue.find(query).embedding[None]
        except DataError:
            spelt = self._names()
            similar = [spelt[key] for key in nearest(normalise_name(query), spelt, n=3)]
            if not similar:
                raise
            raise no_artist(self.folder, query, len(spelt), similar) from None
        near = self._end(int(logit(waypoint, self.library.embeddings)[0].argmax()))
        return replace(near, instead_of=query)

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
    file: Path, scorer: Scorer, usable: ClipsParams, id_of: Callable[[str, str], str]
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
    try:
        encoded = encode_recording(file, scorer)
    except OSError as error:
        raise ClipError(file, f"cannot be read ({error.strerror})") from error
    recording = describe_recording(file, file.parent, encoded.tags)
    if fault := find_fault(encoded, usable):
        found = f"is {fault} ({encoded.seconds:.1f} s, {encoded.dbfs:.0f} dBFS)"
        expected = f"at least {usable.min_seconds:g} s and {usable.min_dbfs:g} dBFS"
        raise ClipError(file, found, expected=expected, remedy="name another file")
    artist = id_of(recording.mbid, recording.artist) if recording.artist else f"file {file}"
    entry = describe_entry(recording, encoded, artist, scorer.spectrograms)
    return PlaylistEnd(
        entry=replace(entry, name=entry.name or "Unknown Artist"), embedding=encoded.embedding
    )
