"""Where runs and models are kept, and how long to wait for it.

`MLFLOW_TRACKING_URI`, else `mlflow.db` in the project's root, also from DVC's temporary experiment
folders. MLflow itself would wait four minutes for each answer of a server that is gone: here a
request is given up after seconds, so that no stage hangs; its own variables say otherwise.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

from twinear.base.errors import TwinearError

EXPERIMENT = "twinear"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}
# What MLflow's page of runs shows at `…/runs?viewStateShareKey=ranking`: which are best, of what.
VIEW_TAG = "mlflow.sharedViewState.ranking"
SHOWN = (
    *(f"metrics.`ndcg_at_10{end}`" for end in ("", "_low", "_high")),
    *(f"tags.`{name}`" for name in ("kind", "decision", "commit", "data", "scorer")),
)
VIEW = {
    "searchFilter": "",
    "orderByKey": SHOWN[0],
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "selectedColumns": SHOWN,
}


def is_off() -> bool:
    """Whether `TWINEAR_TRACKING=off` says that nothing is tracked."""
    return os.environ.get("TWINEAR_TRACKING", "on") == "off"


def connect() -> Any:
    """Return the module `mlflow`, set to where this project's runs are kept.

    Raises
    ------
    TwinearError
        It cannot be reached.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    try:
        if "MLFLOW_EXPERIMENT_ID" not in os.environ:
            _set_experiment(mlflow, root)
    except mlflow.MlflowException as error:
        raise unreachable(mlflow.get_tracking_uri(), error) from error
    return mlflow


def unreachable(place: str, error: Exception) -> TwinearError:
    """What is told when the tracking server does not answer."""
    reason = str(error).splitlines()[0][:200]
    remedy = "start the server, mend MLFLOW_TRACKING_URI, or set TWINEAR_TRACKING=off"
    return TwinearError(place, f"tracking cannot be reached ({reason})", remedy=remedy)


def _set_experiment(mlflow: Any, root: Path) -> None:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    local = mlflow.get_tracking_uri().startswith("sqlite:")
    if local and mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri())
    experiment, view = mlflow.set_experiment(name), json.dumps(VIEW)
    if experiment.tags.get(VIEW_TAG) != view:
        mlflow.MlflowClient().set_experiment_tag(experiment.experiment_id, VIEW_TAG, view)
