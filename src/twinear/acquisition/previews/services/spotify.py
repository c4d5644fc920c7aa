"""Spotify: who is who there, for those who have keys; no audio. Off by default, and never needed.

Since November 2024 `preview_url` is null, since February 2026 new and development-mode applications
may not ask for an artist's top recordings at all (403), and policy III.14 forbids training models
on its content. So profiles are matched, and whoever asks for audio is told why there is none.
"""

import base64
import re
import threading
from pathlib import Path
from typing import Never

from twinear.acquisition.network.client import Client, Manners, Params
from twinear.acquisition.network.errors import Malformed, Refused, Unauthorised, Unknown
from twinear.acquisition.network.response_cache import Answer
from twinear.acquisition.previews.services.matching import (
    Profile,
    Row,
    choose,
    inner,
    is_key,
    key_of,
    number,
    related,
    rows,
    text,
)
from twinear.acquisition.previews.source import Candidate, Preview, Wanted
from twinear.artists.identity import normalise_name

NAME = "spotify"
URL = "https://api.spotify.com/v1"
ACCOUNTS_URL = "https://accounts.spotify.com"
MANNERS = Manners(n=20, seconds=30.0)  # the service publishes no figure
TERMS = "Spotify: policy III.14 forbids training models on its content; only profiles are matched"
POLICY = "its policy III.14 forbids training models on its content: take 'spotify' out of --sources"
MOST_FOUND = 10
EARLY_SECONDS = 60.0  # before a token expires, another is asked for


class Token:
    """A token for an application's own keys, renewed as it expires.

    Parameters
    ----------
    client
        Of the accounts service, another host.
    """

    def __init__(self, client: Client, client_id: str, secret: str) -> None:
        self._client = client
        keys = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {keys}"}
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def headers(self) -> dict[str, str]:
        """The header that carries the token."""
        with self._lock:
            if not self._token or self._client.clock.now() >= self._until:
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def forget(self, headers: dict[str, str]) -> None:
        """Hear that the token in these headers is no longer good."""
        with self._lock:
            if headers["Authorization"] == f"Bearer {self._token}":
                self._token = ""

    def _renew(self) -> None:
        form = {"grant_type": "client_credentials"}
        try:
            answer = self._client.post("/api/token", form, self._headers)
        except Refused:
            raise Refused(
                NAME,
                "does not take the keys",
                remedy="mend TWINEAR_SPOTIFY_ID and TWINEAR_SPOTIFY_SECRET, or do without spotify",
            ) from None
        token = text(answer, "access_token")
        if not re.fullmatch(r"[!-~]+", token):
            raise Malformed(NAME, "gives no token")
        self._token = token
        self._until = self._client.clock.now() + number(answer, "expires_in") - EARLY_SECONDS


class Spotify:
    """Profiles of Spotify, and the reasons why there is no audio."""

    name = NAME
    terms = TERMS

    def __init__(self, client: Client, token: Token) -> None:
        self._client = client
        self._token = token

    def find(self, artist: Wanted) -> Candidate | None:
        """Find the artist by MusicBrainz's link, else by name."""
        if profile := self._linked(artist.ids.get(NAME, "")):
            return related(profile, NAME)
        if not normalise_name(artist.name):
            return None
        asked: Params = {"q": artist.name, "type": "artist", "limit": MOST_FOUND}
        answer = inner(self._get("/search", asked), "artists")
        return choose(artist, _profiles(rows(answer, "items", f"{NAME} /search")), NAME, _no_titles)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """Say why there are none.

        Raises
        ------
        Refused
            Always: the service shows none, or none that may be used.
        """
        path = f"/artists/{candidate.artist_id}/top-tracks"
        place = f"{NAME} {path}"
        try:
            found = rows(self._get(path), "tracks", place)
        except Unknown:
            raise
        except Refused:
            raise Refused(
                place,
                "is closed to new and development-mode applications since February 2026",
                remedy=POLICY,
            ) from None
        if any(text(row, "preview_url") for row in found):
            raise Refused(place, "offers previews that may not be used", remedy=POLICY)
        raise Refused(place, "has no previews since November 2024", remedy=POLICY)

    def download(self, preview: Preview, to: Path) -> Never:
        """Refuse: nothing of Spotify's is put on disk."""
        raise Refused(f"{NAME} {preview.source_id}", "may not be used", remedy=POLICY)

    def _linked(self, artist_id: str) -> Profile | None:
        if not is_key(artist_id):
            return None
        try:
            found = _profiles([self._get(f"/artists/{artist_id}")])
        except Unknown:  # the link is out of date
            return None
        return found[0] if found else None

    def _get(self, path: str, params: Params | None = None) -> Answer:
        headers = self._token.headers()
        try:
            return self._client.get(path, params, headers=headers)
        except Unauthorised:  # the token was taken back before its time
            self._token.forget(headers)
            return self._client.get(path, params, headers=self._token.headers())


def _no_titles(profile: Profile) -> list[str]:
    return []


def _profiles(found: list[Row]) -> list[Profile]:
    return [
        Profile(
            artist_id=key_of(row, "id"),
            name=text(row, "name"),
            popularity=number(inner(row, "followers"), "total"),
        )
        for row in found
        if key_of(row, "id") and text(row, "name")
    ]
