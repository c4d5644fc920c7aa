"""Recordings of one's own, from a folder or a table, found by MusicBrainz id, else by name.

An id decides: a recording of another id is never taken for the name's sake. Recordings without id
belong to the artist of their name if only one artist has it; else the name is ambiguous.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

from twinear.acquisition.music_folder import Credit
from twinear.acquisition.previews.source import Candidate, RequestedArtist
from twinear.artists.identity import normalise_name

T = TypeVar("T")


class OwnRecordings(Generic[T]):
    """Recordings by artist; `what` says where the ids and names are, for people."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._by_key: defaultdict[str, list[T]] = defaultdict(list)  # MBID or normalised name
        self._mbids: defaultdict[str, set[str]] = defaultdict(set)  # of a name, "" for unknown
        self._names: dict[str, str] = {}  # of a key, as it is spelt first

    def add(self, recording: T, credits: Iterable[Credit]) -> None:
        """Add a recording of these artists."""
        for credit in credits:
            name = normalise_name(credit.name)
            self._mbids[name].add(credit.mbid)
            for key in {credit.mbid, name} - {""}:
                self._by_key[key].append(recording)
                self._names.setdefault(key, credit.name)

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist; a confidence of 0.5 for an ambiguous name."""
        wanted = [id_ for id_ in (artist.mbid, artist.ids.get("musicbrainz", "")) if id_]
        for mbid in wanted:
            if mbid in self._by_key:
                return self._candidate(mbid, 1.0, f"{self._what} has the MusicBrainz id")
        name = normalise_name(artist.name)
        if not name or name not in self._by_key:
            return None
        others = self._mbids[name] - {""}
        if wanted and others:
            if "" not in self._mbids[name]:
                return None  # a namesake
            return self._candidate(name, 0.5, "the name has another MusicBrainz id there, too")
        if len(others) > 1:
            return self._candidate(name, 0.5, f"{len(others)} artists of that name")
        return self._candidate(name, 0.9, f"{self._what} has the name")

    def recordings(self, candidate: Candidate) -> list[T]:
        """The recordings of an artist that was found, in the order in which they were added."""
        return self._by_key[candidate.artist_id]

    def _candidate(self, key: str, confidence: float, why: str) -> Candidate:
        return Candidate(artist_id=key, name=self._names[key], confidence=confidence, why=why)
