"""One MLflow run for a scorer and its params, opened by every stage that has something to say.

A server that cannot be reached at the start is an error. One that fails later does not stop a
stage: metrics that it did not take are kept and sent with the next ones, and what never arrived is
said on stderr.
"""

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from twinear.errors import TwinearError

if TYPE_CHECKING:
    from twinear.model import Inputs

EXPERIMENT = "twinear"
MODEL = "twinear"
SCORER_TAG, PARAMS_TAG, EXPERIMENT_TAG = "scorer", "params", "dvc_experiment"
KIND_TAG, STUDY_TAG = "kind", "study"
SERVING_PACKAGES = (
    "av", "librosa", "mlflow", "numpy", "pandas", "pydantic", "ruamel.yaml", "safetensors", "soxr",
    "torch",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Child:
    """A run that has ended: a trial of a study.

    Attributes
    ----------
    curve
        Step and its metrics.
    failed
        Whether MLflow shows it as failed.
    """

    name: str
    params: Mapping[str, Any]
    curve: Sequence[tuple[int, Mapping[str, float]]]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    failed: bool


class Run(Protocol):
    """What a stage can say about a run."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers; names may hold `@`."""

    def log_data(self, name: str, source: Path, digest: str) -> None:
        """Log a dataset as an input of the run, known by its digest."""

    def log_files(self, path: Path) -> None:
        """Log a file, or all files of a folder, as artefacts."""

    def log_scorer(self, path: Path, digest: str, inputs: "Inputs") -> None:
        """Log and register a scorer that hears such inputs; tag the run with it.

        One that hears vectors beside the spectrograms is only logged: pairs of spectrograms, which
        is what is served, are not enough for it.
        """

    def log_child(self, child: "Child") -> str:
        """Log a run that has ended under this one; its id, empty where it was not taken."""


class NoRun:
    """Tracking is off: does nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Do nothing."""

    def log_data(self, name: str, source: Path, digest: str) -> None:
        """Do nothing."""

    def log_files(self, path: Path) -> None:
        """Do nothing."""

    def log_scorer(self, path: Path, digest: str, inputs: "Inputs") -> None:
        """Do nothing."""

    def log_child(self, child: Child) -> str:
        """Do nothing."""
        return ""


@contextmanager
def open_run(params: Mapping[str, Any], scorer: str = "") -> Iterator[Run]:
    """Open the run of some params for one stage.

    Parameters
    ----------
    params
        Every section of `params.yaml`; logged when the run is new.
    scorer
        The SHA-256 of the scorer's file: the latest run of that scorer and of equal params is
        opened again, or a new one made. Empty: a new run.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached.
    """
    if os.environ.get("TWINEAR_TRACKING", "on") == "off":
        yield NoRun()
        return
    mlflow = _connect()
    with _start(mlflow, params, scorer) as active:
        run = _MlflowRun(mlflow, active.info.run_id)
        yield run
        run.report_gap()


@contextmanager
def open_study(name: str, params: Mapping[str, Any], identity: str) -> Iterator[Run]:
    """Open the run of a study of the search, whose trials are its children.

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
    if os.environ.get("TWINEAR_TRACKING", "on") == "off":
        yield NoRun()
        return
    mlflow = _connect()
    with _start_study(mlflow, name, params, identity) as active:
        run = _MlflowRun(mlflow, active.info.run_id)
        yield run
        run.report_gap()


def _start_study(mlflow: Any, name: str, params: Mapping[str, Any], identity: str) -> Any:
    parent = os.environ.pop("MLFLOW_RUN_ID", None)
    tags = {KIND_TAG: "study", STUDY_TAG: identity}
    try:
        query = f"tags.{STUDY_TAG} = '{identity}' and tags.{KIND_TAG} = 'study'"
        found = mlflow.search_runs(filter_string=query, max_results=1, output_format="list")
        if found:
            return mlflow.start_run(run_id=found[0].info.run_id)
        started = mlflow.start_run(run_name=f"tuning-{name}", parent_run_id=parent, tags=tags)
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise _unreachable(mlflow.get_tracking_uri(), error) from error
    return started


def _start(mlflow: Any, params: Mapping[str, Any], scorer: str) -> Any:
    tags = _tags(params, scorer)
    parent = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`: ours is its child
    try:
        if found := _find(mlflow, tags) if scorer else None:
            return mlflow.start_run(run_id=found)
        name = tags.get(EXPERIMENT_TAG) or f"pipeline-{tags[PARAMS_TAG][:8]}"
        started = mlflow.start_run(run_name=name, parent_run_id=parent, tags=tags)
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise _unreachable(mlflow.get_tracking_uri(), error) from error
    return started


def _connect() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    try:
        if "MLFLOW_EXPERIMENT_ID" not in os.environ:
            _set_experiment(mlflow, root)
    except mlflow.MlflowException as error:
        raise _unreachable(mlflow.get_tracking_uri(), error) from error
    return mlflow


def _unreachable(place: str, error: Exception) -> TwinearError:
    reason = str(error).splitlines()[0][:200]
    remedy = "start the server, mend MLFLOW_TRACKING_URI, or set TWINEAR_TRACKING=off"
    return TwinearError(place, f"tracking cannot be reached ({reason})", remedy=remedy)


def _set_experiment(mlflow: Any, root: Path) -> None:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    local = mlflow.get_tracking_uri().startswith("sqlite:")
    if local and mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri())
    mlflow.set_experiment(name)


def _find(mlflow: Any, tags: Mapping[str, str]) -> str | None:
    query = " and ".join(f"tags.{name} = '{tags[name]}'" for name in (SCORER_TAG, PARAMS_TAG))
    runs = mlflow.search_runs(filter_string=query, max_results=1, output_format="list")
    return str(runs[0].info.run_id) if runs else None


def _tags(params: Mapping[str, Any], scorer: str) -> dict[str, str]:
    text = json.dumps(params, sort_keys=True, default=str)
    tags = {PARAMS_TAG: hashlib.sha256(text.encode()).hexdigest(), SCORER_TAG: scorer}
    experiment = os.environ.get("DVC_EXP_NAME")
    return tags | ({EXPERIMENT_TAG: experiment} if experiment else {})


class _MlflowRun:
    def __init__(self, mlflow: Any, run_id: str) -> None:
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient()
        self._run_id = run_id
        self._waiting: list[Any] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        self._waiting += [
            self._mlflow.entities.Metric(metric_name(name), value, now, step)
            for name, value in metrics.items()
        ]
        try:
            while self._waiting:
                self._client.log_batch(self._run_id, metrics=self._waiting[:1000])
                del self._waiting[:1000]
        except self._mlflow.MlflowException as error:
            reason = str(error).splitlines()[0]
            print(f"tracking: {len(self._waiting)} numbers wait ({reason})", file=sys.stderr)

    def report_gap(self) -> None:
        """Try once more to send what waits, and say what is lost."""
        if self._waiting:
            self.log_metrics({})
        if self._waiting:
            print(f"tracking: {len(self._waiting)} numbers never arrived", file=sys.stderr)

    def log_data(self, name: str, source: Path, digest: str) -> None:
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.sources import LocalArtifactDatasetSource

        origin = LocalArtifactDatasetSource(str(source))
        dataset = MetaDataset(origin, name=name, digest=digest[:32])
        with self._reported(name):
            self._mlflow.log_input(dataset, context="training")

    def log_files(self, path: Path) -> None:
        with self._reported(path.name):
            if path.is_dir():
                self._mlflow.log_artifacts(str(path), artifact_path=path.name)
            else:
                self._mlflow.log_artifact(str(path))

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """What the server does not take is said, and the stage goes on."""
        try:
            yield
        except self._mlflow.MlflowException as error:
            reason = str(error).splitlines()[0]
            print(f"tracking: {what} was not logged ({reason})", file=sys.stderr)

    def log_scorer(self, path: Path, digest: str, inputs: "Inputs") -> None:
        shape = (inputs.n_bands, inputs.n_frames)
        with self._reported("the scorer"):
            self._mlflow.set_tag(SCORER_TAG, digest)
            if inputs.n_dims:
                self._mlflow.log_artifact(str(path))
                return
            self._mlflow.pyfunc.log_model(
                name="scorer",
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"scorer": str(path)},
                code_paths=[str(Path(__file__).parents[1])],
                signature=_signature(shape),
                input_example=np.zeros((1, 2, *shape), dtype=np.float32),
                pip_requirements=[f"{each}=={version(each)}" for each in SERVING_PACKAGES],
                registered_model_name=MODEL,
            )

    def log_child(self, child: Child) -> str:
        now = int(time.time() * 1000)
        points = [(step, metrics) for step, metrics in child.curve] + [(0, child.metrics)]
        metrics = [
            self._mlflow.entities.Metric(metric_name(name), value, now, step)
            for step, each in points
            for name, value in each.items()
        ]
        params = [
            self._mlflow.entities.Param(name, str(value)[:6000])
            for name, value in flatten(child.params).items()
        ]
        with self._reported(child.name):
            run_id = self._create_child(child)
            self._client.log_batch(run_id, params=params)
            for start in range(0, len(metrics), 1000):
                self._client.log_batch(run_id, metrics=metrics[start : start + 1000])
            self._client.set_terminated(run_id, "FAILED" if child.failed else "FINISHED")
            return run_id
        return ""

    def _create_child(self, child: Child) -> str:
        experiment = self._client.get_run(self._run_id).info.experiment_id
        tags = {**child.tags, "mlflow.parentRunId": self._run_id}
        created = self._client.create_run(experiment, run_name=child.name, tags=tags)
        return str(created.info.run_id)


def _signature(shape: tuple[int, int]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pairs = TensorSpec(np.dtype(np.float32), (-1, 2, *shape))
    scores = TensorSpec(np.dtype(np.float32), (-1,))
    return ModelSignature(inputs=Schema([pairs]), outputs=Schema([scores]))


def metric_name(name: str) -> str:
    """A name that MLflow takes: `ndcg@10` becomes `ndcg_at_10`."""
    return name.replace("@", "_at_")


def flatten(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
