"""A Subsonic server on loopback: songs in the protocol's shapes, page by page."""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

USER, PASSWORD, API_KEY = "anna", "sesame & söhne", "key-1"


@dataclass(kw_only=True)
class FakeSubsonic:
    """What the server holds, and what it was asked.

    Parameters
    ----------
    songs
        Children, as the protocol describes them.
    finds_all
        Whether an empty query finds all songs.
    page
        The most songs or albums that it gives at once.
    answer
        What it answers instead, if not None.
    """

    songs: Sequence[dict[str, Any]]
    finds_all: bool = True
    page: int = 2
    answer: dict[str, Any] | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def respond(self, method: str, params: dict[str, str]) -> dict[str, Any]:
        self.asked.append((method, params))
        salted = (PASSWORD + params.get("s", "")).encode()
        by_token = params.get("u") == USER and params.get("t") == hashlib.md5(salted).hexdigest()  # noqa: S324
        if not by_token and params.get("apiKey") != API_KEY:
            return failed(40, f"wrong password for {params.get('u')}")
        if method == "search3":
            offset, size = int(params["songOffset"]), min(int(params["songCount"]), self.page)
            found = self.songs[offset : offset + size] if self.finds_all else []
            return {"status": "ok", "searchResult3": {"song": found} if found else {}}
        albums = sorted({song["albumId"] for song in self.songs})
        if method == "getAlbumList2":
            offset, size = int(params["offset"]), min(int(params["size"]), self.page)
            listed = [{"id": album} for album in albums[offset : offset + size]]
            return {"status": "ok", "albumList2": {"album": listed}}
        own = [song for song in self.songs if song["albumId"] == params["id"]]
        return {"status": "ok", "album": {"id": params["id"], "song": own}}


def failed(code: int, message: str) -> dict[str, Any]:
    return {"status": "failed", "error": {"code": code, "message": message}}


def child(id_: str, title: str, artist: str, path: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "isDir": False,
        "title": title,
        "artist": artist,
        "artistId": f"ar-{artist}",
        "album": "Album",
        "albumId": f"al-{id_[:1]}",
        "path": path,
        "duration": 180,
        "size": 1000,
    } | more


@contextmanager
def subsonic_server(fake: FakeSubsonic) -> Iterator[FakeSubsonic]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urlsplit(self.path)
            method = split.path.removeprefix("/rest/").removesuffix(".view")
            answer = fake.answer or fake.respond(method, dict(parse_qsl(split.query)))
            body = json.dumps({"subsonic-response": {"version": "1.16.1", **answer}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
