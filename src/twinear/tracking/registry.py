"""Registered scorers: their versions, their files, and the alias of the champion.

A scorer is named by a file, or as MLflow does: `models:/twinear/3`, `models:/twinear@champion`.
The champion is decided in `promotions`; the alias only follows.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinear.base.errors import DataError, TwinearError
from twinear.tracking.connection import connect, is_off, tracking_error
from twinear.tracking.runs import MODEL, SCORER_TAG

ALIAS = "champion"
CHAMPION = f"models:/{MODEL}@{ALIAS}"
SCHEME = "models:/"
FILES = "artifacts"  # folder of a registered version that holds the scorer's file
SPLIT = "split.csv"  # in the run that trained it
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
UNREACHABLE = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered scorer: its number, the SHA-256 of its file, the run that trained it."""

    number: int
    scorer: str
    run_id: str

    @property
    def uri(self) -> str:
        """Its name for MLflow and for `--scorer`.

        Examples
        --------
        >>> Version(number=3, scorer="", run_id="").uri
        'models:/twinear/3'
        """
        return f"{SCHEME}{MODEL}/{self.number}"


def resolve(name: str) -> Version:
    """Look up the version that `models:/twinear/3` or `models:/twinear@champion` names."""
    with registry_errors(name) as mlflow:
        client, number = mlflow.MlflowClient(), name.removeprefix(f"{SCHEME}{MODEL}/")
        if name == CHAMPION:
            return _version(client.get_model_version_by_alias(MODEL, ALIAS))
        return _version(client.get_model_version(MODEL, number))


def get_version(number: int) -> Version:
    """Look up the version of that number."""
    return resolve(f"{SCHEME}{MODEL}/{number}")


def find_version(scorer: str) -> Version | None:
    """Find the latest version whose file has that SHA-256."""
    query = f"name = '{MODEL}' and tag.{SCORER_TAG} = '{scorer}'"
    with registry_errors(MODEL) as mlflow:
        versions = map(_version, mlflow.MlflowClient().search_model_versions(query))
        return max(versions, key=lambda version: version.number, default=None)


def _version(registered: Any) -> Version:
    return Version(
        number=int(registered.version),
        scorer=registered.tags.get(SCORER_TAG, ""),
        run_id=registered.run_id or "",
    )


@contextmanager
def scorer_file(name: str) -> Iterator[Path]:
    """Give the file of a scorer, named by a path or as `models:/…`, while it is needed.

    A `DataError` about the file of a registered scorer names the version, not the temporary copy;
    errors of the registry are those of `registry_errors`.
    """
    if not name.startswith(SCHEME):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        with registry_errors(name) as mlflow:
            fetched = mlflow.artifacts.download_artifacts(f"{name}/{FILES}", dst_path=folder)
        paths = sorted(Path(fetched).glob("*.safetensors"))
        if len(paths) != 1:
            raise DataError(name, f"holds {len(paths)} scorers", remedy="register it again")
        place = f"{paths[0]}: "
        try:
            yield paths[0]
        except DataError as error:
            if not str(error).startswith(place):
                raise
            raise DataError(name, str(error).removeprefix(place)) from error


def read_split(version: Version, folder: Path) -> Path | None:
    """Fetch the split of the run that trained a version; None if it was not logged."""
    if not version.run_id:
        return None
    with registry_errors(version.uri) as mlflow:
        client = mlflow.MlflowClient()
        if SPLIT not in {file.path for file in client.list_artifacts(version.run_id)}:
            return None
        return Path(client.download_artifacts(version.run_id, SPLIT, dst_path=str(folder)))


def set_champion(number: int) -> None:
    """Set the alias to a version."""
    with registry_errors(CHAMPION) as mlflow:
        mlflow.MlflowClient().set_registered_model_alias(MODEL, ALIAS, str(number))


def get_champion() -> Version | None:
    """Look up the version that the alias names."""
    try:
        return resolve(CHAMPION)
    except DataError:
        return None


def mark_run(version: Version, tags: dict[str, str], metrics: dict[str, float]) -> None:
    """Write the decision about a version on the run that trained it, if that is known."""
    if not version.run_id:
        return
    with registry_errors(version.uri) as mlflow:
        client = mlflow.MlflowClient()
        for name, text in tags.items():
            client.set_tag(version.run_id, name, text)
        for name, value in metrics.items():
            client.log_metric(version.run_id, name, value)


@contextmanager
def registry_errors(place: str) -> Iterator[Any]:
    """Give MLflow's module; turn its exceptions about `place` into one line.

    `TwinearError` if tracking is off or the registry cannot be reached, `DataError` for a version
    or a champion that it does not have.
    """
    if is_off():
        raise TwinearError("TWINEAR_TRACKING", "is off", remedy="unset it: champions are in MLflow")
    mlflow = connect()
    try:
        yield mlflow
    except mlflow.MlflowException as error:
        if error.error_code in UNREACHABLE:
            raise tracking_error(mlflow.get_tracking_uri(), error) from error
        remedy = "run 'twinear promote', or name a scorer file"
        if error.error_code in ABSENT and place == CHAMPION:
            raise DataError(place, "there is no champion", remedy=remedy) from error
        raise DataError(place, str(error).splitlines()[0], remedy=remedy) from error
