"""Log what waited because tracking had failed."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinear.base.errors import DataError, TwinearError
from twinear.base.files import sha256
from twinear.model.scorer import Scorer
from twinear.tracking.connection import is_off
from twinear.tracking.datasets import TrackedData
from twinear.tracking.runs import ChildRun, Run, reopen_run
from twinear.tracking.waiting import waiting_files

CALLS = {
    *("log_metrics", "log_data", "log_results", "log_text", "log_files", "log_scorer"),
    *("tag_scorers", "log_child", "log_waiting"),
}


def log_waiting() -> int:
    """Log what waits, the oldest first; return how many runs or stages that were.

    What is logged does not wait any longer. A file that is gone, or a scorer that has changed
    since, is reported on stderr and left out.

    Raises
    ------
    TwinearError
        Tracking is off, or fails again; the rest goes on waiting.
    DataError
        A file of what waits is damaged.
    """
    if is_off():
        raise TwinearError("TWINEAR_TRACKING", "is off", remedy="unset it")
    paths = waiting_files()
    for path in paths:
        try:
            about, *calls = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            statuses = [call["status"] for call in calls if call["call"] == "end"]
            run = reopen_run(about)
            status = "FAILED"
            try:
                for call in calls:
                    _repeat(run, **call)
                status = (statuses or ["KILLED"])[-1]
            finally:
                run.end(status)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            remedy = "remove it; the numbers themselves are in reports/"
            raise DataError(path, f"is damaged ({error})", remedy=remedy) from error
        path.unlink()
    return len(paths)


def _repeat(run: Run, call: str, **arguments: Any) -> None:
    """Repeat a call that `WaitingRun` noted."""
    if call == "end":
        return
    if call not in CALLS:
        raise ValueError(f"call {call}")
    if "data" in arguments:
        arguments["data"] = _data(arguments["data"])
    if "path" in arguments:
        arguments["path"] = Path(arguments["path"])
    if call == "log_scorer":
        path = arguments["path"]
        if not path.exists() or sha256(path) != arguments["digest"]:
            print(f"tracking: {path} was not logged: it is another scorer now", file=sys.stderr)
            run.tag_scorers([arguments["digest"]])
            return
        arguments["inputs"] = Scorer.read(path).inputs
    if call == "log_child":
        arguments["child"] = ChildRun(**arguments["child"])
    getattr(run, call)(**arguments)


def _data(fields: Mapping[str, Any]) -> TrackedData:
    schema = fields["schema"]  # a shape is a list in JSON
    own = {"source": Path(fields["source"])}
    if isinstance(schema, list):
        own["schema"] = tuple(schema)  # type: ignore[assignment]
    return TrackedData(**{**fields, **own})
