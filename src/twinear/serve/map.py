"""The map of all artists: computed in the background, kept beside the catalogue."""

import gzip
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from twinear.base.errors import DataError
from twinear.serve.answers import Answer, Error, Model
from twinear.serve.artists import Text
from twinear.serve.batches import answer_each
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.errors import ApiError
from twinear.serve.projection import METHOD, Projection
from twinear.serve.snapshot import Snapshot, shown

log = logging.getLogger(__name__)

router = APIRouter(prefix="/api/v1", tags=["map"])

FOLDER = "map"  # beside the catalogue's
MAX_IDS = 10_000
DECIMALS = 4  # of a coordinate


class TrustAnswer(Answer):
    """How far the map can be trusted, in [0, 1].

    `neighbours_kept`: the share of the `k` nearest by score that are among the `k` nearest on the
    map. `trustworthiness` falls with artists that are near on the map only.
    """

    trustworthiness: float
    neighbours_kept: float
    k: int


class MapAnswer(Answer):
    """The map by columns: an artist has the same place in all of them."""

    method: str
    trust: TrustAnswer
    n: int
    ids: list[str]
    names: list[str]
    x: list[float]
    y: list[float]
    listeners: list[int]
    model: Model


class Point(Answer):
    """Where an artist is on the map."""

    id: str
    x: float
    y: float


class Points(Answer):
    """The answers, in the order of the ids."""

    answers: list[Point | Error]
    model: Model


class Ids(BaseModel):
    """Artists: ids, MBIDs or names."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Text], Field(max_length=MAX_IDS)]


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnMap:
    """A map, and its answer as it is sent."""

    projection: Projection
    compressed: bytes


class Maps:
    """The map of the current snapshot, made by a process of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, DrawnMap | str] = {}  # by the data's hash; a text: why there is none
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def take(self, snapshot: Snapshot) -> None:
        """Read the map of a new snapshot, or begin to make it."""
        threading.Thread(target=self._make, args=(snapshot,), name="map", daemon=True).start()

    def get(self, snapshot: Snapshot) -> DrawnMap:
        """Give the map of a snapshot.

        Raises
        ------
        ApiError
            503: it is being computed, or cannot be.
        """
        made = self._made.get(snapshot.data_sha256)
        if isinstance(made, DrawnMap):
            return made
        if made is None:
            found, headers = "is being computed", {"Retry-After": "5"}
            raise ApiError(503, "map_pending", "map", found, headers=headers)
        raise ApiError(503, "no_map", "map", made, remedy="see the log of the service")

    def stop(self) -> None:
        """End the process."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def _make(self, snapshot: Snapshot) -> None:
        digest, folder = snapshot.data_sha256, snapshot.collection.catalogue.folder
        path = folder.resolve().parent / FOLDER / f"{digest[:16]}.npz"
        with self._lock:  # one at a time
            made: DrawnMap | str
            try:
                made = _draw(snapshot, path)
            except DataError:
                reason = self._compute(folder, digest, path)
                try:
                    made = reason or _draw(snapshot, path)
                except DataError as error:
                    made = str(error)
            if isinstance(made, str) and not self._stopped:
                log.warning("no map: %s", made)
            # that of the snapshot before is still asked for by requests in flight
            self._made = dict([*self._made.items(), (digest, made)][-2:])
            for old in path.parent.glob("*.npz"):
                if old != path and isinstance(made, DrawnMap):
                    old.unlink(missing_ok=True)

    def _compute(self, folder: Path, digest: str, path: Path) -> str:
        """Run the process; "" or why it failed."""
        command = (sys.executable, "-m", "twinear.serve.projection")
        with subprocess.Popen(  # noqa: S603  # our own module
            [*command, str(folder), digest, str(path)],
            stdin=subprocess.PIPE,  # open as long as this process is there
            stderr=subprocess.PIPE,
        ) as process:
            self._process = process
            if self._stopped:
                process.kill()
            assert process.stderr is not None  # noqa: S101
            said = process.stderr.read()
            process.wait()
            self._process = None
        lines = said.decode(errors="replace").strip().splitlines()
        return "" if process.returncode == 0 else (lines or ["its process was ended"])[-1]


def _draw(snapshot: Snapshot, path: Path) -> DrawnMap:
    """Read a map and write its answer.

    Raises
    ------
    DataError
        It is not there, or of another catalogue.
    """
    projection = Projection.read(path, len(snapshot))
    records = snapshot.collection.records(range(len(snapshot)))
    x, y = projection.points.round(DECIMALS).T.astype(float).round(DECIMALS).tolist()
    trust = projection.trust
    answer = MapAnswer(
        method=METHOD,
        trust=TrustAnswer(
            trustworthiness=round(trust.trustworthiness, DECIMALS),
            neighbours_kept=round(trust.neighbours_kept, DECIMALS),
            k=trust.k,
        ),
        n=len(records),
        ids=[shown(record.artist) for record in records],
        names=[shown(record.name) for record in records],
        x=x,
        y=y,
        listeners=[record.listeners for record in records],
        model=snapshot.model,
    )
    content = answer.model_dump_json().encode()
    return DrawnMap(projection=projection, compressed=gzip.compress(content, mtime=0))


@router.get("/map", response_model=MapAnswer)
def get_map(request: Request, snapshot: CurrentSnapshot) -> Response:
    """Give all artists' places on the map; 503 while it is computed."""
    maps: Maps = request.app.state.maps
    compressed = maps.get(snapshot).compressed
    headers = {"Vary": "Accept-Encoding"}
    if accepts_gzip(request.headers):
        headers["Content-Encoding"] = "gzip"
        return Response(compressed, media_type="application/json", headers=headers)
    return Response(gzip.decompress(compressed), media_type="application/json", headers=headers)


@router.post("/map")
def post_map(ids: Ids, request: Request, snapshot: CurrentSnapshot) -> Points:
    """Give the places of some artists."""
    maps: Maps = request.app.state.maps
    points = maps.get(snapshot).projection.points

    def place(artist: str) -> Point:
        record = snapshot.find(artist)
        x, y = (round(float(value), DECIMALS) for value in points[record.row])
        return Point(id=shown(record.artist), x=x, y=y)

    answers: list[Point | Error] = answer_each(ids.ids, place)
    return Points(answers=answers, model=snapshot.model)


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Whether a client takes compressed answers."""
    return "gzip" in headers.get("accept-encoding", "").lower()
