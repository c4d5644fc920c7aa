"""A catalogue and the artists added to it, as one: added artists and clips come last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twinear.artists.identity import no_artist, normalise_name, several_artists
from twinear.base.errors import DataError, nearest
from twinear.base.files import sha256
from twinear.catalogue.catalogue import SCORER, Catalogue
from twinear.catalogue.encoded import EncodedArtists, join_artists
from twinear.catalogue.lookup import ArtistRecord, ClipRecord
from twinear.catalogue.scoring import ScoreParts, join_parts
from twinear.recommendation.additions import AddedArtist, Additions

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """All artists that can be asked about.

    Attributes
    ----------
    catalogue
        The pipeline's.
    added
        Artists that were added since, with their clips; their rows follow those of the catalogue.
    added_encoded
        What the score needs of them; None if there are none.
    warnings
        A line about each added artist that cannot be scored by this catalogue.
    """

    catalogue: Catalogue
    added: tuple[ArtistRecord, ...] = ()
    added_clips: tuple[ClipRecord, ...] = ()
    added_encoded: EncodedArtists | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Open a catalogue's folder, and the artists added beside it.

        Raises
        ------
        DataError
            Missing, damaged, half-written, or of another layout.
        """
        catalogue = Catalogue.read(folder)
        alone = cls(catalogue=catalogue)
        current = Additions.beside(catalogue).current(alone.load_scorer)
        return replace(alone.with_artists(current.artists), warnings=tuple(current.warnings))

    def with_artists(self, artists: Sequence[AddedArtist]) -> "Collection":
        """Add artists that the catalogue does not hold, after those that were added before."""
        if not artists:
            return self
        records, clips = list(self.added), list(self.added_clips)
        n_built = self.catalogue.artists.n_clips
        for row, added in enumerate(artists, start=len(self)):
            n_clips = len(added.clips)
            records.append(
                ArtistRecord(row=row, artist=added.artist, name=added.name, clips=n_clips)
            )
            for clip in added.clips:
                clips.append(
                    ClipRecord(
                        row=n_built + len(clips),
                        file=str(clip.path),
                        artist_row=row,
                        title=clip.title,
                        seconds=clip.seconds,
                    )
                )
        return replace(
            self,
            added=tuple(records),
            added_clips=tuple(clips),
            added_encoded=join_artists(
                [*self.groups[1:], *(added.encoded for added in artists)],
            ),
        )

    def __len__(self) -> int:
        return len(self.catalogue) + len(self.added)

    @property
    def groups(self) -> tuple[EncodedArtists, ...]:
        """The artists of the catalogue, and those added."""
        added = () if self.added_encoded is None else (self.added_encoded,)
        return self.catalogue.encoded, *added

    @property
    def listeners(self) -> npt.NDArray[np.int64]:
        """How many people listen to each artist, 0 where unknown, (artists,)."""
        if not self.added:  # the common case, and copying a million takes milliseconds
            return self.catalogue.listeners
        return np.concatenate([self.catalogue.listeners, np.zeros(len(self.added), np.int64)])

    def find(self, artist: str) -> ArtistRecord:
        """Find an artist by id or name.

        Raises
        ------
        DataError
            No such artist (the message suggests similar names), or several.
        """
        matches = self.matches(artist)
        if len(matches) > 1:
            namesakes = [(record.name, record.artist) for record in matches]
            raise several_artists(self.catalogue.folder, artist, namesakes)
        if not matches:
            raise no_artist(self.catalogue.folder, artist, len(self), self.suggest(artist))
        return matches[0]

    def matches(self, artist: str) -> list[ArtistRecord]:
        """Find all artists of an id, or else of a name; several may bear one name."""
        ids, table = (artist, artist.strip().lower()), self.catalogue.artists
        matches = [*table.with_id(*ids), *(each for each in self.added if each.artist in ids)]
        if not matches:
            key = normalise_name(artist)
            matches = table.named(artist)
            matches += [each for each in self.added if normalise_name(each.name) == key]
        return matches

    def suggest(self, artist: str) -> list[str]:
        """Suggest names that are most like a misspelt one, best first; empty if none is."""
        names = self.catalogue.artists.suggest(artist)
        if not self.added:
            return names
        spelt = {normalise_name(name): name for name in (*names, *(a.name for a in self.added))}
        return [spelt[key] for key in nearest(normalise_name(artist), spelt, n=3)]

    def records(self, rows: Iterable[int]) -> list[ArtistRecord]:
        """Read artists by row."""
        wanted, n = [int(row) for row in rows], len(self.catalogue)
        built = iter(self.catalogue.artists.records(row for row in wanted if row < n))
        return [next(built) if row < n else self.added[row - n] for row in wanted]

    def clips(self, rows: Iterable[int]) -> list[ClipRecord]:
        """Read clips by row."""
        n = self.catalogue.artists.n_clips
        return [
            self.catalogue.artists.clip(row) if row < n else self.added_clips[row - n]
            for row in map(int, rows)
        ]

    def clips_of(self, row: int) -> list[ClipRecord]:
        """Read the clips of an artist."""
        if row < len(self.catalogue):
            return self.catalogue.artists.clips_of(row)
        return [clip for clip in self.added_clips if clip.artist_row == row]

    def encoded(self, rows: npt.ArrayLike) -> EncodedArtists:
        """Select artists by row."""
        chosen = np.asarray(rows, dtype=np.int64)
        selected, positions, first = [], [], 0
        for group in self.groups:
            inside = np.flatnonzero((chosen >= first) & (chosen < first + len(group)))
            if len(inside):
                selected.append(group.select(chosen[inside] - first))
                positions.append(inside)
            first += len(group)
        if not selected:
            return self.catalogue.encoded.select([])
        if len(selected) == 1:
            return selected[0]
        return join_artists(selected).select(np.argsort(np.concatenate(positions)))

    def score(self, query: EncodedArtists, rows: npt.ArrayLike) -> ScoreParts:
        """Score artists by row for a query."""
        chosen, scoring = np.asarray(rows, dtype=np.int64), self.catalogue.scoring
        if 2 * len(chosen) < len(self):
            return scoring.score(query, self.encoded(chosen))
        # scoring all takes less than copying most
        return join_parts([scoring.score(query, group) for group in self.groups]).take(chosen)

    def candidates(
        self, queries: Sequence[EncodedArtists], n: int, allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64] | None:
        """Find rows worth scoring, ascending; None where all artists are to be scored."""
        index, n_built = self.catalogue.index, len(self.catalogue)
        if index is None:
            return None
        colistening = self.catalogue.scoring.colistening
        found = [index.find(query, colistening, n, allowed[:n_built]) for query in queries]
        found.append(n_built + np.flatnonzero(allowed[n_built:]))  # added ones are few
        return np.unique(np.concatenate(found))

    def load_scorer(self) -> "Scorer":
        """Read the scorer that encoded the catalogue.

        Raises
        ------
        DataError
            It is missing, damaged, or another one.
        """
        from twinear.model.scorer import Scorer  # torch is slow to import

        path = self.catalogue.folder / SCORER
        scorer = Scorer.read(path)
        found = sha256(path)
        if found != self.catalogue.scorer_sha256:
            raise DataError(
                path,
                f"is scorer {found[:12]}",
                expected=f"{self.catalogue.scorer_sha256[:12]}, which encoded the catalogue",
                remedy="run 'dvc repro catalogue'",
            )
        return scorer

    def encode(
        self, clips: Sequence[Path | str], scorer: "Scorer | None" = None
    ) -> tuple[list[Path], npt.NDArray[np.float32]]:
        """Encode audio files, or all audio in folders, by the catalogue's scorer.

        Returns
        -------
        The files that were encoded, each content once, and their embeddings, (clips, units).

        Raises
        ------
        ClipError
            No file, not readable as audio, too short, or silent.
        DataError
            The scorer was trained on embeddings of an encoder that is not here.
        """
        from twinear.inference import encode_inputs  # as above
        from twinear.recommendation.new_clips import read_new_clips

        loaded = scorer or self.load_scorer()
        read = read_new_clips(clips, loaded)
        embeddings = encode_inputs(loaded, [clip.input for clip in read.clips])
        return [clip.path for clip in read.clips], embeddings
