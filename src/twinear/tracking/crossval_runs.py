"""One MLflow run for a cross-validation, with a child for each fold."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from twinear.tracking.connection import connect, is_off, unreachable
from twinear.tracking.provenance import describe, provenance
from twinear.tracking.runs import MlflowRun, NoRun, Run, ended, flatten

KIND = "crossval"


class FoldsRun(Run, Protocol):
    """The parent run."""

    def child(self, name: str) -> AbstractContextManager[Run]:
        """Open the run of one fold."""


class NoFoldsRun(NoRun):
    """Tracking is off: does nothing."""

    def child(self, name: str) -> AbstractContextManager[Run]:
        """Open a run that does nothing."""
        return nullcontext(NoRun())


@contextmanager
def open_folds(name: str, params: Mapping[str, Any]) -> Iterator[FoldsRun]:
    """Open the parent run of a cross-validation.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    if is_off():
        yield NoFoldsRun()
        return
    mlflow, tags = connect(), provenance(KIND)
    above = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`: ours is its child
    try:
        started = mlflow.start_run(
            run_name=name, parent_run_id=above, tags=tags, description=describe(tags)
        )
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise unreachable(mlflow.get_tracking_uri(), error) from error
    run = _MlflowFolds(mlflow, started.info.run_id)
    with ended(run):
        yield run


class _MlflowFolds(MlflowRun):
    @contextmanager
    def child(self, name: str) -> Iterator[Run]:
        """Open the run of one fold."""
        started = self._mlflow.start_run(run_name=name, nested=True, tags=provenance(KIND))
        run = MlflowRun(self._mlflow, started.info.run_id)
        with ended(run):
            yield run
