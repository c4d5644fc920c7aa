"""The recordings of a library as media servers ask for them: by item id, in memory.

Artists of the library that the catalogue does not hold are put beside it, as if they had been
added, so that they are answers and can be asked about. Scores of two recordings are the network's
alone, in (0, 1); of two artists they are those of the catalogue.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from twinear.acquisition.music_folder import UNREADABLE, LeftOut, describe_recording
from twinear.artists.identity import (
    artist_id,
    identify,
    is_mbid,
    normalise_name,
    normalise_spellings,
)
from twinear.base.errors import DataError
from twinear.catalogue.head import sigmoid
from twinear.catalogue.lookup import ArtistRecord
from twinear.catalogue.search.protocol import best_first
from twinear.recommendation.additions import AddedArtist, AddedClip
from twinear.recommendation.collection import Collection
from twinear.recommendation.library_cache import EncodedRecording, FileState, LibraryCache
from twinear.recommendation.library_table import REMEDY, LibraryItem, read_library_table
from twinear.recommendation.playlist import (
    Floats,
    Ints,
    PlaylistEnd,
    PlaylistEntry,
    PlaylistSource,
    identify_recordings,
    make_playlist,
)
from twinear.recommendation.playlist_sources import find_central

NOT_ENCODED = "not encoded by the catalogue's scorer"
MAX_CLIPS = 20  # recordings that stand for an artist whom the catalogue does not hold


@dataclass(frozen=True, kw_only=True)
class SimilarItem:
    """A similar recording, and its score in (0, 1)."""

    item: LibraryItem
    score: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemLibrary:
    """The recordings that can be asked about.

    Attributes
    ----------
    items
        As the media server knows them.
    entries
        (items,), the same for playlists.
    embeddings
        (items, units), float32, by the catalogue's scorer.
    artist_rows
        (items,), rows of `collection`.
    identity
        (items,), equal numbers for copies of one recording.
    collection
        The catalogue with the library's own artists.
    left_out
        Items of the table that cannot be used, by reason.
    """

    items: tuple[LibraryItem, ...]
    entries: tuple[PlaylistEntry, ...]
    embeddings: Floats
    artist_rows: Ints
    identity: Ints
    collection: Collection
    left_out: LeftOut

    @classmethod
    def open(cls, table: Path, cache: LibraryCache, collection: Collection) -> "ItemLibrary":
        """Read a table of items, and their embeddings from the cache; no audio is decoded.

        Raises
        ------
        DataError
            The table is missing or damaged, the cache is damaged, or no item can be used.
        """
        left_out = LeftOut()
        items, entries, embeddings = [], [], []
        for item in read_library_table(table):
            try:
                encoded = cache.read(FileState.of(item.file))
            except OSError:
                left_out.add(UNREADABLE, item.item_id)
                continue
            if encoded is None or encoded.fault:
                left_out.add(encoded.fault if encoded else NOT_ENCODED, item.item_id)
                continue
            complete = _complete(item, encoded)
            items.append(complete)
            embeddings.append(encoded.embedding)
            entries.append(_entry(complete, encoded.sha256))
        if not items:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in left_out.counts.items())
            raise DataError(
                table, f"has no item to use ({reasons or 'it is empty'})", remedy=REMEDY
            )
        stacked = np.stack(embeddings)
        artist_rows, known = _put_artists(items, stacked, collection)
        ids = [record.artist for record in known.records(artist_rows)]
        entries = [
            replace(entry, artist=artist, row=row)
            for row, (entry, artist) in enumerate(zip(entries, ids, strict=True))
        ]
        return cls(
            items=tuple(items),
            entries=tuple(entries),
            embeddings=stacked,
            artist_rows=artist_rows,
            identity=identify_recordings(entries),
            collection=known,
            left_out=left_out,
        )

    @cached_property
    def rows(self) -> dict[str, int]:
        """Item id -> row."""
        return {item.item_id: row for row, item in enumerate(self.items)}

    @cached_property
    def titles(self) -> dict[tuple[str, str], int]:
        """Normalised artist and title -> the first such row."""
        rows = reversed(list(enumerate(self.items)))
        return {_title_key(item.artist, item.title): row for row, item in rows}

    @cached_property
    def items_of(self) -> dict[int, list[int]]:
        """Row of an artist -> rows of its items."""
        found = defaultdict[int, list[int]](list)
        for row, artist in enumerate(self.artist_rows.tolist()):
            found[artist].append(row)
        return dict(found)

    @cached_property
    def server_artists(self) -> dict[str, int]:
        """The media server's id of an artist -> its row."""
        pairs = zip(self.items, self.artist_rows.tolist(), strict=True)
        return {item.artist_id: row for item, row in pairs if item.artist_id}

    @cached_property
    def server_ids(self) -> dict[int, str]:
        """Row of an artist -> the media server's id of it."""
        return {row: server_id for server_id, row in self.server_artists.items()}

    @cached_property
    def mbids(self) -> dict[int, str]:
        """Row of an artist -> the MusicBrainz id that the tags of its recordings name."""
        pairs = zip(self.artist_rows.tolist(), self.items, strict=True)
        return {row: item.mbid for row, item in pairs if item.mbid}

    def find(self, item_id: str) -> int:
        """Find an item by its id.

        Raises
        ------
        DataError
            No item has this id.
        """
        row = self.rows.get(item_id)
        if row is None:
            raise DataError("library", f"no item '{item_id}'", remedy=REMEDY)
        return row

    def find_title(self, artist: str, title: str) -> int:
        """Find an item by artist and title; case, accents and guests do not matter.

        Raises
        ------
        DataError
            No item has this artist and title.
        """
        row = self.titles.get(_title_key(artist, title))
        if row is None:
            raise DataError("library", f"no '{title}' by '{artist}'", remedy=REMEDY)
        return row

    def similar(self, row: int, n: int, per_artist: int | None = None) -> list[SimilarItem]:
        """Find the items that sound most like one, best first; of copies the first counts.

        Parameters
        ----------
        per_artist
            At most so many of an artist.
        """
        logits = self._logit(self.embeddings[[row]], self.embeddings)[0]
        seen, n_of = {int(self.identity[row])}, defaultdict[int, int](int)
        found: list[SimilarItem] = []
        for other in np.argsort(-logits, kind="stable").tolist():
            recording, artist = int(self.identity[other]), int(self.artist_rows[other])
            if recording in seen or (per_artist is not None and n_of[artist] >= per_artist):
                continue
            if len(found) >= n:
                break
            seen.add(recording)
            n_of[artist] += 1
            found.append(SimilarItem(item=self.items[other], score=_score(logits[other])))
        return found

    def path(self, first: int, last: int, most: int) -> list[SimilarItem]:
        """Find a path of at most `most` items from one to another, as a playlist is made.

        The score of an item is that with the one before; of the first it is 1.

        Raises
        ------
        DataError
            No path exists, as between two recordings of the only artist.
        """
        start = SimilarItem(item=self.items[first], score=1.0)
        if first == last:
            return [start]
        if self.identity[first] == self.identity[last]:
            return [start, SimilarItem(item=self.items[last], score=1.0)]
        source, ends = self.source(), [self.end(row) for row in (first, last)]
        longest = min(most, len(np.unique(self.identity)))
        for length in range(longest, 1, -1):  # a small library has no path of every length
            try:
                made = make_playlist(source, ends[0], ends[1], length)
            except DataError as error:
                impossible = error
                continue
            rows = [entry.row for entry in made.entries if entry.row is not None]  # all have one
            steps = zip(rows[1:], made.order.scores.tolist(), strict=True)
            return [start, *(SimilarItem(item=self.items[row], score=s) for row, s in steps)]
        raise impossible

    def source(self) -> PlaylistSource:
        """Give the items to make a playlist of."""
        return PlaylistSource(
            embeddings=self.embeddings,
            artists=self.artist_rows,
            entries=lambda rows: [self.entries[row] for row in rows],
            logit=self._logit,
        )

    def end(self, row: int) -> PlaylistEnd:
        """Begin or end a playlist with an item."""
        return PlaylistEnd(entry=self.entries[row], embedding=self.embeddings[row])

    def central_item(self, artist: int) -> int:
        """Find the item of an artist, both by row, that scores highest with the artist's others."""
        rows = self.items_of[artist]
        return rows[find_central(self.embeddings[rows], self._logit)]

    def nearest_item(self, embedding: Floats) -> int:
        """Find the item, by row, that scores highest with an embedding, (units,)."""
        return int(self._logit(embedding[None], self.embeddings)[0].argmax())

    def similar_artists(self, artist: int, n: int) -> list[tuple[ArtistRecord, float]]:
        """Rank the library's artists by their score with one, best first, itself left out.

        Parameters
        ----------
        artist
            A row of the collection, of the library or not.
        """
        rows = np.setdiff1d(self.artist_rows, [artist])
        parts = self.collection.score(self.collection.encoded([artist]), rows)
        total = np.asarray(parts.total[0])
        best = best_first(total, n)
        scores = self.collection.catalogue.calibration.apply(total[best])
        return list(zip(self.collection.records(rows[best]), scores.tolist(), strict=True))

    def nearest_of(self, artist: int, embeddings: Floats, n: int) -> list[LibraryItem]:
        """Choose the items of an artist that are most similar to some clips, best first."""
        rows = self.items_of.get(artist, [])
        if not rows:
            return []
        mean = self._logit(np.array(embeddings), self.embeddings[rows]).mean(axis=0)
        return [self.items[rows[at]] for at in best_first(mean, n)]

    def _logit(self, u: Floats, v: Floats) -> Floats:
        return self.collection.catalogue.scoring.head.logit(u, v)


def _complete(item: LibraryItem, encoded: EncodedRecording) -> LibraryItem:
    """Take from the tags what the table does not say."""
    if item.artist and item.title and item.seconds:
        return item
    tags = describe_recording(item.file, item.file.parent, encoded.tags)
    return replace(
        item,
        artist=item.artist or tags.artist,
        mbid=item.mbid or ("" if item.artist else tags.mbid),
        title=item.title or tags.title,
        album=item.album or tags.album,
        seconds=item.seconds or encoded.seconds,
    )


def _put_artists(
    items: Sequence[LibraryItem], embeddings: Floats, collection: Collection
) -> tuple[Ints, Collection]:
    """Find the artist of each item, (items,); those that are not there are put beside the others.

    An artist is the one with the same MusicBrainz id, else with the same name, unless both have
    ids and these differ.
    """
    ids = identify(normalise_spellings((item.mbid, item.artist) for item in items))
    of_artist = defaultdict[str, list[int]](list)
    for row, artist in enumerate(ids):
        of_artist[artist].append(row)
    rows, new = np.empty(len(items), np.int64), list[AddedArtist]()
    for artist, own in of_artist.items():
        known = _find(collection, artist, items[own[0]].artist)
        rows[own] = len(collection) + len(new) if known is None else known.row
        if known is None:
            chosen = own[:: max(1, len(own) // MAX_CLIPS)][:MAX_CLIPS]
            new.append(
                AddedArtist(
                    artist=artist,
                    name=items[own[0]].artist,
                    clips=tuple(
                        AddedClip(path=each.file, title=each.title, seconds=each.seconds)
                        for each in (items[row] for row in chosen)
                    ),
                    encoded=collection.catalogue.represent(embeddings[chosen]),
                )
            )
    return rows, collection.with_artists(new)


def _find(collection: Collection, artist: str, name: str) -> ArtistRecord | None:
    for query in dict.fromkeys((artist, name)):
        found = collection.matches(query)
        differ = is_mbid(artist) and any(is_mbid(each.artist) for each in found)
        if len(found) == 1 and (found[0].artist == artist or not differ):
            return found[0]
    return None


def _entry(item: LibraryItem, sha256: str) -> PlaylistEntry:
    return PlaylistEntry(
        file=item.file,
        artist=item.artist,
        name=item.artist,
        title=item.title,
        seconds=item.seconds,
        sha256=sha256,
        album=item.album,
    )


def _title_key(artist: str, title: str) -> tuple[str, str]:
    return artist_id("", artist), normalise_name(title)


def _score(logit: np.float32) -> float:
    return float(sigmoid(np.array([logit], np.float32))[0])
