"""One MLflow run for a cross-validation, with a child for each fold."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twinear.tracking.connection import is_off
from twinear.tracking.runs import Run, ending, start_run


@contextmanager
def open_folds(name: str, params: Mapping[str, Any]) -> Iterator[Run]:
    """Open the parent run of a cross-validation; `child` opens the run of a fold.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    if is_off():
        yield Run()
        return
    with ending(start_run("crossval", name, params, {})) as run:
        yield run
