"""Deezer: previews of 30 s as mp3, without a key; 50 requests in any 5 seconds.

Errors come with status 200. The URL of a preview carries a signature that is valid for 15 to 60
minutes; it is never kept, so the URL of a preview known from disk is requested again.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.errors import (
    ExpiredUrlError,
    InvalidContentError,
    NotFoundError,
    RequestRefusedError,
    ServiceUnavailableError,
    ThrottledError,
)
from twinear.acquisition.network.response_cache import JsonObject
from twinear.acquisition.previews.services.matching import (
    Profile,
    Row,
    find_candidate,
    inner,
    key_of,
    number,
    profiles,
    rows,
    text,
)
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist

NAME = "deezer"
URL = "https://api.deezer.com"
REQUEST_POLICY = RequestPolicy(n=50, seconds=5.0)
TERMS = "Deezer preview: Deezer's terms of use; for personal, non-commercial use, not to be shared"

QUOTA, BUSY, NO_DATA = 4, 700, 800
REFUSALS = {
    100: "too many items requested",
    200: "no permission",
    300: "a token is required",
    500: "wrong parameter",
    501: "missing parameter",
    600: "invalid query",
}
MAX_ROWS = 50
MIN_VALID_SECONDS = 30.0  # a URL that expires sooner is renewed at once


class Deezer:
    """Previews of Deezer."""

    name = NAME
    terms = TERMS

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist by MusicBrainz's link, else by name."""
        return find_candidate(artist, NAME, self._lookup, self._search, self._titles)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's most popular recordings that have a preview."""
        previews = [
            Preview(
                source_id=key_of(row, "id"),
                title=text(row, "title"),
                url=text(row, "preview"),
                duration_seconds=float(number(row, "duration")),
                terms=TERMS,
            )
            for row in self._top(candidate.artist_id)
            # recordings of other artists only feature this one
            if key_of(inner(row, "artist"), "id") in ("", candidate.artist_id)
        ]
        return [preview for preview in previews if preview.url and preview.source_id][:limit]

    def related(self, candidate: Candidate) -> list[str]:
        """List the names of the artists that Deezer calls related; empty if there are none."""
        path = f"/artist/{candidate.artist_id}/related"
        answer = self._get(path, {"limit": MAX_ROWS})
        found = rows(answer, "data", f"{NAME} {path}")
        return [name for row in found if (name := text(row, "name"))]

    def download(self, preview: Preview, to: Path) -> None:
        """Download the audio, from a renewed URL if the old one has expired."""
        if _may_be_valid(preview.url, self._client.clock.now()):
            try:
                self._client.download(preview.url, to)
                return
            except ExpiredUrlError:
                pass
        path = f"/track/{preview.source_id}"
        url = text(self._get(path, fresh=True), "preview")
        if not url:
            raise NotFoundError(f"{NAME} {path}", "no longer has a preview")
        self._client.download(url, to)

    def _lookup(self, artist_id: str) -> Profile | None:
        return next(iter(_profiles([self._get(f"/artist/{artist_id}")])), None)

    def _search(self, name: str) -> list[Profile]:
        path = "/search/artist"
        return _profiles(rows(self._get(path, {"q": name}), "data", f"{NAME} {path}"))

    def _titles(self, profile: Profile) -> list[str]:
        top = self._top(profile.artist_id)
        return [text(row, "title") for row in [*top, *(inner(row, "album") for row in top)]]

    def _top(self, artist_id: str) -> list[Row]:
        path = f"/artist/{artist_id}/top"
        try:
            answer = self._get(path, {"limit": MAX_ROWS})
        except NotFoundError:  # an artist without recordings
            return []
        return rows(answer, "data", f"{NAME} {path}")

    def _get(
        self, path: str, params: dict[str, str | int] | None = None, **options: Any
    ) -> JsonObject:
        return self._client.get(path, params, check=check, to_cache=_unsigned, **options)


def check(answer: JsonObject) -> None:
    """Raise the error that a response with status 200 stands for."""
    if "error" not in answer:
        return
    error = answer["error"]
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        raise InvalidContentError(NAME, "answers an error without a code")
    if code == QUOTA:
        raise ThrottledError(NAME, "says that its quota is used up", seconds=REQUEST_POLICY.seconds)
    if code == BUSY:
        raise ServiceUnavailableError(NAME, "is busy")
    if code == NO_DATA:
        raise NotFoundError(NAME, "has no such entry")
    raise RequestRefusedError(NAME, f"answers error {code}: {REFUSALS.get(code, 'unknown')}")


def _profiles(artists: list[Row]) -> list[Profile]:
    return profiles(artists, popularity=lambda row: number(row, "nb_fan"))


def _may_be_valid(url: str, now: float) -> bool:
    """Whether a URL is signed and not known to expire within `MIN_VALID_SECONDS`."""
    expires = re.search(r"exp(?:=|%3D)(\d{1,12})", url)
    return bool(urlsplit(url).query) and (
        not expires or float(expires[1]) > now + MIN_VALID_SECONDS
    )


def _unsigned(answer: JsonObject) -> JsonObject:
    """The response without the signatures in the URLs of its previews."""

    def without_signature(row: object) -> object:
        if not isinstance(row, dict) or not isinstance(row.get("preview"), str):
            return row
        try:
            parts = urlsplit(row["preview"])
        except ValueError:
            return {**row, "preview": ""}
        return {**row, "preview": urlunsplit(parts._replace(query="", fragment=""))}

    data = answer.get("data")
    if isinstance(data, list):
        return {**answer, "data": [without_signature(row) for row in data]}
    return answer
