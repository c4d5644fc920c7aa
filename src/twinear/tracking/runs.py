"""One MLflow run for a scorer and its params, opened by every stage that has something to say.

A server that cannot be reached when a run begins is an error. One that dies later stops no stage:
metrics that it did not take are kept and sent when it is back, and what never arrived is said on
stderr. Later stages of the run then go on without it.
"""

import hashlib
import json
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

from twinear.base.errors import TwinearError
from twinear.tracking.connection import connect, is_off, unreachable
from twinear.tracking.provenance import describe, provenance

if TYPE_CHECKING:
    from twinear.model.inputs import InputSpec

MODEL = "twinear"
PAUSE_SECONDS = 10  # before a server that did not answer is asked again
SCORER_TAG, PARAMS_TAG, EXPERIMENT_TAG = "scorer", "params", "dvc_experiment"
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

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
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

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Do nothing."""

    def log_child(self, child: Child) -> str:
        """Do nothing."""
        return ""


@contextmanager
def open_run(params: Mapping[str, Any], scorer: str = "", kind: str = "pipeline") -> Iterator[Run]:
    """Open the run of some params for one stage.

    Parameters
    ----------
    params
        Every section of `params.yaml`; logged when the run is new.
    scorer
        The SHA-256 of the scorer's file: the latest run of that scorer and of equal params is
        opened again, or a new one made. Empty: a new run.
    kind
        What a new run is tagged as.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached and the run is new; else the stage is not logged.
    """
    if is_off():
        yield NoRun()
        return
    try:
        run: Run = _started(params, scorer, kind)
    except TwinearError as error:
        if not scorer:
            raise
        print(f"tracking: this stage is not logged ({error})", file=sys.stderr)
        run = NoRun()
    with ended(run):
        yield run


@contextmanager
def ended(run: Run) -> Iterator[None]:
    """Close a run: failed if something was raised."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        if isinstance(run, MlflowRun):
            run.end(status)


def _started(params: Mapping[str, Any], scorer: str, kind: str) -> "MlflowRun":
    mlflow = connect()
    tags = _tags(params, scorer)
    parent = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`: ours is its child
    try:
        if found := _find(mlflow, tags) if scorer else None:
            return MlflowRun(mlflow, mlflow.start_run(run_id=found).info.run_id)
        name = tags.get(EXPERIMENT_TAG) or f"{kind}-{tags[PARAMS_TAG][:8]}"
        tags |= provenance(kind)
        started = mlflow.start_run(
            run_name=name, parent_run_id=parent, tags=tags, description=describe(tags)
        )
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise unreachable(mlflow.get_tracking_uri(), error) from error
    return MlflowRun(mlflow, started.info.run_id)


def _find(mlflow: Any, tags: Mapping[str, str]) -> str | None:
    query = " and ".join(f"tags.{name} = '{tags[name]}'" for name in (SCORER_TAG, PARAMS_TAG))
    runs = mlflow.search_runs(filter_string=query, max_results=1, output_format="list")
    return str(runs[0].info.run_id) if runs else None


def _tags(params: Mapping[str, Any], scorer: str) -> dict[str, str]:
    text = json.dumps(params, sort_keys=True, default=str)
    tags = {PARAMS_TAG: hashlib.sha256(text.encode()).hexdigest(), SCORER_TAG: scorer}
    experiment = os.environ.get("DVC_EXP_NAME")
    return tags | ({EXPERIMENT_TAG: experiment} if experiment else {})


class MlflowRun:
    """A run in MLflow, under way."""

    def __init__(self, mlflow: Any, run_id: str) -> None:
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient()
        self._run_id = run_id
        self._waiting: list[Any] = []
        self._ask_again = 0.0

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers, or keep them until the server is back."""
        now = int(time.time() * 1000)
        self._waiting += [
            self._mlflow.entities.Metric(metric_name(name), value, now, step)
            for name, value in metrics.items()
        ]
        if time.monotonic() >= self._ask_again:
            self._send()

    def _send(self) -> None:
        try:
            while self._waiting:
                self._client.log_batch(self._run_id, metrics=self._waiting[:1000])
                del self._waiting[:1000]
        except (self._mlflow.MlflowException, OSError) as error:
            self._ask_again = time.monotonic() + PAUSE_SECONDS
            reason = str(error).splitlines()[0][:200]
            print(f"tracking: {len(self._waiting)} numbers wait ({reason})", file=sys.stderr)

    def end(self, status: str) -> None:
        """Try once more to send what waits, say what is lost, and close the run."""
        if self._waiting:
            self._send()
        if self._waiting:
            print(f"tracking: {len(self._waiting)} numbers never arrived", file=sys.stderr)
        with self._reported("the end of the run"):
            self._mlflow.end_run(status)

    def log_data(self, name: str, source: Path, digest: str) -> None:
        """Log a dataset as an input."""
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.sources import LocalArtifactDatasetSource

        origin = LocalArtifactDatasetSource(str(source))
        dataset = MetaDataset(origin, name=name, digest=digest[:32])
        with self._reported(name):
            self._mlflow.log_input(dataset, context="training")

    def log_files(self, path: Path) -> None:
        """Log a file, or all files of a folder."""
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
        except (self._mlflow.MlflowException, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            print(f"tracking: {what} was not logged ({reason})", file=sys.stderr)

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Log and register a scorer."""
        shape = inputs.shape
        with self._reported("the scorer"):
            self._mlflow.set_tag(SCORER_TAG, digest)
            if inputs.n_joined:
                self._mlflow.log_artifact(str(path))
                return
            logged = self._mlflow.pyfunc.log_model(
                name="scorer",
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"scorer": str(path)},
                code_paths=[str(Path(__file__).parents[1])],
                signature=_signature(shape),
                input_example=np.zeros((1, 2, *shape), dtype=np.float32),
                pip_requirements=[f"{each}=={version(each)}" for each in SERVING_PACKAGES],
                registered_model_name=MODEL,
            )
            number = str(logged.registered_model_version)
            self._client.set_model_version_tag(MODEL, number, SCORER_TAG, digest)

    def log_child(self, child: Child) -> str:
        """Log a run below this one."""
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
