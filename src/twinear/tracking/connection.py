"""Where runs and models are kept, and how long to wait for it.

MLflow itself would wait four minutes for each answer of a server that is gone. Here a request is
given up after seconds, so that no stage hangs; MLflow's own variables change that.
"""

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from twinear.base.errors import TwinearError
from twinear.tracking.provenance import NOTE_TAG

EXPERIMENT = "twinear"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}
SQLITE = "sqlite:///"
SQLITE_HEADER = b"SQLite format 3\0"
# MLflow's page of runs at `…/runs?viewStateShareKey=ranking` shows these columns of the runs that
# were ranked on the test artists, best first
VIEW_TAG = "mlflow.sharedViewState.ranking"
SHOWN = (
    *(f"metrics.`ndcg_at_10{end}`" for end in ("", "_lower", "_upper")),
    *(f"tags.`{name}`" for name in ("kind", "changed", "decision", "commit", "data", "scorer")),
)
VIEW = {
    "searchFilter": "metrics.ndcg_at_10 >= 0",  # no trials, no folds
    "orderByKey": SHOWN[0],
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "selectedColumns": SHOWN,
}
DATABASE_FAULTS = {  # what SQLite says -> what to do
    "is locked": "end the program that holds it, and run again",
    "malformed": "restore it from a copy, or move it away for a new one",
    "not a database": "restore it from a copy, or move it away for a new one",
    "readonly": "fix the permissions, or set MLFLOW_TRACKING_URI to another place",
    "unable to open": "fix the permissions, or set MLFLOW_TRACKING_URI to another place",
    "is full": "free some space and run again",
    "disk I/O error": "look whether the disk is full or damaged, and run again",
}
ABOUT = """Which artists sound alike, learned from what people listen to. One run for each scorer.

- **`ndcg_at_10` ranks the runs**: NDCG@10 of the held-out test artists, with its interval. Nothing
  else stands in that column: figures of validation artists begin with `validation`, a search's
  with `best_validation`, a cross-validation's with the protocol.
- The tag `changed` names the params that differ from the committed ones; `commit`, `data` and
  `scorer` are the git commit, DVC's hash of the data and the SHA-256 of the scorer's file.
- Trials of a search and folds of a cross-validation are below one parent, in the table sorted by
  time of creation.
- A scorer that was a candidate for promotion is a version of the registered model `twinear`.
"""


def faults() -> tuple[type[Exception], ...]:
    """Name the exceptions by which tracking fails: of MLflow, database, network and disk."""
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, CommandError, OSError


def is_off() -> bool:
    """Whether `TWINEAR_TRACKING=off` turns tracking off."""
    return os.environ.get("TWINEAR_TRACKING", "on") == "off"


def connect() -> Any:
    """Return the module `mlflow`, connected to this project's runs.

    `TwinearError` if the server cannot be reached, the database is locked, damaged or read-only, or
    another version of MLflow wrote it.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # it logs the traceback of whatever it raises; the line that is printed here says enough
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(f"{SQLITE}{root / 'mlflow.db'}")
    uri = mlflow.get_tracking_uri()
    _check_database(uri)
    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return mlflow
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    try:
        if uri.startswith("sqlite:") and mlflow.get_experiment_by_name(name) is None:
            mlflow.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri())
        experiment, view = mlflow.set_experiment(name), json.dumps(VIEW)
        wanted = {VIEW_TAG: view, NOTE_TAG: experiment.tags.get(NOTE_TAG, ABOUT)}
        for tag, text in wanted.items():
            if experiment.tags.get(tag) != text:
                mlflow.MlflowClient().set_experiment_tag(experiment.experiment_id, tag, text)
    except faults() as error:
        raise tracking_error(uri, error) from error
    return mlflow


def tracking_error(uri: str, error: Exception) -> TwinearError:
    """Build the error for a tracking server or database that cannot be used."""
    reason = reason_of(error)
    if "out-of-date database schema" in reason:
        return TwinearError(
            uri,
            "has the database schema of another version of MLflow",
            expected="that of the installed version",
            remedy=f"back it up and run 'mlflow db upgrade {uri}', or move it away for a new one",
        )
    for part, remedy in DATABASE_FAULTS.items():
        if part in reason:
            return TwinearError(uri, f"tracking cannot use its database ({reason})", remedy=remedy)
    remedy = "start the server, correct MLFLOW_TRACKING_URI, or set TWINEAR_TRACKING=off"
    return TwinearError(uri, f"tracking cannot be reached ({reason})", remedy=remedy)


def reason_of(error: Exception) -> str:
    """Return the first line of an exception, without what SQLAlchemy puts before it.

    Examples
    --------
    >>> reason_of(ValueError("(raised by a query) (sqlite3.OperationalError) database is locked"))
    'database is locked'
    """
    text = re.sub(r"^.*?\(\w+\.\w*Error\) ", "", str(error), count=1, flags=re.DOTALL)
    return (text.splitlines() or [type(error).__name__])[0][:200]


def _check_database(uri: str) -> None:
    """Refuse a file that is not a database, for which MLflow would raise what the driver raises."""
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or not path.is_file() or not path.stat().st_size:
        return  # MLflow creates it
    with path.open("rb") as file:
        if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
            expected = "the runs that MLflow wrote"
            remedy = "restore it, or move it away for a new one"
            raise TwinearError(path, "is not an SQLite database", expected=expected, remedy=remedy)
