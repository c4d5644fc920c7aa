"""Deezer: previews of 30 s as mp3, without a key; 50 requests in any 5 seconds.

Errors come with status 200. The address of a preview carries a signature that is good for 15 to 60
minutes; it is never kept, so that a preview known from disk is asked for anew.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from twinear.acquisition.network.client import Client, Manners, Throttled
from twinear.acquisition.network.errors import Away, Expired, Malformed, Refused, Unknown
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

NAME = "deezer"
URL = "https://api.deezer.com"
MANNERS = Manners(n=50, seconds=5.0)
TERMS = "Deezer preview: Deezer's terms of use; for personal, non-commercial use, not to be shared"

QUOTA, BUSY, NO_DATA = 4, 700, 800
REFUSALS = {
    100: "too many items asked for",
    200: "no permission",
    300: "a token is wanted",
    500: "a wrong parameter",
    501: "a missing parameter",
    600: "a query that is none",
}
MOST_ROWS = 50
FRESH_SECONDS = 30.0  # an address that expires sooner is renewed at once


class Deezer:
    """Previews of Deezer."""

    name = NAME
    terms = TERMS

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, artist: Wanted) -> Candidate | None:
        """Find the artist by MusicBrainz's link, else by name."""
        if profile := self._linked(artist.ids.get(NAME, "")):
            return related(profile, NAME)
        if not normalise_name(artist.name):
            return None
        path = "/search/artist"
        found = rows(self._get(path, {"q": artist.name}), "data", f"{NAME} {path}")
        return choose(artist, _profiles(found), NAME, self._titles)

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List the artist's best known recordings that have a preview."""
        own = [row for row in self._top(candidate.artist_id) if _is_of(row, candidate.artist_id)]
        offered = [_preview(row, candidate.artist_id) for row in own if key_of(row, "id")]
        return [each for each in offered if each.url][:limit]

    def download(self, preview: Preview, to: Path) -> None:
        """Fetch the audio, from a renewed address if the old one has expired."""
        if not _is_fresh(preview.url, self._client.clock.now()):
            self._client.download(self._renewed(preview), to)
            return
        try:
            self._client.download(preview.url, to)
        except Expired:
            self._client.download(self._renewed(preview), to)

    def _linked(self, artist_id: str) -> Profile | None:
        if not is_key(artist_id):
            return None
        try:
            found = list(_profiles([self._get(f"/artist/{artist_id}")]))
        except Unknown:  # the link is out of date
            return None
        return found[0] if found else None

    def _titles(self, profile: Profile) -> list[str]:
        top = self._top(profile.artist_id)
        return [text(row, "title") for row in top] + [
            text(inner(row, "album"), "title") for row in top
        ]

    def _top(self, artist_id: str) -> list[Row]:
        path = f"/artist/{artist_id}/top"
        try:
            answer = self._get(path, {"limit": MOST_ROWS})
        except Unknown:  # an artist without recordings
            return []
        return rows(answer, "data", f"{NAME} {path}")

    def _renewed(self, preview: Preview) -> str:
        path = f"/track/{preview.source_id}"
        url = text(self._get(path, fresh=True), "preview")
        if not url:
            raise Unknown(f"{NAME} {path}", "has no preview any more")
        return url

    def _get(self, path: str, params: dict[str, str | int] | None = None, **how: Any) -> Answer:
        return self._client.get(path, params, check=check, keep=_unsigned, **how)


def check(answer: Answer) -> None:
    """Raise the error that an answer with status 200 is."""
    if "error" not in answer:
        return
    error = answer["error"]
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        raise Malformed(NAME, "answers an error without a code")
    if code == QUOTA:
        raise Throttled(NAME, "says that its quota is used up", seconds=MANNERS.seconds)
    if code == BUSY:
        raise Away(NAME, "is busy")
    if code == NO_DATA:
        raise Unknown(NAME, "knows no such thing")
    raise Refused(NAME, f"answers error {code}: {REFUSALS.get(code, 'of unknown meaning')}")


def _profiles(found: list[Row]) -> list[Profile]:
    return [
        Profile(
            artist_id=key_of(row, "id"), name=text(row, "name"), popularity=number(row, "nb_fan")
        )
        for row in found
        if key_of(row, "id") and text(row, "name")
    ]


def _is_of(row: Row, artist_id: str) -> bool:
    """Whether it is the artist's own, and not one that only features it."""
    return key_of(inner(row, "artist"), "id") in ("", artist_id)


def _preview(row: Row, artist_id: str) -> Preview:
    return Preview(
        source=NAME,
        source_artist=artist_id,
        source_id=key_of(row, "id"),
        title=text(row, "title"),
        url=text(row, "preview"),
        duration_seconds=float(number(row, "duration")),
        terms=TERMS,
    )


def _is_fresh(url: str, now: float) -> bool:
    """Whether an address may still be good: it is signed, and not known to have expired."""
    expires = re.search(r"exp(?:=|%3D)(\d{1,12})", url)
    return bool(urlsplit(url).query) and (not expires or float(expires[1]) > now + FRESH_SECONDS)


def _unsigned(answer: Answer) -> Answer:
    """The answer without the signatures of its previews."""
    data = answer.get("data")
    if isinstance(data, list):
        return {**answer, "data": [_without_signature(row) for row in data]}
    return answer


def _without_signature(row: object) -> object:
    if not isinstance(row, dict) or not isinstance(row.get("preview"), str):
        return row
    try:
        parts = urlsplit(row["preview"])
    except ValueError:
        return {**row, "preview": ""}
    return {**row, "preview": urlunsplit(parts._replace(query="", fragment=""))}
