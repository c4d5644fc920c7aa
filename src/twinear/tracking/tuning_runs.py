"""One MLflow run for a study of the search, whose trials are its children."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twinear.tracking.connection import connect, is_off, unreachable
from twinear.tracking.provenance import KIND_TAG, describe, provenance
from twinear.tracking.runs import MlflowRun, NoRun, Run, ended, flatten

KIND = "tuning"
STUDY_TAG = "study"


@contextmanager
def open_study(name: str, params: Mapping[str, Any], identity: str) -> Iterator[Run]:
    """Open the run of a study.

    Parameters
    ----------
    name
        The study's name.
    params
        How it searches; logged when the run is new.
    identity
        The latest run of a study of equal identity is opened again.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    if is_off():
        yield NoRun()
        return
    run = _started(name, params, identity)
    with ended(run):
        yield run


def _started(name: str, params: Mapping[str, Any], identity: str) -> MlflowRun:
    mlflow = connect()
    parent = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`: ours is its child
    tags = {**provenance(KIND), STUDY_TAG: identity}
    try:
        query = f"tags.{STUDY_TAG} = '{identity}' and tags.{KIND_TAG} = '{KIND}'"
        found = mlflow.search_runs(filter_string=query, max_results=1, output_format="list")
        if found:
            return MlflowRun(mlflow, mlflow.start_run(run_id=found[0].info.run_id).info.run_id)
        started = mlflow.start_run(
            run_name=f"{KIND}-{name}", parent_run_id=parent, tags=tags, description=describe(tags)
        )
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise unreachable(mlflow.get_tracking_uri(), error) from error
    return MlflowRun(mlflow, started.info.run_id)
