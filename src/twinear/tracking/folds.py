"""One MLflow run for a cross-validation, with a child for each fold."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from twinear.tracking.runs import NoRun, Run, _connect, _MlflowRun, _unreachable, flatten


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
    if os.environ.get("TWINEAR_TRACKING", "on") == "off":
        yield NoFoldsRun()
        return
    mlflow = _connect()
    above = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`: ours is its child
    try:
        started = mlflow.start_run(run_name=name, parent_run_id=above)
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise _unreachable(mlflow.get_tracking_uri(), error) from error
    with started:
        run = _MlflowFolds(mlflow, started.info.run_id)
        yield run
        run.report_gap()


class _MlflowFolds(_MlflowRun):
    @contextmanager
    def child(self, name: str) -> Iterator[Run]:
        with self._mlflow.start_run(run_name=name, nested=True) as started:
            run = _MlflowRun(self._mlflow, started.info.run_id)
            yield run
            run.report_gap()
