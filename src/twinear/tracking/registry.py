"""Registered scorers: their versions, their files, and the alias of the champion.

A scorer is named by a file, or as MLflow does: `models:/twinear/3`, `models:/twinear@champion`; any
alias and any registered model will do. A version is made of what was a candidate for promotion, not
of every training. The champion is decided in `promotions`; the alias only follows.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinear.base.errors import DataError, TwinearError
from twinear.base.files import replacing
from twinear.base.text import format_interval
from twinear.tracking.connection import connect, faults, is_off, tracking_error
from twinear.tracking.provenance import COMMIT_TAG, DATA_TAG, UNKNOWN
from twinear.tracking.runs import MODEL, SCORER_TAG

ALIAS = "champion"
CHAMPION = f"models:/{MODEL}@{ALIAS}"
SCHEME = "models:/"
FILES = "artifacts"  # folder of a registered version that holds the scorer's file
SPLIT = "split.csv"  # in the run that trained it
CATALOGUE, REPORTS = "catalogue", "reports"  # folders in the run of a version
PROMOTE_THERE = "run 'twinear promote' where the pipeline has built it"
HEADLINE = "ndcg_at_10"
ABOUT = (
    "Scorers that were candidates for promotion, by the pipeline or a retraining. The alias "
    f"`{ALIAS}` follows the decisions, which are the versions of `twinear-decisions`."
)
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
UNREACHABLE = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered scorer: its number, the SHA-256 of its file, the run that trained it."""

    number: int
    scorer: str
    run_id: str
    model: str = MODEL

    @property
    def uri(self) -> str:
        """Its name for MLflow and for `--scorer`.

        Examples
        --------
        >>> Version(number=3, scorer="", run_id="").uri
        'models:/twinear/3'
        """
        return f"{SCHEME}{self.model}/{self.number}"


def resolve(name: str) -> Version:
    """Look up the version that `models:/NAME/3` or `models:/NAME@alias` names."""
    with registry_errors(name) as mlflow:
        client, text = mlflow.MlflowClient(), name.removeprefix(SCHEME)
        if "@" in text:
            return _version(client.get_model_version_by_alias(*text.rsplit("@", 1)))
        model, _, number = text.rpartition("/")
        return _version(client.get_model_version(model, number))


def get_version(number: int) -> Version:
    """Look up the version of that number."""
    return resolve(f"{SCHEME}{MODEL}/{number}")


def find_version(scorer: str) -> Version | None:
    """Find the latest version whose file has that SHA-256."""
    query = f"name = '{MODEL}' and tag.{SCORER_TAG} = '{scorer}'"
    with registry_errors(MODEL) as mlflow:
        versions = map(_version, mlflow.MlflowClient().search_model_versions(query))
        return max(versions, key=lambda version: version.number, default=None)


def find_run(scorer: str) -> str:
    """Find the run that has logged the scorer with that SHA-256 as a model; "" if none has."""
    with registry_errors(MODEL) as mlflow:
        logged = _logged_models(mlflow, scorer)
        return str(logged[0].source_run_id) if logged else ""


def register(scorer: str) -> Version:
    """Make a version of the scorer with that SHA-256, which a run has logged.

    Its description and tags say where it comes from and how it ranks; MLflow shows its metrics and
    its signature, which belong to the logged model.
    """
    with registry_errors(MODEL) as mlflow:
        client = mlflow.MlflowClient()
        logged = _logged_models(mlflow, scorer)
        if not logged:
            remedy = "see MLflow's message above"
            raise DataError(scorer[:10], "could not be registered", remedy=remedy)
        try:
            client.create_registered_model(MODEL, description=ABOUT)
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        run = client.get_run(logged[0].source_run_id)
        tags = {SCORER_TAG: scorer}
        tags |= {name: run.data.tags.get(name, UNKNOWN) for name in (COMMIT_TAG, DATA_TAG)}
        figures = {name: run.data.metrics.get(name) for name in headline_names()}
        tags |= {name: f"{value:.6g}" for name, value in figures.items() if value is not None}
        created = client.create_model_version(
            MODEL,
            logged[0].model_uri,
            run.info.run_id,
            tags=tags,
            description=_describe(tags, run.info.run_name),
            model_id=logged[0].model_id,
        )
        # what MLflow's own pages show as the versions of a model
        versions = json.dumps([{"name": MODEL, "version": created.version}])
        client.set_logged_model_tags(logged[0].model_id, {"mlflow.modelVersions": versions})
        return _version(created)


def _logged_models(mlflow: Any, scorer: str) -> list[Any]:
    """The models that are this scorer, the latest first."""
    found: list[Any] = mlflow.search_logged_models(
        filter_string=f"tags.`{SCORER_TAG}` = '{scorer}'", output_format="list"
    )
    return [model for model in found if model.source_run_id]


def headline_names() -> tuple[str, str, str]:
    """Name the metrics of the ranking column: value, lower, upper end."""
    return HEADLINE, f"{HEADLINE}_lower", f"{HEADLINE}_upper"


def _describe(tags: Mapping[str, str], run: str) -> str:
    ends = [tags.get(name) for name in headline_names()]
    value, low, high = (float(each) if each else None for each in ends)
    ranks = "It has not been ranked on the test artists"
    if value is not None and low is not None and high is not None:
        ranks = f"NDCG@10 of the test artists {format_interval(value=value, low=low, high=high)}"
    return (
        f"Scorer `{tags[SCORER_TAG][:10]}` of the run {run}. {ranks}.\n\n"
        f"Commit `{tags[COMMIT_TAG][:10]}`, data `{tags[DATA_TAG][:10]}`."
    )


def add_to_description(version: Version, text: str) -> None:
    """Append a paragraph to what the registry says of a version."""
    with registry_errors(version.uri) as mlflow:
        client = mlflow.MlflowClient()
        before = client.get_model_version(version.model, str(version.number)).description
        description = "\n\n".join(filter(None, [before, text]))
        client.update_model_version(version.model, str(version.number), description)


def _version(registered: Any) -> Version:
    return Version(
        model=registered.name,
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
            raise type(error)(name, str(error).removeprefix(place)) from error


def read_split(version: Version, folder: Path) -> Path | None:
    """Fetch the split of the run that trained a version; None if it was not logged."""
    if not version.run_id:
        return None
    with registry_errors(version.uri) as mlflow:
        client = mlflow.MlflowClient()
        if SPLIT not in {file.path for file in client.list_artifacts(version.run_id)}:
            return None
        return Path(client.download_artifacts(version.run_id, SPLIT, dst_path=str(folder)))


def attach(version: Version, folder: Path) -> None:
    """Keep a folder in the run of a version, under its own name, unless it has one already."""
    if not version.run_id:
        return
    with registry_errors(version.uri) as mlflow:
        client = mlflow.MlflowClient()
        if not client.list_artifacts(version.run_id, folder.name):
            client.log_artifacts(version.run_id, str(folder), folder.name)


def fetch_attached(version: Version, name: str, folder: Path) -> Path | None:
    """Fetch a folder that was kept with a version, or with another run of its scorer.

    None if there is none.
    """
    with registry_errors(version.uri) as mlflow:
        client = mlflow.MlflowClient()
        query = f"tags.{SCORER_TAG} = '{version.scorer}'"
        runs = mlflow.search_runs(filter_string=query, output_format="list")
        for run_id in filter(None, [version.run_id, *(run.info.run_id for run in runs)]):
            if client.list_artifacts(run_id, name):
                return Path(client.download_artifacts(run_id, name, dst_path=str(folder)))
    return None


@contextmanager
def catalogue_folder(name: str) -> Iterator[Path]:
    """Give the folder of the catalogue that was kept with `models:/…`, while it is needed.

    `DataError` if the version was promoted without it.
    """
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch_attached(resolve(name), CATALOGUE, Path(folder))
        if fetched is None:
            raise DataError(name, "was promoted without its catalogue", remedy=PROMOTE_THERE)
        yield fetched


def check_out(version: Version, scorer: Path, catalogue: Path, reports: Path) -> None:
    """Bring the scorer, the catalogue and the reports of a version into the workspace.

    All of them, or nothing: `DataError` if one was not kept with the version. Other files in the
    folder of the reports stay.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        scorer_file(version.uri) as file,
    ):
        parts = {name: fetch_attached(version, name, Path(folder)) for name in (CATALOGUE, REPORTS)}
        if missing := [name for name, path in parts.items() if path is None]:
            found = f"was promoted without its {' and '.join(missing)}"
            raise DataError(version.uri, found, remedy=PROMOTE_THERE)
        with replacing(scorer) as temporary:
            shutil.copy(file, temporary)
        with replacing(catalogue) as temporary:
            shutil.copytree(parts[CATALOGUE] or Path(), temporary)
        for path in sorted((parts[REPORTS] or Path()).iterdir()):
            with replacing(reports / path.name) as temporary:
                (shutil.copytree if path.is_dir() else shutil.copy)(path, temporary)


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
    except faults() as error:
        code = getattr(error, "error_code", UNREACHABLE[0])  # others have none
        if code in UNREACHABLE:
            raise tracking_error(mlflow.get_tracking_uri(), error) from error
        remedy = "run 'twinear promote', name a scorer file, or set MLFLOW_TRACKING_URI"
        if code in ABSENT and place == CHAMPION:
            raise DataError(place, "there is no champion", remedy=remedy) from error
        raise DataError(place, str(error).splitlines()[0], remedy=remedy) from error
