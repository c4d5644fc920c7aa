"""One MLflow run for a scorer and its params, opened by every stage that logs something.

A server that cannot be reached when a run begins is an error. One that dies later stops no stage:
metrics that it did not take are kept and sent when it is back, and what never arrived is reported
on stderr. Later stages of the run then go on without it.
"""

import base64
import hashlib
import json
import os
import sys
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinear.base.errors import TwinearError
from twinear.tracking.connection import connect, is_off, tracking_error
from twinear.tracking.provenance import KIND_TAG, describe, provenance

if TYPE_CHECKING:
    from twinear.model.inputs import InputSpec

MODEL = "twinear"
PAUSE_SECONDS = 10  # before a server that did not answer is tried again
MAX_METRICS = 1000  # that MLflow takes at a time
SCORER_TAG, PARAMS_TAG, EXPERIMENT_TAG = "scorer", "params", "dvc_experiment"
STUDY_TAG = "study"
SERVING_PACKAGES = (
    "av", "mlflow", "numpy", "pandas", "pydantic", "ruamel.yaml", "safetensors", "scipy", "soxr",
    "torch",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ChildRun:
    """A run that has ended: a trial of a study."""

    name: str
    params: Mapping[str, Any]
    curve: Sequence[tuple[int, Mapping[str, float]]]  # steps and their metrics
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    failed: bool  # whether MLflow shows it as failed


class Run:
    """A run that logs nothing, which is what tracking that is off gives; MLflow's is below."""

    id = ""  # of the run in MLflow

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers; names may hold `@`."""

    def log_data(self, name: str, source: Path, digest: str) -> None:
        """Log a dataset as an input of the run, identified by its digest."""

    def log_files(self, path: Path) -> None:
        """Log a file, or all files of a folder, as artefacts."""

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Log and register a scorer that takes such inputs; tag the run with it."""

    def child(self, name: str) -> AbstractContextManager["Run"]:
        """Open a run under this one."""
        return nullcontext(Run())

    def log_child(self, child: ChildRun) -> str:
        """Log a run that has ended under this one; return its id, empty where it was not logged."""
        return ""

    def end(self, status: str) -> None:
        """End the run as `FINISHED` or `FAILED`."""


@contextmanager
def open_run(params: Mapping[str, Any], scorer: str = "", kind: str = "pipeline") -> Iterator[Run]:
    """Open the run of some params, every section of `params.yaml`, for one stage.

    `scorer` is the SHA-256 of the scorer's file: the latest run of that scorer and of equal params
    is opened again, or a new one started. Empty: a new run. A new run is tagged with `kind`.
    `TwinearError` if the server cannot be reached and the run is new; else the stage is not logged.
    """
    text = json.dumps(params, sort_keys=True, default=str)
    tags = {PARAMS_TAG: hashlib.sha256(text.encode()).hexdigest(), SCORER_TAG: scorer}
    name = os.environ.get("DVC_EXP_NAME", "")
    if name:
        tags[EXPERIMENT_TAG] = name
    query = " and ".join(f"tags.{tag} = '{tags[tag]}'" for tag in (SCORER_TAG, PARAMS_TAG))
    try:
        name = name or f"{kind}-{tags[PARAMS_TAG][:8]}"
        run = start_run(kind, name, params, tags, resume=query if scorer else "")
    except TwinearError as error:
        if not scorer:
            raise
        print(f"tracking: this stage is not logged ({error})", file=sys.stderr)
        run = Run()
    with ending(run):
        yield run


def open_study(name: str, params: Mapping[str, Any], identity: str) -> AbstractContextManager[Run]:
    """Open the run of a study: the latest one of equal identity, or a new one.

    `params`, the section `tuning`, is logged when the run is new; errors as of `start_run`.
    """
    query = f"tags.{STUDY_TAG} = '{identity}' and tags.{KIND_TAG} = 'tuning'"
    tags = {STUDY_TAG: identity}
    return ending(start_run("tuning", f"tuning-{name}", params, tags, resume=query))


def open_folds(name: str, params: Mapping[str, Any]) -> AbstractContextManager[Run]:
    """Open the parent run of a cross-validation; `child` opens the run of a fold."""
    return ending(start_run("crossval", name, params, {}))


def start_run(
    kind: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], *, resume: str = ""
) -> Run:
    """Open the latest run that the MLflow filter `resume` finds, or start a new one.

    `TwinearError` if the tracking server cannot be reached.
    """
    if is_off():
        return Run()
    mlflow = connect()
    parent = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`, whose child ours is
    try:
        if resume:
            runs = mlflow.search_runs(filter_string=resume, max_results=1, output_format="list")
            if runs:
                return MlflowRun(mlflow, mlflow.start_run(run_id=runs[0].info.run_id))
        tags = {**tags, **provenance(kind)}
        started = mlflow.start_run(
            run_name=name, parent_run_id=parent, tags=tags, description=describe(tags)
        )
        mlflow.log_params(flatten(params))
    except mlflow.MlflowException as error:
        raise tracking_error(mlflow.get_tracking_uri(), error) from error
    return MlflowRun(mlflow, started)


@contextmanager
def ending(run: Run) -> Iterator[Run]:
    """End a run at the end of the block, as failed if an exception was raised."""
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    finally:
        run.end(status)


class MlflowRun(Run):
    """An active run in MLflow."""

    def __init__(self, mlflow: Any, active_run: Any) -> None:
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient()
        self._info = active_run.info
        self.id = str(self._info.run_id)
        self._kind = active_run.data.tags.get(KIND_TAG, "")
        self._waiting: list[Any] = []  # metrics that the server has not taken yet
        self._next_attempt = 0.0

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers, or keep them until the server is back."""
        self._waiting += self._as_metrics(metrics, step)
        if time.monotonic() >= self._next_attempt:
            self._send()

    def _as_metrics(self, metrics: Mapping[str, float], step: int) -> list[Any]:
        now, metric = int(time.time() * 1000), self._mlflow.entities.Metric
        return [metric(metric_name(name), value, now, step) for name, value in metrics.items()]

    def _send(self) -> None:
        try:
            while self._waiting:
                self._client.log_batch(self._info.run_id, metrics=self._waiting[:MAX_METRICS])
                del self._waiting[:MAX_METRICS]
        except (self._mlflow.MlflowException, OSError) as error:
            self._next_attempt = time.monotonic() + PAUSE_SECONDS
            reason = str(error).splitlines()[0][:200]
            print(f"tracking: {len(self._waiting)} numbers wait ({reason})", file=sys.stderr)

    def end(self, status: str) -> None:
        """Send the waiting metrics once more, report lost ones, and end the run."""
        if self._waiting:
            self._send()
        if self._waiting:
            print(f"tracking: {len(self._waiting)} numbers never arrived", file=sys.stderr)
        with self._reporting("the end of the run"):
            self._mlflow.end_run(status)

    def log_data(self, name: str, source: Path, digest: str) -> None:
        """Log a dataset as an input."""
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.sources import LocalArtifactDatasetSource

        origin = LocalArtifactDatasetSource(str(source))
        with self._reporting(name):
            dataset = MetaDataset(origin, name=name, digest=digest[:32])
            self._mlflow.log_input(dataset, context="training")

    def log_files(self, path: Path) -> None:
        """Log a file, or all files of a folder."""
        with self._reporting(path.name):
            if path.is_dir():
                self._mlflow.log_artifacts(str(path), artifact_path=path.name)
            else:
                self._mlflow.log_artifact(str(path))

    @contextmanager
    def _reporting(self, item: str) -> Iterator[None]:
        """Report on stderr what the server does not take, and go on."""
        try:
            yield
        except (self._mlflow.MlflowException, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            print(f"tracking: {item} was not logged ({reason})", file=sys.stderr)

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Log and register a scorer."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec
        from mlflow.types.schema import AnyType

        pair = Schema([ColSpec(AnyType()), ColSpec(AnyType())])  # see `served_clips`
        scores = Schema([TensorSpec(np.dtype(np.float32), (-1,))])
        with self._reporting("the scorer"):
            self._mlflow.set_tag(SCORER_TAG, digest)
            logged = self._mlflow.pyfunc.log_model(
                name="scorer",
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"scorer": str(path)},
                code_paths=[str(Path(__file__).parents[1])],
                signature=ModelSignature(inputs=pair, outputs=scores),
                input_example=[[_example_clip(), _example_clip()]],
                metadata={"inputs": asdict(inputs)},
                pip_requirements=[f"{name}=={version(name)}" for name in SERVING_PACKAGES],
                registered_model_name=MODEL,
            )
            number = str(logged.registered_model_version)
            self._client.set_model_version_tag(MODEL, number, SCORER_TAG, digest)

    @contextmanager
    def child(self, name: str) -> Iterator[Run]:
        """Open a run under this one."""
        started = self._mlflow.start_run(run_name=name, nested=True, tags=provenance(self._kind))
        with ending(MlflowRun(self._mlflow, started)) as run:
            yield run

    def log_child(self, child: ChildRun) -> str:
        """Log a run that has ended under this one."""
        metrics = []
        for step, values in [*child.curve, (0, child.metrics)]:
            metrics += self._as_metrics(values, step)
        params = [
            self._mlflow.entities.Param(name, str(value)[:6000])  # as long as MLflow takes
            for name, value in flatten(child.params).items()
        ]
        with self._reporting(child.name):
            tags = {**child.tags, "mlflow.parentRunId": self._info.run_id}
            experiment = self._info.experiment_id
            created = self._client.create_run(experiment, run_name=child.name, tags=tags)
            run_id = str(created.info.run_id)
            self._client.log_batch(run_id, params=params)
            for start in range(0, len(metrics), MAX_METRICS):
                self._client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS])
            self._client.set_terminated(run_id, "FAILED" if child.failed else "FINISHED")
            return run_id
        return ""


def _example_clip() -> str:
    """Make a tenth of a second of a tone: a WAV file in base64."""
    tone = np.sin(2 * np.pi * 440 * np.arange(800) / 8000)
    file = BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setparams((1, 1, 8000, len(tone), "NONE", ""))  # one channel of 8 bits
        audio.writeframes((128 + 100 * tone).astype(np.uint8).tobytes())
    return base64.b64encode(file.getvalue()).decode("ascii")


def metric_name(name: str) -> str:
    """Write a metric's name with the characters that MLflow takes.

    Examples
    --------
    >>> metric_name("ndcg@10")
    'ndcg_at_10'
    """
    return name.replace("@", "_at_")


def flatten(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to one level, keys joined by dots.

    Examples
    --------
    >>> flatten({"training": {"model": {"channels": 32}, "seed": 1}})
    {'training.model.channels': 32, 'training.seed': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
