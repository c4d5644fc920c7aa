"""A service on loopback, in a thread of this process, and a client that reads every answer."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from tests.conftest import Project
from twinear.base.checksums import write_checksums
from twinear.base.files import replacing, sha256
from twinear.catalogue.catalogue import FACTS, LAYOUT, SCORER
from twinear.recommendation.collection import Collection
from twinear.serve.app import create_app
from twinear.serve.map import FOLDER
from twinear.serve.options import ServeOptions
from twinear.serve.projection import K, Projection, Trust
from twinear.serve.snapshot import hash_data


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """A service that runs.

    `client` asks it, and fails where an answer names a folder of the service.
    """

    options: ServeOptions
    address: str
    client: httpx.Client
    app: Any

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of an answer that must be good; values of None are left out."""
        return self.json("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: Any) -> Any:
        return self.json("POST", path, json=body)

    def json(self, method: str, path: str, **request: Any) -> Any:
        answer = self.client.request(method, path, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, status: int, method: str, path: str, **request: Any) -> Any:
        """The error of an answer that must have this status."""
        answer = self.client.request(method, path, **request)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
        return answer.json()["error"]


@contextmanager
def running(options: ServeOptions) -> Iterator[Service]:
    """Run the service until the end of the block."""
    app = create_app(options)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(200)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
    config.timeout_graceful_shutdown = 10
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    hooks = {"response": [lambda answer: assert_no_folders(answer, options)]}
    try:
        with httpx.Client(
            base_url=address, headers=headers, timeout=300, event_hooks=hooks
        ) as client:
            yield Service(options=options, address=address, client=client, app=app)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def assert_no_folders(answer: httpx.Response, options: ServeOptions) -> None:
    """No answer names a folder of the service."""
    if answer.headers.get("content-type", "").startswith(("application/", "text/")):
        said = answer.read().decode(errors="replace") + str(answer.headers)
        for folder in (options.data, options.catalogue, Path.cwd(), Path.home()):
            assert str(folder.resolve()) not in said, said
        assert "/tmp/" not in said, said  # noqa: S108


def copy_served(project: Project, folder: Path) -> ServeOptions:
    """Copy what a service reads of a finished project, but for the audio, which is linked to."""
    for name in ("catalogue", "ranking"):
        shutil.copytree(project.folder / "artifacts" / name, folder / "artifacts" / name)
    shutil.copytree(project.folder / "reports", folder / "reports")
    return ServeOptions(
        catalogue=folder / "artifacts/catalogue",
        data=project.folder / "data",
        reports=folder / "reports",
        workers=1,
        poll_seconds=0.05,
    )


Change = Callable[[Path, dict[str, Any]], None]  # of a folder, and of the facts in it


def replace_catalogue(folder: Path, change: Change) -> None:
    """Put a changed copy in place of a catalogue, as its stage does."""
    with replacing(folder) as temporary:
        shutil.copytree(folder, temporary)
        facts = json.loads((temporary / FACTS).read_text(encoding="utf-8"))
        change(temporary, facts)
        (temporary / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        write_checksums(temporary)
        if facts["layout"] == LAYOUT:
            plant_map(temporary)


def with_scorer(scorer: Path) -> Change:
    """A catalogue is changed to be another scorer's, as far as clips are concerned."""

    def change(folder: Path, facts: dict[str, Any]) -> None:
        shutil.copy(scorer, folder / SCORER)
        facts["scorer"] = sha256(scorer)
        facts["files"][SCORER] = scorer.stat().st_size

    return change


def plant_map(catalogue: Path) -> None:
    """Put a map beside a catalogue: to compute one takes seconds, and nobody looks at this one."""
    collection = Collection.open(catalogue)
    points = np.zeros((len(collection), 2), np.float32)
    trust = Trust(trustworthiness=1.0, neighbours_kept=1.0, k=K)
    path = catalogue.parent / FOLDER / f"{hash_data(collection)[:16]}.npz"
    Projection(points=points, trust=trust).write(path)


def wait_for_map(service: Service) -> Any:
    while (answer := service.client.get("/api/v1/map")).status_code == 503:
        assert answer.json()["error"]["code"] == "map_pending"
        assert answer.headers["retry-after"]
        time.sleep(0.2)
    return answer.json()
