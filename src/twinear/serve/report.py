"""The figures of the last report, where they are of the catalogue that is served."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from twinear.ranking.receipt import is_of

RANKING, LISTENERS = "ranking.json", "listeners.json"


class Report(BaseModel):
    """The content of reports/ranking.json and reports/listeners.json.

    Each is null where it is missing, or of another catalogue.
    """

    ranking: dict[str, Any] | None
    listeners: dict[str, Any] | None


def ranking_folder(catalogue: Path) -> Path:
    """Give the folder that the stage `ranking` wrote beside a catalogue."""
    return catalogue.resolve().parent / "ranking"


def read_report(reports: Path, catalogue: Path, identity: str) -> Report:
    """Read the figures of the catalogue of this identity."""
    found: dict[str, dict[str, Any] | None] = {}
    for file in (RANKING, LISTENERS):
        path = reports / file
        found[file] = None
        if is_of(ranking_folder(catalogue), identity, path):
            found[file] = json.loads(path.read_text(encoding="utf-8"))
    return Report(ranking=found[RANKING], listeners=found[LISTENERS])
