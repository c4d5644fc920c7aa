"""Which catalogue a report is of: a service shows the figures of its own catalogue only."""

import json
from collections.abc import Sequence
from pathlib import Path

from twinear.base.files import sha256, write_json

FILE = "reports.json"


def write_receipt(folder: Path, catalogue: str, reports: Sequence[Path]) -> None:
    """Note that reports are of a catalogue, given by its `identity`."""
    written = {path.name: sha256(path) for path in reports}
    write_json(folder / FILE, {"catalogue": catalogue, "reports": written})


def is_of(folder: Path, catalogue: str, report: Path) -> bool:
    """Whether a report is of a catalogue, as `write_receipt` noted; False if that is not known."""
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return bool(
            noted["catalogue"] == catalogue and noted["reports"].get(report.name) == sha256(report)
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False
