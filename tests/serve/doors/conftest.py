"""Two services on loopback: one with a library and secrets, one of the catalogue alone."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.planted_library import PlantedLibrary, mbid, write_planted_library
from tests.support.serving import plant_map, running
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A service and what it was made of."""

    client: httpx.Client
    planted: PlantedLibrary
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, /, **query: object
    ) -> Response:
        return self.send(f"{path}?{urlencode(query)}" if query else path, None, headers)

    def send(
        self, path: str, body: bytes | None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request; by default with the token."""
        sent = dict(self.headers if headers is None else headers)
        method = "GET" if body is None else "POST"
        answer = self.client.request(method, path, content=body, headers=sent)
        return Response(
            status=answer.status_code, headers=dict(answer.headers), body=answer.content
        )


@contextmanager
def asked(
    options: ServeOptions, planted: PlantedLibrary, headers: Mapping[str, str]
) -> Iterator[Asked]:
    with running(options) as service:
        client = service.client
        client.headers.pop("Authorization", None)
        yield Asked(client=client, planted=planted, headers=headers)


@pytest.fixture(name="planted", scope="package")
def _planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    planted = write_planted_library(tmp_path_factory.mktemp("doors") / "project")
    redirects = planted.folder / "data/listens/redirects.csv"
    redirects.parent.mkdir(parents=True)
    redirects.write_text(f"old,new\n{mbid(0xDEAD)},{mbid(0)}\n", encoding="utf-8")
    plant_map(planted.catalogue)
    return planted


@pytest.fixture(name="service", scope="package")
def _service(planted: PlantedLibrary) -> Iterator[Asked]:
    """With a library, a token and a password."""
    options = ServeOptions(
        catalogue=planted.catalogue,
        data=planted.folder / "data",
        library=planted.cache,
        items=planted.table,
        workers=1,
        music=planted.folder / "music",
        token=TOKEN,
        subsonic_user=USER,
        subsonic_password=PASSWORD,
    )
    with asked(options, planted, {"Authorization": f"Bearer {TOKEN}"}) as service:
        yield service


@pytest.fixture(name="alone", scope="package")
def _alone(planted: PlantedLibrary) -> Iterator[Asked]:
    """Of the catalogue alone, without secrets."""
    missing = planted.folder / "nowhere"
    options = ServeOptions(
        catalogue=planted.catalogue,
        data=planted.folder / "data",
        library=missing / "library.sqlite",
        items=missing / "library.csv",
        workers=1,
    )
    with asked(options, planted, {}) as service:
        yield service
