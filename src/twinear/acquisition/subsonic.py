"""The songs of a Subsonic server, such as Navidrome: their ids, tags and where their files lie.

Songs are listed by `search3` with an empty query, as OpenSubsonic has it; a server that finds
nothing that way is asked for its albums (`getAlbumList2`, `getAlbum`). Both are read page by page.
Requests carry a token, the MD5 of password and a new salt, or an API key: never the password.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.errors import (
    InvalidContentError,
    RequestRefusedError,
    UnauthorisedError,
)
from twinear.acquisition.network.response_cache import JsonObject
from twinear.base.errors import DataError
from twinear.base.text import one_line

NAME = "the Subsonic server"
REQUEST_POLICY = RequestPolicy(n=20, seconds=1.0, attempts=3, max_json_bytes=32_000_000)
USER, PASSWORD, API_KEY = "SUBSONIC_USER", "SUBSONIC_PASSWORD", "SUBSONIC_API_KEY"
PAGE = 500  # songs or albums in an answer
PROTOCOL = "1.16.1"
REFUSED = range(40, 50)  # error codes about the credentials


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How a user proves who it is: by user and password, or by an API key."""

    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Credentials":
        """Read them from the environment, which is no file and shows in no list of processes.

        Raises
        ------
        DataError
            There are none.
        """
        user, password, api_key = (environment.get(each, "") for each in (USER, PASSWORD, API_KEY))
        if not api_key and not (user and password):
            expected = f"{USER} and {PASSWORD}, or {API_KEY}"
            found = "no credentials in the environment"
            raise DataError(NAME, found, expected=expected, remedy="export them and run again")
        return cls(user=user, password=password, api_key=api_key)

    def params(self) -> dict[str, str]:
        """The parameters of one request; each has a salt of its own."""
        if self.api_key:
            return {"apiKey": self.api_key}
        salt = secrets.token_hex(8)
        token = hashlib.md5((self.password + salt).encode(), usedforsecurity=False).hexdigest()
        return {"u": self.user, "t": token, "s": salt}


@dataclass(frozen=True, kw_only=True)
class ServerSong:
    """A song as the server knows it; "" and 0.0 where it does not say."""

    id: str
    title: str
    artist: str
    artist_id: str
    album: str
    path: str  # perhaps made up from the tags
    seconds: float


def open_server(url: str) -> Client:
    """Open a client of the server at an address.

    Raises
    ------
    TwinearError
        It is no address.
    """
    return Client(NAME, url, f"twinear/{version('twinear')}", REQUEST_POLICY)


def list_songs(client: Client, credentials: Credentials) -> list[ServerSong]:
    """List all songs of the server, each once, in its order.

    Raises
    ------
    SourceError
        It does not answer, refuses the credentials, or answers in another form.
    DataError
        It has no songs.
    """
    songs = {song.id: song for page in _search(client, credentials) for song in page}
    if not songs:
        songs = {song.id: song for page in _albums(client, credentials) for song in page}
    if not songs:
        raise DataError(NAME, "has no songs", remedy="let it scan its folder, or ask another user")
    return list(songs.values())


def _search(client: Client, credentials: Credentials) -> Iterator[list[ServerSong]]:
    """Yield the songs that an empty query finds, until a page holds nothing new.

    A server may give shorter pages than asked for, or the first one for ever.
    """
    seen: set[str] = set()
    while True:
        only_songs = {"artistCount": 0, "albumCount": 0, "songCount": PAGE}
        params = {"query": "", **only_songs, "songOffset": len(seen)}
        answer = _ask(client, credentials, "search3", params)
        page = _songs("search3", answer, "searchResult3", "song")
        songs = [song for song in page if song.id not in seen]
        if not songs:
            return
        seen.update(song.id for song in songs)
        yield songs


def _albums(client: Client, credentials: Credentials) -> Iterator[list[ServerSong]]:
    """Yield the songs of each album, album by album."""
    seen: set[str] = set()
    while True:
        params = {"type": "alphabeticalByName", "size": PAGE, "offset": len(seen)}
        answer = _ask(client, credentials, "getAlbumList2", params)
        listed = _list("getAlbumList2", answer, "albumList2", "album")
        albums = {_text(album, "id") for album in listed} - {*seen, ""}
        if not albums:
            return
        seen |= albums
        for album in sorted(albums):
            answer = _ask(client, credentials, "getAlbum", {"id": album})
            yield _songs("getAlbum", answer, "album", "song")


def _ask(
    client: Client, credentials: Credentials, method: str, params: Mapping[str, object]
) -> JsonObject:
    asked = {**credentials.params(), "v": PROTOCOL, "c": "twinear", "f": "json"}
    asked |= {key: str(value) for key, value in params.items()}
    place = f"{NAME}'s {method}"

    def check(answer: JsonObject) -> None:
        response = answer.get("subsonic-response")
        if not isinstance(response, dict):
            raise InvalidContentError(place, "is no answer of the protocol", expected="Subsonic")
        if response.get("status") == "ok":
            return
        error = response.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if code in REFUSED:
            found = f"refuses the credentials (error {code})"
            raise UnauthorisedError(NAME, found, remedy=f"look at {USER} and {PASSWORD}")
        raise RequestRefusedError(place, f"failed with error {code}")

    answer = client.get(f"/rest/{method}.view", asked, check=check, fresh=True)
    response: JsonObject = answer["subsonic-response"]
    return response


def _songs(method: str, answer: JsonObject, *keys: str) -> list[ServerSong]:
    return [
        ServerSong(
            id=_text(song, "id"),
            title=_text(song, "title"),
            artist=_text(song, "artist"),
            artist_id=_text(song, "artistId"),
            album=_text(song, "album"),
            path=str(song.get("path") or ""),
            seconds=float(seconds) if isinstance(seconds := song.get("duration"), int) else 0.0,
        )
        for song in _list(method, answer, *keys)
        if _text(song, "id") and not song.get("isDir") and not song.get("isVideo")
    ]


def _list(method: str, answer: JsonObject, *keys: str) -> list[dict[str, Any]]:
    """Take a list of objects under some keys; a key that is not there means an empty list."""
    value: object = answer
    for key in keys:
        value = value.get(key, {}) if isinstance(value, dict) else value
    rows = value or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidContentError(f"{NAME}'s {method}", "is no list of objects")
    return rows


def _text(row: Mapping[str, Any], key: str) -> str:
    """Read a text or a number, which some servers use as id, on one line."""
    value = row.get(key)
    return one_line(str(value)) if isinstance(value, str | int) else ""
