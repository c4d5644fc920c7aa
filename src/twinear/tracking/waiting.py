"""What tracking did not take, kept in files until `twinear track` logs it.

A server that is down, or a database that is locked, must not cost a training. What a run would have
logged is written to a file of its own in the folder `.untracked`, line by line, as calls of `Run`:
what is killed loses nothing. Files are named, not copied.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = ".untracked"  # in the project's root
TOLD = "'twinear track' logs it afterwards"


def waiting_folder() -> Path:
    """Return the folder of this project, also in DVC's temporary experiment folders."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / FOLDER


def waiting_files() -> list[Path]:
    """List what waits, the oldest first."""
    return sorted(waiting_folder().glob("*.jsonl"))


def waits(scorer: str) -> bool:
    """Whether the run of a scorer, given by its SHA-256, waits."""
    return any(scorer in path.read_text(encoding="utf-8") for path in waiting_files())


class WaitingFile:
    """The calls of a run that wait; the file appears with the first call.

    Parameters
    ----------
    about
        Which run: the arguments of `runs.start_run`, or the `run_id` of one that was started.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = dict(about)
        self._path = waiting_folder() / f"{time.time_ns()}-{os.getpid()}.jsonl"

    @property
    def exists(self) -> bool:
        """Whether there was a call."""
        return self._path.exists()

    def note(self, call: str, arguments: Mapping[str, Any]) -> None:
        """Append a call; what cannot be written either is reported as lost."""
        lines = [] if self._path.exists() else [self._about]
        lines.append({"call": call, **arguments})
        try:
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line, default=str) + "\n" for line in lines)
        except OSError as error:
            print(f"tracking: {call} is lost ({self._path}: {error.strerror})", file=sys.stderr)
