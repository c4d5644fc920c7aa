"""The figures of the report, over HTTP."""

from fastapi import APIRouter

from twinear.serve.answers import Model
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.report import Report

router = APIRouter(prefix="/api/v1", tags=["report"])


class ReportAnswer(Report):
    """`Report`, and what computes the answers of this service."""

    model: Model


@router.get("/report")
def get_report(snapshot: CurrentSnapshot) -> ReportAnswer:
    """Give the figures of the last report; null where they are of another catalogue."""
    return ReportAnswer(**dict(snapshot.report), model=snapshot.model)
