"""iTunes Search: previews as m4a, without a key; about 20 requests a minute.

A lookup's first row is the artist. When it wants fewer requests it answers 403 or resets
connections, for longer and longer. It tells no popularity.
"""

from pathlib import Path

from twinear.acquisition.network.client import Client, Manners, Params
from twinear.acquisition.network.errors import Expired, Unknown
from twinear.acquisition.network.response_cache import Answer
from twinear.acquisition.previews.services.matching import (
    Profile,
    Row,
    choose,
    is_key,
    key_of,
    number,
    related,
    text,
)
from twinear.acquisition.previews.services.matching import rows as rows_of
from twinear.acquisition.previews.source import Candidate, Preview, Wanted
from twinear.artists.identity import normalise_name

NAME = "itunes"
URL = "https://itunes.apple.com"
MANNERS = Manners(
    n=20,
    seconds=60.0,
    throttled=frozenset({403, 429, 503}),
    resets=True,
    backoff_seconds=10.0,
    max_backoff_seconds=120.0,
)
TERMS = "iTunes preview: Apple allows its use only to promote what its store sells"
COUNTRY = "US"
MOST_ARTISTS = 50
MOST_ROWS = 50


class ITunes:
    """Previews of the iTunes Search API, in the store of one country."""

    name = NAME
    terms = TERMS

    def __init__(self, client: Client, country: str = COUNTRY) -> None:
        self._client = client
        self._country = country

    def find(self, artist: Wanted) -> Candidate | None:
        """Find the artist by MusicBrainz's link, else by name."""
        if profile := self._linked(artist.ids.get(NAME, "")):
            return related(profile, NAME)
        if not normalise_name(artist.name):
            return None
        asked: Params = {
            "term": artist.name,
            "media": "music",
            "entity": "musicArtist",
            "attribute": "artistTerm",
            "country": self._country,
            "limit": MOST_ARTISTS,
        }
        found = _rows(self._client.get("/search", asked), "/search")
        return choose(artist, _profiles(found), NAME, self._titles)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's recordings that have a preview, in the order of the service."""
        artist_id = candidate.artist_id
        own = [row for row in self._recordings(artist_id) if key_of(row, "artistId") == artist_id]
        offered = [_preview(row) for row in own if key_of(row, "trackId")]
        return [each for each in offered if each.url][:limit]

    def download(self, preview: Preview, to: Path) -> None:
        """Fetch the audio, from a renewed address if the old one is no longer good."""
        try:
            self._client.download(preview.url, to)
        except (Expired, Unknown):
            self._client.download(self._renewed(preview), to)

    def _linked(self, artist_id: str) -> Profile | None:
        if not is_key(artist_id):
            return None
        found = _profiles(self._lookup({"id": artist_id}))
        return next((each for each in found if each.artist_id == artist_id), None)

    def _titles(self, profile: Profile) -> list[str]:
        found = self._recordings(profile.artist_id)
        return [text(row, key) for row in found for key in ("trackName", "collectionName")]

    def _recordings(self, artist_id: str) -> list[Row]:
        found = self._lookup({"id": artist_id, "entity": "song", "limit": MOST_ROWS})
        return [row for row in found if row.get("kind") == "song"]

    def _renewed(self, preview: Preview) -> str:
        for row in self._lookup({"id": preview.source_id}, fresh=True):
            url = text(row, "previewUrl")
            if url and key_of(row, "trackId") == preview.source_id:
                return url
        raise Unknown(f"{NAME} {preview.source_id}", "has no preview any more")

    def _lookup(self, asked: dict[str, str | int], *, fresh: bool = False) -> list[Row]:
        asked = {**asked, "country": self._country}
        return _rows(self._client.get("/lookup", asked, fresh=fresh), "/lookup")


def _rows(answer: Answer, path: str) -> list[Row]:
    return rows_of(answer, "results", f"{NAME} {path}")


def _profiles(found: list[Row]) -> list[Profile]:
    return [
        Profile(artist_id=key_of(row, "artistId"), name=text(row, "artistName"))
        for row in found
        if row.get("wrapperType") == "artist" and key_of(row, "artistId")
    ]


def _preview(row: Row) -> Preview:
    return Preview(
        source=NAME,
        source_artist=key_of(row, "artistId"),
        source_id=key_of(row, "trackId"),
        title=text(row, "trackName"),
        url=text(row, "previewUrl"),
        duration_seconds=number(row, "trackTimeMillis") / 1000,
        terms=TERMS,
    )
