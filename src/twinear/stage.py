"""The frame of a stage script: paths from the command line, errors in one line, time and memory."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twinear.errors import one_line_errors


def run_stage(stage: Callable[..., None]) -> None:
    """Call `stage` with the paths that dvc.yaml gives it, then say what it took on stderr."""
    started = time.monotonic()
    with one_line_errors():
        stage(*map(Path, sys.argv[1:]))
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(each).ru_maxrss for each in both)
    name = Path(sys.argv[0]).stem
    print(f"{name}: {time.monotonic() - started:.1f} s, {peak / 1024:.0f} MB", file=sys.stderr)
