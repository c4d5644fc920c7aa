"""Registered scorers: their versions, their files, and which of them is champion.

A scorer is named by a file, or as MLflow does: `models:/twinear/3`, `models:/twinear@champion`.
Who is champion is decided in `decisions`; the alias only follows.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinear.base.errors import DataError, TwinearError
from twinear.tracking.connection import connect, is_off, unreachable
from twinear.tracking.runs import MODEL, SCORER_TAG

ALIAS = "champion"
CHAMPION = f"models:/{MODEL}@{ALIAS}"
SCHEME = "models:/"
FILES = "artifacts"  # of a registered version: the scorer's file, by the name it had
SPLIT = "split.csv"  # in the run that trained it
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
LOST = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered scorer: its number, the SHA-256 of its file, the run that trained it."""

    number: int
    scorer: str
    run_id: str

    @property
    def uri(self) -> str:
        """Its name for MLflow and for `--scorer`."""
        return f"{SCHEME}{MODEL}/{self.number}"


def require_tracking() -> Any:
    """Return MLflow's module; a registry cannot be asked while tracking is off."""
    if is_off():
        raise TwinearError("TWINEAR_TRACKING", "is off", remedy="unset it: champions are in MLflow")
    return connect()


def resolve(name: str) -> Version:
    """The version that `models:/twinear/3` or `models:/twinear@champion` names."""
    mlflow = require_tracking()
    client = mlflow.MlflowClient()
    with explained(mlflow, name):
        if name == CHAMPION:
            return _version(client.get_model_version_by_alias(MODEL, ALIAS))
        number = name.removeprefix(f"{SCHEME}{MODEL}/")
        return _version(client.get_model_version(MODEL, number))


def get_version(number: int) -> Version:
    """The version of that number."""
    return resolve(f"{SCHEME}{MODEL}/{number}")


def find_version(scorer: str) -> Version | None:
    """The latest version whose file has that SHA-256."""
    mlflow = require_tracking()
    query = f"name = '{MODEL}' and tag.{SCORER_TAG} = '{scorer}'"
    with explained(mlflow, MODEL):
        found = map(_version, mlflow.MlflowClient().search_model_versions(query))
        return max(found, key=lambda each: each.number, default=None)


def _version(found: Any) -> Version:
    scorer = found.tags.get(SCORER_TAG, "")
    return Version(number=int(found.version), scorer=scorer, run_id=found.run_id or "")


@contextmanager
def scorer_file(name: str) -> Iterator[Path]:
    """Give the file of a scorer, named by a path or as `models:/…`, while it is needed.

    Raises
    ------
    DataError
        A registry without champion or without that version.
    TwinearError
        The registry cannot be reached, or tracking is off.
    """
    if not name.startswith(SCHEME):
        yield Path(name)
        return
    mlflow = require_tracking()
    with tempfile.TemporaryDirectory() as folder:
        with explained(mlflow, name):
            fetched = mlflow.artifacts.download_artifacts(f"{name}/{FILES}", dst_path=folder)
        found = sorted(Path(fetched).glob("*.safetensors"))
        if len(found) != 1:
            raise DataError(name, f"holds {len(found)} scorers", remedy="register it again")
        yield found[0]


def read_split(version: Version, folder: Path) -> Path | None:
    """Fetch who trained and who was tested in the run of a version; None if it was not kept."""
    if not version.run_id:
        return None
    mlflow = require_tracking()
    client = mlflow.MlflowClient()
    with explained(mlflow, version.uri):
        if SPLIT not in {each.path for each in client.list_artifacts(version.run_id)}:
            return None
        return Path(client.download_artifacts(version.run_id, SPLIT, dst_path=str(folder)))


def set_champion(number: int) -> None:
    """Let the alias name a version."""
    mlflow = require_tracking()
    with explained(mlflow, CHAMPION):
        mlflow.MlflowClient().set_registered_model_alias(MODEL, ALIAS, str(number))


def get_champion() -> Version | None:
    """The version that the alias names."""
    try:
        return resolve(CHAMPION)
    except DataError:
        return None


def mark_run(version: Version, tags: dict[str, str], metrics: dict[str, float]) -> None:
    """Write what was decided about a version on the run that trained it, if that is known."""
    if not version.run_id:
        return
    mlflow = require_tracking()
    client = mlflow.MlflowClient()
    with explained(mlflow, version.uri):
        for name, text in tags.items():
            client.set_tag(version.run_id, name, text)
        for name, value in metrics.items():
            client.log_metric(version.run_id, name, value)


@contextmanager
def explained(mlflow: Any, place: str) -> Iterator[None]:
    """Turn what MLflow says about `place` into one line."""
    try:
        yield
    except mlflow.MlflowException as error:
        if error.error_code in LOST:
            raise unreachable(mlflow.get_tracking_uri(), error) from error
        remedy = "run 'twinear promote', or name a scorer file"
        if error.error_code in ABSENT and place == CHAMPION:
            raise DataError(place, "there is no champion", remedy=remedy) from error
        raise DataError(place, str(error).splitlines()[0], remedy=remedy) from error
