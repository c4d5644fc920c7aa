"""What endpoints get of a request."""

from typing import Annotated

from fastapi import Depends, Request

from twinear.serve.errors import ApiError
from twinear.serve.snapshot import Snapshot, Snapshots


def snapshots_of(request: Request) -> Snapshots:
    """Give the service's snapshots."""
    found: Snapshots = request.app.state.snapshots
    return found


def snapshot_of(request: Request) -> Snapshot:
    """Give the snapshot that the request took when it began.

    Raises
    ------
    ApiError
        503: there is no catalogue yet.
    """
    snapshot: Snapshot | None = request.scope["state"].get("snapshot")
    if snapshot is None:
        problem = snapshots_of(request).problem
        raise problem or ApiError(503, "starting", "", "the catalogue is being opened")
    return snapshot


CurrentSnapshot = Annotated[Snapshot, Depends(snapshot_of)]
CurrentSnapshots = Annotated[Snapshots, Depends(snapshots_of)]
