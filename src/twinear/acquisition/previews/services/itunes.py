"""iTunes Search: previews as m4a, without a key; about 20 requests a minute.

The first row of a lookup is the artist. To ask for fewer requests the service answers 403 or resets
connections, for longer and longer. It gives no popularity.
"""

from pathlib import Path

from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.errors import ExpiredUrlError, NotFoundError
from twinear.acquisition.previews.services.matching import (
    Profile,
    Row,
    find_candidate,
    key_of,
    number,
    rows,
    text,
)
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist

NAME = "itunes"
URL = "https://itunes.apple.com"
REQUEST_POLICY = RequestPolicy(
    n=20,
    seconds=60.0,
    throttling_statuses=frozenset({403, 429, 503}),
    throttles_by_reset=True,
    backoff_seconds=10.0,
    max_backoff_seconds=120.0,
)
TERMS = "iTunes preview: Apple allows its use only to promote what its store sells"
COUNTRY = "US"
MAX_ARTISTS = 50
MAX_ROWS = 50


class ITunes:
    """Previews of the iTunes Search API, in the store of one country."""

    name = NAME
    terms = TERMS

    def __init__(self, client: Client, country: str = COUNTRY) -> None:
        self._client = client
        self._country = country

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by MusicBrainz's link, else by name."""
        return find_candidate(artist, NAME, self._lookup, self._search, self._titles)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's recordings that have a preview, in the order of the service."""
        previews = [
            Preview(
                source_id=key_of(row, "trackId"),
                title=text(row, "trackName"),
                url=text(row, "previewUrl"),
                duration_seconds=number(row, "trackTimeMillis") / 1000,
                terms=TERMS,
            )
            for row in self._recordings(candidate.artist_id)
            if key_of(row, "artistId") == candidate.artist_id
        ]
        return [preview for preview in previews if preview.url and preview.source_id][:limit]

    def download(self, preview: Preview, to: Path) -> None:
        """Download the audio, from a renewed URL if the old one is no longer valid."""
        try:
            self._client.download(preview.url, to)
        except (ExpiredUrlError, NotFoundError):
            self._client.download(self._renewed_url(preview), to)

    def _lookup(self, artist_id: str) -> Profile | None:
        profiles = _profiles(self._get("/lookup", {"id": artist_id}))
        return next((profile for profile in profiles if profile.artist_id == artist_id), None)

    def _search(self, name: str) -> list[Profile]:
        query: dict[str, str | int] = {
            "term": name,
            "media": "music",
            "entity": "musicArtist",
            "attribute": "artistTerm",
            "limit": MAX_ARTISTS,
        }
        return _profiles(self._get("/search", query))

    def _titles(self, profile: Profile) -> list[str]:
        recordings = self._recordings(profile.artist_id)
        return [text(row, key) for row in recordings for key in ("trackName", "collectionName")]

    def _recordings(self, artist_id: str) -> list[Row]:
        found = self._get("/lookup", {"id": artist_id, "entity": "song", "limit": MAX_ROWS})
        return [row for row in found if row.get("kind") == "song"]

    def _renewed_url(self, preview: Preview) -> str:
        for row in self._get("/lookup", {"id": preview.source_id}, fresh=True):
            url = text(row, "previewUrl")
            if url and key_of(row, "trackId") == preview.source_id:
                return url
        raise NotFoundError(f"{NAME} {preview.source_id}", "no longer has a preview")

    def _get(self, path: str, query: dict[str, str | int], *, fresh: bool = False) -> list[Row]:
        answer = self._client.get(path, {**query, "country": self._country}, fresh=fresh)
        return rows(answer, "results", f"{NAME} {path}")


def _profiles(results: list[Row]) -> list[Profile]:
    return [
        Profile(artist_id=key_of(row, "artistId"), name=text(row, "artistName"))
        for row in results
        if row.get("wrapperType") == "artist" and key_of(row, "artistId")
    ]
