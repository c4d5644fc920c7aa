"""Two services on loopback: one with a library and secrets, one of the catalogue alone."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
import uvicorn

from tests.support.planted_library import PlantedLibrary, mbid, write_planted_library
from twinear.serve.app import create_app
from twinear.serve.options import ServeOptions

TOKEN, USER, PASSWORD = "a token & 24% letters", "anna", "sesame & söhne"


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service and what it was made of."""

    url: str
    planted: PlantedLibrary
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, /, **query: object
    ) -> Response:
        return self.send(f"{path}?{urlencode(query)}" if query else path, None, headers)

    def send(
        self, path: str, body: bytes | None, headers: Mapping[str, str] | None = None
    ) -> Response:
        sent = self.headers if headers is None else headers
        request = urllib.request.Request(self.url + path, body, dict(sent))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
                return Response(
                    status=answer.status, headers=dict(answer.headers.items()), body=answer.read()
                )
        except urllib.error.HTTPError as error:
            with error:
                return Response(
                    status=error.code, headers=dict(error.headers.items()), body=error.read()
                )


@contextmanager
def running(options: ServeOptions) -> Iterator[str]:
    config = uvicorn.Config(create_app(options), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(name="planted", scope="package")
def _planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    planted = write_planted_library(tmp_path_factory.mktemp("doors") / "project")
    redirects = planted.folder / "data/listens/redirects.csv"
    redirects.parent.mkdir(parents=True)
    redirects.write_text(f"old,new\n{mbid(0xDEAD)},{mbid(0)}\n", encoding="utf-8")
    return planted


@pytest.fixture(name="service", scope="package")
def _service(planted: PlantedLibrary) -> Iterator[Service]:
    """With a library, a token and a password."""
    options = ServeOptions(
        catalogue=planted.catalogue,
        data=planted.folder / "data",
        library=planted.cache,
        items=planted.table,
        token=TOKEN,
        subsonic_user=USER,
        subsonic_password=PASSWORD,
    )
    with running(options) as url:
        yield Service(url=url, planted=planted, headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.fixture(name="alone", scope="package")
def _alone(planted: PlantedLibrary) -> Iterator[Service]:
    """Of the catalogue alone, without secrets."""
    missing = planted.folder / "nowhere"
    options = ServeOptions(
        catalogue=planted.catalogue,
        data=planted.folder / "data",
        library=missing / "library.sqlite",
        items=missing / "library.csv",
    )
    with running(options) as url:
        yield Service(url=url, planted=planted)
