"""A server on loopback that serves archives, and misbehaves on request."""

import io
import re
import threading
import time
import zipfile
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass
class Archives:
    """Serves `files` by name. Each request meets the next of `faults`; "" is none.

    Parameters
    ----------
    tag
        The ETag; "" for none.
    seen
        The Range header of every request, "" where there was none.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: deque[str] = field(default_factory=deque)
    tag: str = '"1"'
    seen: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        archives = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archives.seen.append(self.headers.get("Range", ""))
                fault = archives.faults.popleft() if archives.faults else ""
                try:
                    _answer(self, archives, fault)
                except ConnectionError:  # the client has had enough
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"


HEADS = {
    "404": (404, {}),
    "503": (503, {}),
    "redirect": (302, {"Location": "/elsewhere{path}"}),
    "loop": (302, {"Location": "{path}"}),
    "to a file": (302, {"Location": "file:///etc/passwd"}),
    "to nowhere": (302, {"Location": "http://[oops"}),
    "web page": (200, {"Content-Type": "text/html"}),
    "other part": (206, {"Content-Range": "bytes 7-9/10"}),
}


def _answer(request: BaseHTTPRequestHandler, archives: Archives, fault: str) -> None:
    if fault == "hang up":
        request.close_connection = True
        return
    if fault == "silent":
        time.sleep(1.0)
        request.close_connection = True
        return
    if fault in HEADS:
        status, headers = HEADS[fault]
        named = {name: text.format(path=request.path) for name, text in headers.items()}
        _head(request, status, {**named, "Content-Length": "0"})
        return
    body = archives.files[request.path.rpartition("/")[2]]
    if fault == "other bytes":
        body = bytes(byte ^ 1 for byte in body)
    _send(request, archives, body, fault)


def _send(request: BaseHTTPRequestHandler, archives: Archives, body: bytes, fault: str) -> None:
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    same = archives.tag and request.headers.get("If-Range") == archives.tag
    first = int(asked[1]) if asked and same and fault != "ignores ranges" else 0
    headers = {"ETag": archives.tag} if archives.tag else {}
    if first >= len(body) > 0:
        _head(request, 416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
        return
    rest = body[first:]
    if first:
        headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
    length = {"says less": len(rest) // 2, "says more": len(rest) + 9}.get(fault, len(rest))
    if fault != "says nothing":
        headers["Content-Length"] = str(length)
    _head(request, 206 if first else 200, headers)
    if fault == "drips":
        for n in range(10):
            request.wfile.write(rest[n : n + 1])
            time.sleep(0.02)
        request.close_connection = True
        return
    request.wfile.write(rest[: len(rest) // 2] if fault == "breaks off" else rest[:length])
    if fault in ("breaks off", "says more", "says nothing"):
        request.close_connection = True


def _head(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, text in headers.items():
        request.send_header(name, text)
    request.end_headers()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


HETREC = zip_of({"user_artists.dat": b"2\t51\t10\n3\t51\t1\n", "artists.dat": b"51\tAir\tx\ty\n"})
