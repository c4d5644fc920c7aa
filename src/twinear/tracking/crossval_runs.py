"""One MLflow run for a cross-validation, with a child for each fold."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from twinear.tracking.runs import Run, ending, start_run


def open_folds(name: str, params: Mapping[str, Any]) -> AbstractContextManager[Run]:
    """Open the parent run of a cross-validation; `child` opens the run of a fold.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    return ending(start_run("crossval", name, params, {}))
