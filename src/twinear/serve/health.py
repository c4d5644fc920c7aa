"""Whether the service runs, whether it can answer, and its numbers for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from twinear.serve.answers import Model
from twinear.serve.dependencies import CurrentSnapshot, CurrentSnapshots

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The service runs."""

    live: bool


class Ready(BaseModel):
    """The service can answer; `problem` says why the latest catalogue is not taken."""

    ready: bool
    model: Model
    artists: int
    problem: str | None


@router.get("/v2/health/live")
def get_live() -> Live:
    """Say that the service runs."""
    return Live(live=True)


@router.get("/v2/health/ready")
def get_ready(snapshot: CurrentSnapshot, snapshots: CurrentSnapshots) -> Ready:
    """Say whether questions can be answered; 503 if there is no catalogue."""
    problem = snapshots.problem and str(snapshots.problem)
    return Ready(ready=True, model=snapshot.model, artists=len(snapshot), problem=problem)


@router.get("/metrics", include_in_schema=False)
def get_metrics(request: Request) -> Response:
    """Give the numbers of the service, for Prometheus."""
    return Response(
        generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST
    )
