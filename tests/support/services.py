"""The outside world on loopback: services in their documented shapes, misbehaving on request.

One server plays Deezer, iTunes, MusicBrainz, Spotify and the hosts of their previews. It notes
every request with its time, so that a test can say what a service saw. Faults are scripted
(`script`) or happen at random (`mishaps`).
"""

import base64
import json
import random
import re
import socket
import struct
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.audio import music, write_clip
from twinear.acquisition.network.errors import SourceError
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.artists.identity import normalise_name

TEN_GB = 10 * 2**30
PASSING = 4  # mishaps in a row that a request may meet


class FakeClock(SystemClock):
    """A clock that passes time by being asked to sleep; threads may sleep at the same time."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            until = self._now + seconds
        time.sleep(0.0001)
        with self._lock:
            self._now = max(self._now, until)


@dataclass(frozen=True, kw_only=True)
class FakeArtist:
    """An artist as the services know it; "" or 0: a service does not.

    Parameters
    ----------
    merged
        MBIDs that were merged into `mbid`.
    relations
        The services that MusicBrainz links to.
    titles
        Of the recordings; of the release: `album`.
    without_preview
        Positions in `titles` of recordings that have none.
    same_audio
        Position -> position of the recording whose audio it shares.
    similar
        Names of the artists that Deezer and ListenBrainz call similar.
    """

    name: str
    mbid: str = ""
    merged: tuple[str, ...] = ()
    deezer: int = 0
    itunes: int = 0
    spotify: str = ""
    fans: int = 100
    relations: tuple[str, ...] = ("deezer", "itunes", "spotify")
    titles: tuple[str, ...] = ("One", "Two", "Three", "Four", "Five")
    album: str = "An Album"
    seconds: int = 200
    without_preview: tuple[int, ...] = ()
    same_audio: Mapping[int, int] = field(default_factory=dict)
    similar: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that came in."""

    service: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer, whole."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ThreadResults:
    """What came of asking from many threads."""

    answers: list[Any]
    errors: list[Exception]


def hammer(function: Callable[[int], Any], n: int, threads: int = 8) -> ThreadResults:
    """Call `function(0)` to `function(n - 1)` from several threads at once."""
    answers: list[Any] = []
    errors: list[Exception] = []

    def call(n: int) -> None:
        try:
            answers.append(function(n))
        except SourceError as error:
            errors.append(error)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(call, range(n)))
    return ThreadResults(answers=answers, errors=errors)


def reply(value: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status=status, body=json.dumps(value).encode(), headers=named)


def deezer_error(code: int, kind: str = "Exception", message: str = "") -> Reply:
    return reply({"error": {"type": kind, "message": message or f"error {code}", "code": code}})


HTML = b"<!DOCTYPE html><html><body>Please sign in to the Wi-Fi of this hotel</body></html>"

# faults that are an answer of another content
REPLIES: dict[str, Reply] = {
    "html": Reply(body=HTML, kind="text/html; charset=utf-8"),
    "html 503": Reply(status=503, body=HTML, kind="text/html"),
    "empty": Reply(),
    "list": reply([1, 2]),
    "null": reply(None),
    "number": reply(5),
    "deep": Reply(body=b"[" * 200_000),
    "cut json": Reply(body=b'{"data":[{"id":1,"na'),
    "latin": Reply(body='{"data":[],"x":"Björk"}'.encode("latin-1")),
    "no rows": reply({"data": "words", "results": 5, "artists": None, "relations": {}}),
    "odd rows": reply(
        {
            "data": [None, 5, [], {}, {"id": None, "name": None}, {"id": {}, "name": 3}],
            "results": [None, 5, [], {}, {"artistId": None}, {"wrapperType": 4}],
            "artists": {"items": [None, 5, [], {}, {"id": 5}]},
        }
    ),
    "quota": deezer_error(4, message="Quota limit exceeded"),
    "items limit": deezer_error(100, message="Items limit exceeded"),
    "permission": deezer_error(200, "PermissionException"),
    "token": deezer_error(300, "OAuthException", "Invalid OAuth access token."),
    "parameter": deezer_error(500, "ParameterException"),
    "missing": deezer_error(501, "MissingParameterException"),
    "query": deezer_error(600, "InvalidQueryException"),
    "busy": deezer_error(700, message="Service busy"),
    "no data": deezer_error(800, "DataException", "no data"),
    "odd error": reply({"error": ["what", "is", "this"]}),
    "400": reply({"error": "Invalid mbid.", "help": "For usage, please see: …"}, 400),
    "401": reply({"error": {"status": 401, "message": "The access token expired"}}, 401),
    "403": reply({"error": {"status": 403, "message": "Forbidden"}}, 403),
    "404": reply({"error": "Not Found", "help": "For usage, please see: …"}, 404),
    "408": reply({}, 408),
    "429": reply({"error": "too many"}, 429),
    "429 after 7": reply({"error": "too many"}, 429, Retry_After="7"),
    "429 after an hour": reply({"error": "too many"}, 429, Retry_After="3600"),
    "429 reset in 9": reply({"error": "too many"}, 429, X_RateLimit_Reset_In="9"),
    "429 after nonsense": reply({"error": "too many"}, 429, Retry_After="soon\xff"),
    "500": reply({"error": "oops"}, 500),
    "502": Reply(status=502, body=HTML, kind="text/html"),
    "503": reply({"error": "Your requests are exceeding the allowable rate limit."}, 503),
    "503 after 3": reply({"error": "busy"}, 503, Retry_After="3"),
    "204": Reply(status=204),
    "teapot": Reply(status=418),
    "redirect to a file": Reply(status=302, headers={"Location": "file:///etc/passwd"}),
    "redirect to ftp": Reply(status=301, headers={"Location": "ftp://127.0.0.1/x"}),
    "redirect nowhere": Reply(status=302),
    "redirect to nonsense": Reply(status=302, headers={"Location": "http://[::1"}),
    "not audio": Reply(body=b"\0\0\0\x20ftypM4A " + bytes(range(256)) * 40, kind="audio/x-m4a"),
    "gzip": Reply(body=b"\x1f\x8b" + b"\0" * 100, headers={"Content-Encoding": "gzip"}),
}

# faults that are not an answer, by the name of the handler's method
DEEDS = {
    "reset": "reset",
    "hang up": "hang_up",
    "nonsense": "send_nonsense",
    "slow": "be_slow",
    "drip": "drip_headers",
    "drip body": "drip_body",
    "huge": "promise_ten_gb",
    "endless": "send_without_end",
    "truncated": "send_half",
    "redirect": "redirect_to_itself",
    "redirect once": "redirect_to_an_alias",
    "redirect to another host": "redirect_to_localhost",
}


class FakeServices:
    """The server, its artists and what it saw. Use it as a context.

    Parameters
    ----------
    preview_seconds
        How long the address of a Deezer preview is good.
    """

    def __init__(
        self,
        *artists: FakeArtist,
        clock: SystemClock | None = None,
        preview_seconds: float = 900.0,
    ) -> None:
        self.artists = list(artists)
        self.clock = clock or SystemClock()
        self.preview_seconds = preview_seconds
        self.slow_seconds = 5.0
        self.spotify_token = "a-token"  # noqa: S105
        self.spotify_keys = ("an-id", "a-secret")
        self.spotify_shows_top = False
        self.seen: list[Seen] = []
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._scripts: dict[str, deque[tuple[str, str]]] = defaultdict(deque)
        self._mishaps: Callable[[Seen], str] = lambda seen: ""
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def url_of(self, service: str) -> str:
        """The base URL of deezer, itunes, musicbrainz, spotify, accounts or cdn."""
        return f"{self.url}/{service}" + {"musicbrainz": "/ws/2", "spotify": "/v1"}.get(service, "")

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead the project here."""
        return {
            "TWINEAR_DEEZER_URL": self.url_of("deezer"),
            "TWINEAR_LISTENBRAINZ_URL": self.url_of("listenbrainz"),
            "TWINEAR_ITUNES_URL": self.url_of("itunes"),
            "TWINEAR_MUSICBRAINZ_URL": self.url_of("musicbrainz"),
            "TWINEAR_SPOTIFY_URL": self.url_of("spotify"),
            "TWINEAR_SPOTIFY_ACCOUNTS_URL": self.url_of("accounts"),
        }

    def script(self, service: str, *faults: str, path: str = "") -> None:
        """Let the next requests to a service (whose path holds `path`) meet these faults.

        "" is none. After the last, the service behaves.
        """
        for fault in faults:
            assert not fault or fault in REPLIES or fault in DEEDS, fault
        self._scripts[service].extend((fault, path) for fault in faults)

    def mishaps(self, share: float, faults: Mapping[str, tuple[str, ...]], seed: int = 0) -> None:
        """Let this share of all requests meet one of the service's faults at random.

        What a request meets depends on what it asks for and how often that was asked for, not on
        the other threads; a fault passes after a few times, unless all requests meet one.
        """
        asked: Counter[str] = Counter()
        met: Counter[str] = Counter()  # how many in a row

        def mishap(seen: Seen) -> str:
            wanted = f"{seen.service} {seen.path} {sorted(seen.query.items())}"
            asked[wanted] += 1
            chance = random.Random(f"{seed} {wanted} {asked[wanted]}")
            kinds = faults.get(seen.service, ())
            if not kinds or chance.random() >= share or (share < 1 and met[wanted] == PASSING):
                met[wanted] = 0
                return ""
            met[wanted] += 1
            return chance.choice(kinds)

        self._mishaps = mishap

    def count(self, service: str = "", path: str = "") -> int:
        """How many requests a service saw."""
        return len(self.requests(service, path))

    def requests(self, service: str = "", path: str = "") -> list[Seen]:
        with self._lock:
            seen = list(self.seen)
        return [
            request for request in seen if service in ("", request.service) and path in request.path
        ]

    def most(self, service: str, seconds: float) -> int:
        """The most requests that a service saw in any window of so many seconds."""
        times = sorted(request.at for request in self.requests(service))
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def note(self, seen: Seen) -> str:
        """Note a request; the fault that it meets."""
        with self._lock:
            self.seen.append(seen)
            script = self._scripts[seen.service]
            if script and script[0][1] in seen.path:
                return script.popleft()[0]
            return self._mishaps(seen)

    def answer(self, seen: Seen, form: Mapping[str, str]) -> Reply:
        """What the service says when it behaves."""
        play = {
            "deezer": self._deezer,
            "itunes": self._itunes,
            "musicbrainz": self._musicbrainz,
            "spotify": self._spotify,
            "cdn": self._cdn,
            "listenbrainz": self._listenbrainz,
        }
        if seen.service == "accounts":
            return self._accounts(seen, form)
        return play[seen.service](seen) if seen.service in play else Reply(status=404)

    def _named(self, name: str, service: str) -> list[FakeArtist]:
        asked = normalise_name(name)
        known = [artist for artist in self.artists if getattr(artist, service)]
        found = [artist for artist in known if asked in normalise_name(artist.name)]
        return sorted(found, key=lambda artist: -artist.fans)

    def _with_id(self, key: str, service: str) -> FakeArtist | None:
        found = [artist for artist in self.artists if str(getattr(artist, service) or "") == key]
        return found[0] if found else None

    def _deezer(self, seen: Seen) -> Reply:
        if seen.path == "/search/artist":
            if not seen.query.get("q", "").strip():
                return deezer_error(500, "ParameterException", "Wrong parameter: q")
            rows = [
                self._deezer_artist(artist) for artist in self._named(seen.query["q"], "deezer")
            ]
            return reply({"data": rows, "total": len(rows)})
        if found := re.fullmatch(r"/artist/([^/]+)(/top|/related)?", seen.path):
            artist = self._with_id(found[1], "deezer")
            if not artist:
                return REPLIES["no data"]
            if found[2] == "/related":
                rows = [self._deezer_artist(each) for each in self._similar(artist)]
                return reply({"data": rows, "total": len(rows)})
            if not found[2]:
                return reply(self._deezer_artist(artist))
            n = int(seen.query.get("limit", 5))
            rows = [self._deezer_row(artist, position) for position in range(len(artist.titles))][
                :n
            ]
            return reply({"data": rows, "total": len(artist.titles), "next": "…?index=25"})
        if found := re.fullmatch(r"/track/(\d+)", seen.path):
            artist = self._with_id(str(int(found[1]) // 100), "deezer")
            position = int(found[1]) % 100
            if not artist or position >= len(artist.titles):
                return REPLIES["no data"]
            return reply(self._deezer_row(artist, position))
        return deezer_error(600, "InvalidQueryException", "NotFoundError path components")

    def _deezer_artist(self, artist: FakeArtist) -> dict[str, Any]:
        return {
            "id": artist.deezer,
            "name": artist.name,
            "link": f"https://www.deezer.com/artist/{artist.deezer}",
            "nb_album": 1,
            "nb_fan": artist.fans,
            "radio": True,
            "type": "artist",
        }

    def _deezer_row(self, artist: FakeArtist, position: int) -> dict[str, Any]:
        key = artist.deezer * 100 + position
        expires = int(self.clock.now() + self.preview_seconds)
        signature = f"hdnea=exp={expires}~acl=/*~data=user_id=0~hmac=secret{key}"
        url = f"{self.url_of('cdn')}/deezer/{key}.mp3?{signature}"
        return {
            "id": key,
            "readable": True,
            "title": artist.titles[position],
            "title_short": artist.titles[position],
            "title_version": "",
            "duration": artist.seconds + position,
            "rank": 900_000 - position,
            "explicit_lyrics": False,
            "preview": "" if position in artist.without_preview else url,
            "contributors": [{"id": artist.deezer, "role": "Main"}],
            "artist": {"id": artist.deezer, "name": artist.name, "type": "artist"},
            "album": {"id": artist.deezer, "title": artist.album},
            "type": "track",
        }

    def _itunes(self, seen: Seen) -> Reply:
        if seen.path == "/search":
            found = self._named(seen.query.get("term", ""), "itunes")
            if seen.query.get("entity") == "musicArtist":
                rows = [self._itunes_artist(artist) for artist in found]
            else:
                rows = [
                    self._itunes_row(artist, n)
                    for artist in found
                    for n in range(len(artist.titles))
                ]
            rows = rows if seen.query.get("term") else []
        else:
            key = seen.query.get("id", "")
            artist = self._with_id(key, "itunes")
            of_recording = self._with_id(key[:-2], "itunes")
            rows = []
            if artist:
                rows = [self._itunes_artist(artist)]
                n = min(int(seen.query.get("limit", 50)), len(artist.titles))
                if seen.query.get("entity") == "song":
                    rows += [self._itunes_row(artist, position) for position in range(n)]
            elif of_recording and int(key[-2:]) < len(of_recording.titles):
                rows = [self._itunes_row(of_recording, int(key[-2:]))]
        body = b"\n\n\n" + json.dumps({"resultCount": len(rows), "results": rows}).encode()
        return Reply(body=body, kind="text/javascript; charset=utf-8")

    def _itunes_artist(self, artist: FakeArtist) -> dict[str, Any]:
        return {
            "wrapperType": "artist",
            "artistType": "Artist",
            "artistName": artist.name,
            "artistLinkUrl": f"https://music.apple.com/us/artist/x/{artist.itunes}?uo=4",
            "artistId": artist.itunes,
            "primaryGenreName": "Rock",
        }

    def _itunes_row(self, artist: FakeArtist, position: int) -> dict[str, Any]:
        key = artist.itunes * 100 + position
        row = {
            "wrapperType": "track",
            "kind": "song",
            "artistId": artist.itunes,
            "collectionId": artist.itunes,
            "trackId": key,
            "artistName": artist.name,
            "collectionName": artist.album,
            "trackName": artist.titles[position],
            "previewUrl": f"{self.url_of('cdn')}/itunes/{key}.plus.aac.p.m4a",
            "trackTimeMillis": (artist.seconds + position) * 1000,
            "isStreamable": True,
        }
        if position in artist.without_preview:
            del row["previewUrl"]
        return row

    def _musicbrainz(self, seen: Seen) -> Reply:
        if "@" not in seen.headers.get("user-agent", ""):
            return Reply(status=403)
        if seen.path == "/ws/2/artist":
            name = seen.query["query"].removeprefix('artist:"').removesuffix('"')
            found = self._named(re.sub(r"\\(.)", r"\1", name), "mbid")
            rows = [
                {"id": artist.mbid, "name": artist.name, "score": 100 - n}
                for n, artist in enumerate(found)
            ]
            now = "2026-11-01T00:00:00.000Z"
            return reply({"created": now, "count": len(rows), "offset": 0, "artists": rows})
        mbid = seen.path.removeprefix("/ws/2/artist/")
        if len(mbid) != 36:
            return REPLIES["400"]
        for artist in self.artists:
            if mbid == artist.mbid or mbid in artist.merged:
                return reply(_musicbrainz_artist(artist))
        return REPLIES["404"]

    def _similar(self, artist: FakeArtist) -> list[FakeArtist]:
        return [each for each in self.artists if each.name in artist.similar]

    def _listenbrainz(self, seen: Seen) -> Reply:
        mbid = seen.query.get("artist_mbids", "")
        if seen.path != "/similar-artists/json" or len(mbid) != 36 or "algorithm" not in seen.query:
            return REPLIES["400"]
        known = [artist for artist in self.artists if mbid in (artist.mbid, *artist.merged)]
        return reply(
            [
                {
                    "artist_mbid": each.mbid,
                    "name": each.name,
                    "comment": "",
                    "type": "Group",
                    "gender": None,
                    "score": 100 - n,
                    "reference_mbid": mbid,
                }
                for artist in known
                for n, each in enumerate(self._similar(artist))
            ]
        )

    def _accounts(self, seen: Seen, form: Mapping[str, str]) -> Reply:
        keys = base64.b64encode(":".join(self.spotify_keys).encode()).decode()
        right = seen.headers.get("authorization") == f"Basic {keys}"
        if seen.path != "/api/token" or form.get("grant_type") != "client_credentials" or not right:
            return reply({"error": "invalid_client"}, 400)
        token = {"access_token": self.spotify_token, "token_type": "Bearer", "expires_in": 3600}
        return reply(token)

    def _spotify(self, seen: Seen) -> Reply:
        if seen.headers.get("authorization") != f"Bearer {self.spotify_token}":
            return REPLIES["401"]
        if seen.path == "/v1/search":
            if int(seen.query.get("limit", 5)) > 10:
                return reply({"error": {"status": 400, "message": "Invalid limit"}}, 400)
            found = self._named(seen.query["q"], "spotify")
            rows = [_spotify_artist(artist) for artist in found[: int(seen.query.get("limit", 5))]]
            return reply({"artists": {"items": rows, "total": len(rows)}})
        key, _, rest = seen.path.removeprefix("/v1/artists/").partition("/")
        artist = self._with_id(key, "spotify")
        if not artist:
            return reply({"error": {"status": 404, "message": "Resource not found"}}, 404)
        if not rest:
            return reply(_spotify_artist(artist))
        if not self.spotify_shows_top:
            return REPLIES["403"]
        rows = [
            {"id": f"{key}{n}", "name": title, "preview_url": None, "duration_ms": 200_000}
            for n, title in enumerate(artist.titles)
        ]
        return reply({"tracks": rows})

    def _cdn(self, seen: Seen) -> Reply:
        found = re.fullmatch(r"/(deezer|itunes)/(\d+)(\.mp3|\.plus\.aac\.p\.m4a)", seen.path)
        if not found:
            return Reply(status=404)
        if found[1] == "deezer":
            expires = re.search(r"exp=(\d+)~", seen.query.get("hdnea", ""))
            if not expires or float(expires[1]) < self.clock.now():
                return Reply(status=403, body=b"Access Denied", kind="text/html")
        artist = self._with_id(found[2][:-2], found[1])
        assert artist
        position = int(found[2][-2:])
        key = int(found[2][:-2]) * 100 + artist.same_audio.get(position, position)
        suffix = ".mp3" if found[1] == "deezer" else ".m4a"
        return Reply(
            body=clip_of(key, suffix), kind="audio/mpeg" if suffix == ".mp3" else "audio/mp4"
        )


def _musicbrainz_artist(artist: FakeArtist) -> dict[str, Any]:
    urls = {
        "deezer": ("free streaming", f"https://www.deezer.com/artist/{artist.deezer}"),
        "itunes": ("streaming", f"https://music.apple.com/gb/artist/{artist.itunes}"),
        "spotify": ("free streaming", f"https://open.spotify.com/artist/{artist.spotify}"),
    }
    kinds = [urls[service] for service in artist.relations if getattr(artist, service)]
    kinds.append(("official homepage", "https://example.org/"))
    relations = [
        {"target-type": "url", "type": kind, "url": {"resource": url}} for kind, url in kinds
    ]
    return {
        "id": artist.mbid,
        "name": artist.name,
        "sort-name": artist.name,
        "type": "Group",
        "country": "GB",
        "relations": relations,
    }


def _spotify_artist(artist: FakeArtist) -> dict[str, Any]:
    return {
        "id": artist.spotify,
        "name": artist.name,
        "popularity": min(100, artist.fans),
        "followers": {"href": None, "total": artist.fans},
        "type": "artist",
    }


@lru_cache
def _encoded(seed: int, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = write_clip(Path(folder) / f"a{suffix}", music(2, 22050, seed), 22050)
        return path.read_bytes()


def clip_of(key: int, suffix: str) -> bytes:
    """Two seconds of real audio; other bytes for each key."""
    audio = _encoded(key % 7, suffix)
    mark = f"{key:016d}".encode()
    if suffix == ".m4a":
        return audio + struct.pack(">I", 8 + len(mark)) + b"free" + mark
    title = b"TIT2" + struct.pack(">I", 1 + len(mark)) + b"\0\0\0" + mark
    return b"ID3\3\0\0" + bytes([0, 0, 0, len(title)]) + title + audio


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on faults; that is theirs to do."""


def _handler(services: FakeServices) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.services = services
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True
    services: FakeServices

    def do_GET(self) -> None:
        self._respond({})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        form = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True)
        self._respond({name: values[0] for name, values in form.items()})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _respond(self, form: Mapping[str, str]) -> None:
        at = self.services.clock.now()
        split = urlsplit(self.path)
        _, service, *rest = split.path.split("/")
        rest = rest[1:] if rest[:1] == ["again"] else rest
        path = "/" + "/".join(rest)
        query = {k: v[0] for k, v in parse_qs(split.query, keep_blank_values=True).items()}
        headers = {name.lower(): text for name, text in self.headers.items()}
        self.seen = Seen(service=service, path=path, query=query, headers=headers, at=at)
        fault = self.services.note(self.seen)
        self.right = self.services.answer(self.seen, form)
        try:
            if fault in DEEDS:
                self.close_connection = True
                getattr(self, DEEDS[fault])()
            else:
                self._send(REPLIES.get(fault, self.right))
        except OSError:
            self.close_connection = True

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, text in reply.headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(reply.body)

    def _pieces(self) -> Iterator[None]:
        until = time.monotonic() + self.services.slow_seconds
        while time.monotonic() < until and not self.services.stopped.wait(0.02):
            yield

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hang_up(self) -> None:
        pass

    def send_nonsense(self) -> None:
        self.wfile.write(b"\x16\x03\x01 what is this\r\n\r\n")

    def be_slow(self) -> None:
        for _ in self._pieces():
            pass
        self._send(self.right)

    def drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        for _ in self._pieces():
            self.wfile.write(b"x")

    def drip_body(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in self._pieces():
            self.wfile.write(b" ")

    def promise_ten_gb(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(TEN_GB))
        self.end_headers()
        for _ in self._pieces():
            self.wfile.write(b"\0" * 65536)

    def send_without_end(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(10_000):
            self.wfile.write(b" " * 65536)
            if self.services.stopped.is_set():
                return

    def send_half(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.right.kind)
        self.send_header("Content-Length", str(len(self.right.body)))
        self.end_headers()
        self.wfile.write(self.right.body[: len(self.right.body) // 2])

    def redirect_to_itself(self) -> None:
        # wherever it leads, the next step meets the same
        self.services._scripts[self.seen.service].appendleft(("redirect", ""))
        self._send(Reply(status=302, headers={"Location": self.path}))

    def redirect_to_an_alias(self) -> None:
        service = f"/{self.seen.service}/"
        where = self.path.replace(service, f"{service}again/", 1)
        self._send(Reply(status=302, headers={"Location": where}))

    def redirect_to_localhost(self) -> None:
        where = self.services.url.replace("127.0.0.1", "localhost") + self.path
        self._send(Reply(status=307, headers={"Location": where}))
