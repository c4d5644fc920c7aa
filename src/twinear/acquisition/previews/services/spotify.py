"""Spotify: who is who there, for users who have keys; no audio. Off by default, and never needed.

Since November 2024 `preview_url` is null, since February 2026 new and development-mode applications
may not request an artist's top recordings at all (403), and policy III.14 forbids training models
on its content. So profiles are matched, and a request for audio is answered with the reason for
having none.
"""

import base64
import re
import threading
from pathlib import Path
from typing import Never

from twinear.acquisition.network.client import Client, Params, RequestPolicy
from twinear.acquisition.network.errors import (
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    UnauthorisedError,
)
from twinear.acquisition.network.response_cache import JsonObject
from twinear.acquisition.previews.services.matching import (
    Profile,
    Row,
    find_candidate,
    inner,
    number,
    profiles,
    rows,
    text,
)
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist

NAME = "spotify"
URL = "https://api.spotify.com/v1"
ACCOUNTS_URL = "https://accounts.spotify.com"
REQUEST_POLICY = RequestPolicy(n=20, seconds=30.0)  # the service publishes no figure
TERMS = "Spotify: policy III.14 forbids training models on its content; only profiles are matched"
REMEDY = "its policy III.14 forbids training models on its content: take 'spotify' out of --sources"
MAX_RESULTS = 10
EARLY_SECONDS = 60.0  # a token is renewed so long before it expires


class AccessToken:
    """A token for an application's own keys, from the accounts service; renewed in time."""

    def __init__(self, client: Client, client_id: str, secret: str) -> None:
        self._client = client
        keys = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {keys}"}
        self._lock = threading.Lock()
        self._token = ""
        self._expires = 0.0

    def headers(self) -> dict[str, str]:
        """The header that carries the token."""
        with self._lock:
            if not self._token or self._client.clock.now() >= self._expires:
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def discard(self, headers: dict[str, str]) -> None:
        """Discard the token in these headers, unless another thread has renewed it already."""
        with self._lock:
            if headers["Authorization"] == f"Bearer {self._token}":
                self._token = ""

    def _renew(self) -> None:
        form = {"grant_type": "client_credentials"}
        try:
            answer = self._client.post("/api/token", form, self._headers)
        except RequestRefusedError:
            remedy = "correct TWINEAR_SPOTIFY_ID and TWINEAR_SPOTIFY_SECRET, or leave spotify out"
            raise RequestRefusedError(NAME, "does not accept the keys", remedy=remedy) from None
        token = text(answer, "access_token")
        if not re.fullmatch(r"[!-~]+", token):
            raise InvalidContentError(NAME, "gives no token")
        self._token = token
        self._expires = self._client.clock.now() + number(answer, "expires_in") - EARLY_SECONDS


class Spotify:
    """Profiles of Spotify, and the reasons why there is no audio."""

    name = NAME
    terms = TERMS

    def __init__(self, client: Client, token: AccessToken) -> None:
        self._client = client
        self._token = token

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by MusicBrainz's link, else by name."""
        return find_candidate(artist, NAME, self._lookup, self._search, lambda profile: ())

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """Raise `RequestRefusedError`: the service shows no previews, or none that may be used."""
        path = f"/artists/{candidate.artist_id}/top-tracks"
        place = f"{NAME} {path}"
        try:
            top = rows(self._get(path), "tracks", place)
        except NotFoundError:
            raise
        except RequestRefusedError:
            found = "is closed to new and development-mode applications since February 2026"
            raise RequestRefusedError(place, found, remedy=REMEDY) from None
        if any(text(row, "preview_url") for row in top):
            raise RequestRefusedError(place, "offers previews that may not be used", remedy=REMEDY)
        raise RequestRefusedError(place, "has no previews since November 2024", remedy=REMEDY)

    def download(self, preview: Preview, to: Path) -> Never:
        """Refuse: no audio of Spotify is put on disk."""
        raise RequestRefusedError(f"{NAME} {preview.source_id}", "may not be used", remedy=REMEDY)

    def _lookup(self, artist_id: str) -> Profile | None:
        return next(iter(_profiles([self._get(f"/artists/{artist_id}")])), None)

    def _search(self, name: str) -> list[Profile]:
        answer = self._get("/search", {"q": name, "type": "artist", "limit": MAX_RESULTS})
        return _profiles(rows(inner(answer, "artists"), "items", f"{NAME} /search"))

    def _get(self, path: str, params: Params | None = None) -> JsonObject:
        headers = self._token.headers()
        try:
            return self._client.get(path, params, headers=headers)
        except UnauthorisedError:  # the token was revoked before its time
            self._token.discard(headers)
            return self._client.get(path, params, headers=self._token.headers())


def _profiles(artists: list[Row]) -> list[Profile]:
    return profiles(artists, popularity=lambda row: number(inner(row, "followers"), "total"))
