"""The app: every router, mounted in one place.

/                     the page
/api/v1/…             the API
/v2/health/…, /metrics
/openapi.json, /docs  the API, described
/similar-artists/json, /listenbrainz/…    as ListenBrainz labs
/api/similar_artists, /api/similar_tracks, /api/find_path    as AudioMuse-AI
/rest/…               as an OpenSubsonic server
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

from twinear.serve import (
    artists,
    clips,
    errors,
    explanation,
    figures,
    health,
    map,
    playlists,
    similar,
)
from twinear.serve.answers import Error
from twinear.serve.auth import GUARDED
from twinear.serve.doors import audiomuse, listenbrainz, opensubsonic
from twinear.serve.doors.library import Libraries
from twinear.serve.limited_processes import LimitedProcesses
from twinear.serve.metrics import Metrics
from twinear.serve.middleware import EveryRequest
from twinear.serve.options import ServeOptions
from twinear.serve.snapshot import Snapshots
from twinear.serve.uploads import Uploads

PAGE, DOCS = (Path(__file__).with_name(name) for name in ("page", "docs"))
ERRORS = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    404: "No such artist or clip; `nearest` names similar ones.",
    408: "The request arrives too slowly.",
    413: "The request is too large.",
    421: "The host is another one than the service's.",
    422: "A parameter cannot be used; the error names it.",
    429: "Too much is asked for at once; try again in a moment.",
    503: "There is no catalogue yet.",
}


def create_app(options: ServeOptions) -> FastAPI:
    """Build the service; it opens the catalogue when it is started."""
    from importlib.metadata import version

    snapshots, metrics = Snapshots(options=options), Metrics()
    uploads = Uploads(options.limits)
    processes = LimitedProcesses(options.workers, options.limits)
    maps, libraries = map.Maps(), Libraries(options=options)
    snapshots.listeners += [metrics.take, processes.prepare, maps.take, libraries.take]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        uploads.start()
        snapshots.start()
        yield
        snapshots.stop()
        maps.stop()
        processes.stop()
        uploads.stop()

    app = FastAPI(
        title="twinear",
        summary="Which artists sound alike, learned from what people listen to.",
        version=version("twinear"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        responses={status: {"model": Error, "description": d} for status, d in ERRORS.items()},
    )
    app.state.options, app.state.snapshots, app.state.metrics = options, snapshots, metrics
    app.state.uploads, app.state.processes, app.state.maps = uploads, processes, maps
    app.state.libraries = libraries
    errors.add_handlers(app)
    for router in (
        artists.router,
        similar.router,
        clips.router,
        clips.upload_router,
        explanation.router,
        playlists.router,
        map.router,
        figures.router,
        health.router,
        listenbrainz.router,
        audiomuse.router,
        opensubsonic.router,
    ):
        app.include_router(router)
    guarded = GUARDED
    app.add_middleware(
        EveryRequest, snapshots=snapshots, metrics=metrics, options=options, guarded=guarded
    )
    app.mount("/docs", StaticFiles(directory=DOCS, html=True), name="docs")
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")  # last: it takes the rest
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
