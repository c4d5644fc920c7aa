"""ListenBrainz labs' `similar-artists`, which Jellyfin and others ask by MusicBrainz ids.

An id that is not here has no similar artists: the answer is an empty list. An id that was merged
into another means the other. Only artists with MusicBrainz ids can be answers. The score is
10,000 times ours, rounded.

Clients of this protocol send no header. A service with a token is reached at
`/listenbrainz/<token>/similar-artists/json` too.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from twinear.artists.identity import is_mbid
from twinear.artists.redirects import read_redirects
from twinear.base.errors import DataError
from twinear.catalogue.lookup import ArtistRecord
from twinear.listens.readers.formats import REDIRECTS
from twinear.recommendation.collection import Collection
from twinear.recommendation.item_library import ItemLibrary
from twinear.recommendation.library_cache import FileState
from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar
from twinear.serve.auth import bearer_of, is_same
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.doors.bodies import read_body
from twinear.serve.doors.library import CurrentLibrary
from twinear.serve.options import ServeOptions
from twinear.serve.snapshot import Snapshot, shown

router = APIRouter(tags=["ListenBrainz"])
log = logging.getLogger(__name__)

PATH = "/similar-artists/json"
WITH_TOKEN = "/listenbrainz/{token}" + PATH
TOP = 100  # artists of all, and as many of the library
MAX_MBIDS = 100  # in a request


class SimilarArtistRow(BaseModel):
    """A similar artist, as ListenBrainz gives it; what is not known is null."""

    artist_mbid: str
    name: str
    comment: str = ""
    type: str | None = None
    gender: str | None = None
    score: int
    reference_mbid: str


class Refusal(BaseModel):
    """An error, as a sentence."""

    error: str


class MalformedError(ValueError):
    """A request that is not of the protocol."""


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "No MusicBrainz id, or no valid one."},
    401: {"model": Refusal, "description": "The token is missing or wrong."},
    413: {"model": Refusal, "description": "The body is too large."},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["artist_mbids"],
                        "properties": {
                            "artist_mbids": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": MAX_MBIDS,
                                "items": {"type": "string", "format": "uuid"},
                            },
                            "algorithm": {},  # any
                        },
                    },
                }
            }
        },
    }
}


@router.get(WITH_TOKEN, include_in_schema=False)
@router.get(PATH, responses=REFUSALS, response_model=list[SimilarArtistRow])
def get_similar_artists(
    request: Request,
    snapshot: CurrentSnapshot,
    library: CurrentLibrary,
    artist_mbids: str = "",
    algorithm: str = "",
) -> Response:
    """Find the artists similar to some, by MusicBrainz ids with commas between them."""
    if not _may_ask(request):
        return _refuse(401, "the token is missing or wrong")
    try:
        mbids = _checked([each for each in artist_mbids.split(",") if each.strip()])
    except MalformedError as error:
        return _refuse(400, str(error))
    return JSONResponse(_similar(mbids, snapshot, library, request.app.state.options))


@router.post(WITH_TOKEN, include_in_schema=False)
@router.post(PATH, responses=REFUSALS, response_model=list[SimilarArtistRow], openapi_extra=BODY)
async def post_similar_artists(
    request: Request, snapshot: CurrentSnapshot, library: CurrentLibrary
) -> Response:
    """Find the artists similar to some, by a list of questions."""
    if not _may_ask(request):
        return _refuse(401, "the token is missing or wrong")
    body = await read_body(request)
    if body is None:
        return _refuse(413, "the body is too large")
    try:
        mbids = _checked(_parse(body))
    except MalformedError as error:
        return _refuse(400, str(error))
    found = await run_in_threadpool(_similar, mbids, snapshot, library, request.app.state.options)
    return JSONResponse(found)


def _may_ask(request: Request) -> bool:
    token = request.app.state.options.token
    sent = request.path_params.get("token") or bearer_of(request)
    return not token or is_same(sent, token)


def _refuse(status: int, error: str) -> JSONResponse:
    return JSONResponse(Refusal(error=error).model_dump(), status)


def _parse(body: bytes) -> list[str]:
    try:
        questions = json.loads(body)
        mbids = [mbid for question in questions for mbid in question["artist_mbids"]]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise MalformedError('the body is no [{"artist_mbids": […], "algorithm": "…"}]') from None
    return mbids


def _checked(mbids: Sequence[object]) -> list[str]:
    lower = [mbid.strip().lower() if isinstance(mbid, str) else "" for mbid in mbids]
    if not lower:
        raise MalformedError("artist_mbids is missing")
    if len(lower) > MAX_MBIDS:
        raise MalformedError(f"artist_mbids has {len(lower)} ids, at most {MAX_MBIDS} are answered")
    if not all(map(is_mbid, lower)):
        raise MalformedError("artist_mbids has a value that is no MusicBrainz id")
    return list(dict.fromkeys(lower))


def _similar(
    mbids: Iterable[str], snapshot: Snapshot, library: ItemLibrary | None, options: ServeOptions
) -> list[dict[str, Any]]:
    collection = library.collection if library else snapshot.collection
    tagged = library.mbids if library else {}  # artists that the catalogue knows by name alone
    seeds = {mbid: row for row, mbid in tagged.items()}
    redirects = _redirects(snapshot, options)
    rows = []
    for mbid in mbids:
        current = redirects.get(mbid, mbid)
        records = collection.matches(current)
        if not records and current in seeds:
            records = collection.records([seeds[current]])
        for record, score in _ranked(records[0], collection, library) if records else ():
            other = record.artist if is_mbid(record.artist) else tagged.get(record.row)
            if other is not None:
                rows.append(
                    SimilarArtistRow(
                        artist_mbid=other,
                        name=shown(record.name),
                        score=round(10_000 * score),
                        reference_mbid=mbid,
                    ).model_dump()
                )
    return rows


def _ranked(
    seed: ArtistRecord, collection: Collection, library: ItemLibrary | None
) -> list[tuple[ArtistRecord, float]]:
    """Rank the artists most similar to one, of all and of the library, best first."""
    found = find_similar(collection, ask(collection, [seed.artist]), SimilarOptions(top=TOP))
    ranked = [(collection.matches(each.artist)[0], each.score) for each in found.similar]
    scores = {record.row: (record, score) for record, score in ranked}
    if library is not None:
        own = library.similar_artists(seed.row, TOP)
        scores |= {record.row: (record, score) for record, score in own}
    return sorted(scores.values(), key=lambda each: -each[1])


def _redirects(snapshot: Snapshot, options: ServeOptions) -> dict[str, str]:
    """Read the ids that were merged, once for each state of their file."""
    path = options.data / "listens" / REDIRECTS
    try:
        state = FileState.of(path)
    except OSError:
        return {}

    def read() -> dict[str, str]:
        try:
            return read_redirects(path)
        except DataError as error:
            log.warning("merged ids not followed: %s", error)
            return {}

    return snapshot.kept.get(("redirects", state), read)
