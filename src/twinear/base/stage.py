"""The frame of a stage script: paths as arguments, errors in one line, the time it took."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from twinear.base.errors import one_line_errors


def run_stage(stage: Callable[..., None]) -> None:
    """Call `stage` with the paths that dvc.yaml gives it, then print its time on stderr."""
    started = time.monotonic()
    with one_line_errors():
        stage(*map(Path, sys.argv[1:]))
    print(f"{stage.__name__}: {time.monotonic() - started:.1f} s", file=sys.stderr)
