"""One MLflow run for a scorer and its params, opened by every stage that logs something.

Tracking that fails stops no stage. It is reported on stderr, and what was not logged waits for
`twinear track`, see `waiting`. Metrics that a server did not take are sent as soon as it is back. A
search and a cross-validation, which report themselves, do not begin without their server.
"""

import base64
import hashlib
import json
import os
import sys
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinear.base.errors import TwinearError
from twinear.tracking.connection import connect, faults, is_off, reason_of, tracking_error
from twinear.tracking.datasets import Context, TrackedData, to_dataset
from twinear.tracking.processes import PROCESS_TAG, mark_killed, process_tag
from twinear.tracking.provenance import (
    COMMIT_TAG,
    DATA_TAG,
    KIND_TAG,
    Kind,
    data_hash,
    description,
    flatten,
    provenance,
)
from twinear.tracking.waiting import TOLD, WaitingFile, waits

if TYPE_CHECKING:
    from twinear.model.inputs import InputSpec

MODEL = "twinear"
PAUSE_SECONDS = 10.0  # before a server that did not answer is tried again; then twice as long
MAX_PAUSE_SECONDS = 600.0
MAX_METRICS = 1000  # that MLflow takes at a time
SCORER_TAG, PARAMS_TAG, EXPERIMENT_TAG = "scorer", "params", "dvc_experiment"
MAX_WHOLE = 50  # hashes that a tag holds at full length
STUDY_TAG = "study"
LOSS = "train_loss"  # the metric of a training curve
NO_SCORER = "none"  # of a run that gave no scorer, or none yet
SERVING_PACKAGES = (
    "av", "mlflow", "numpy", "pandas", "pydantic", "ruamel.yaml", "safetensors", "scipy", "soxr",
    "torch",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ChildRun:
    """A run that has ended: a trial of a study, a fold of a cross-validation."""

    name: str
    kind: Kind
    params: Mapping[str, Any]
    scorers: Sequence[str]  # SHA-256 of the scorers that it gave
    curve: Sequence[tuple[int, Mapping[str, float]]]  # steps and their metrics
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False  # whether MLflow shows it as failed


class Run:
    """A run that logs nothing, which is what tracking that is off gives; others are below."""

    id = ""  # of the run in MLflow

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers; names may hold `@`."""

    def log_data(self, data: TrackedData, context: Context = "training") -> None:
        """Log a dataset as an input of the run, identified by its digest."""

    def log_results(self, metrics: Mapping[str, float], data: TrackedData) -> None:
        """Log the metrics of the run's scorer on a dataset, as those of the model too."""

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artefact of that name."""

    def log_files(self, path: Path, folder: str = "") -> None:
        """Log a file, or all files of a folder, as artefacts, in `folder` where one is named."""

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Log a scorer that takes such inputs as a model; tag the run with it."""

    def tag_scorers(self, scorers: Sequence[str]) -> None:
        """Tag the run with the SHA-256 of its scorers, which are not logged."""

    def log_child(self, child: ChildRun) -> str:
        """Log a run that has ended under this one; return its id, empty where it was not logged."""
        return ""

    def end(self, status: str) -> None:
        """End the run as `FINISHED` or `FAILED`."""


@contextmanager
def open_run(
    params: Mapping[str, Any],
    scorer: str = "",
    kind: Kind = "pipeline",
    *,
    interrupted: bool = False,
) -> Iterator[Run]:
    """Open the run of some params, sections of `params.yaml`, for one stage.

    `scorer` is the SHA-256 of the scorer's file: the latest run of that scorer and of equal params
    is opened again, or a new one started. Empty: a new run; or, if the work goes on where it was
    `interrupted`, the latest run of equal params and data that was killed or failed before it had a
    scorer. A new run is tagged with `kind`. If tracking fails, this is reported, and the calls wait
    for `twinear track`; so do those of later stages of a run that waits.
    """
    text = json.dumps(params, sort_keys=True, default=str)
    tags = {PARAMS_TAG: hashlib.sha256(text.encode()).hexdigest(), SCORER_TAG: scorer or NO_SCORER}
    name = os.environ.get("DVC_EXP_NAME", "")
    if name:
        tags[EXPERIMENT_TAG] = name
    query = " and ".join(f"tags.{tag} = '{tags[tag]}'" for tag in (SCORER_TAG, PARAMS_TAG))
    if interrupted and not scorer:
        query += f" and tags.{DATA_TAG} = '{data_hash()}' and attributes.status != 'FINISHED'"
        query += " and attributes.status != 'RUNNING'"
    name = name or f"{kind}-{tags[PARAMS_TAG][:8]}"
    resume = query if scorer or interrupted else ""
    try:
        if scorer and not is_off() and waits(scorer):
            raise TwinearError("earlier stages", "wait")
        run = start_run(kind, name, params, tags, resume=resume)
    except TwinearError as error:
        print(f"tracking: this stage is not logged ({error}); {TOLD}", file=sys.stderr)
        origin = {**provenance(kind), **description(kind, flatten(params))}
        about = {"kind": kind, "name": name, "params": params, "tags": tags, "resume": resume}
        run = WaitingRun(WaitingFile({**about, "origin": origin}))
    with ending(run):
        yield run


def open_study(name: str, params: Mapping[str, Any], identity: str) -> AbstractContextManager[Run]:
    """Open the run of a study: the latest one of equal identity, or a new one.

    `params`, the section `tuning`, is logged when the run is new; errors as of `start_run`.
    """
    sections = {"tuning": params}
    query = f"tags.{STUDY_TAG} = '{identity}' and tags.{KIND_TAG} = 'tuning'"
    tags = {STUDY_TAG: identity, SCORER_TAG: NO_SCORER}
    return ending(start_run("tuning", f"tuning-{name}", sections, tags, resume=query))


def open_folds(name: str, params: Mapping[str, Any]) -> AbstractContextManager[Run]:
    """Open the parent run of a cross-validation; `log_child` logs the run of a fold."""
    return ending(start_run("crossval", name, params, {SCORER_TAG: NO_SCORER}))


def start_run(
    kind: Kind,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    *,
    resume: str = "",
    origin: Mapping[str, str] | None = None,
) -> Run:
    """Open the latest run that the MLflow filter `resume` finds, or start a new one.

    `origin` are its provenance and description, if they are not those of this moment. Runs whose
    process was killed are ended first, as `KILLED`. `TwinearError` if tracking fails.
    """
    if is_off():
        return Run()
    mlflow = connect()
    parent = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`, whose child ours is
    process = {PROCESS_TAG: process_tag()}
    try:
        mark_killed(mlflow)
        if resume:
            runs = mlflow.search_runs(filter_string=resume, max_results=1, output_format="list")
            if runs:
                run = MlflowRun(mlflow, mlflow.start_run(run_id=runs[0].info.run_id))
                mlflow.set_tags(process)
                run.read_curve()
                return run
        flat = flatten(params)
        # MLflow shows tags in this order
        origin = origin or {**description(kind, flat), **provenance(kind)}
        tags = {KIND_TAG: kind, **origin, **tags, **process}
        started = mlflow.start_run(run_name=name, parent_run_id=parent, tags=tags)
        mlflow.log_params(flat)
    except faults() as error:
        mlflow.end_run()  # of this process, whether or not the server hears of it
        raise tracking_error(mlflow.get_tracking_uri(), error) from error
    return MlflowRun(mlflow, started)


def reopen_run(about: Mapping[str, Any]) -> Run:
    """Open the run that a `WaitingFile` is about; errors as of `start_run`."""
    if "run_id" not in about:
        return start_run(**about)
    mlflow = connect()
    try:
        return MlflowRun(mlflow, mlflow.start_run(run_id=about["run_id"]))
    except faults() as error:
        raise tracking_error(mlflow.get_tracking_uri(), error) from error


@contextmanager
def ending(run: Run) -> Iterator[Run]:
    """End a run at the end of the block, as failed if an exception was raised."""
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    finally:
        run.end(status)


class WaitingRun(Run):
    """A run that is written to a file, because tracking failed."""

    def __init__(self, file: WaitingFile) -> None:
        self._file = file

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Note numbers."""
        self._file.note("log_metrics", {"metrics": dict(metrics), "step": step})

    def log_data(self, data: TrackedData, context: Context = "training") -> None:
        """Note a dataset."""
        self._file.note("log_data", {"data": asdict(data), "context": context})

    def log_results(self, metrics: Mapping[str, float], data: TrackedData) -> None:
        """Note results."""
        self._file.note("log_results", {"metrics": dict(metrics), "data": asdict(data)})

    def log_text(self, text: str, name: str) -> None:
        """Note a text."""
        self._file.note("log_text", {"text": text, "name": name})

    def log_files(self, path: Path, folder: str = "") -> None:
        """Note a file or a folder."""
        self._file.note("log_files", {"path": path.resolve(), "folder": folder})

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Note a scorer; its inputs are in its file."""
        self._file.note("log_scorer", {"path": path.resolve(), "digest": digest})

    def tag_scorers(self, scorers: Sequence[str]) -> None:
        """Note hashes."""
        self._file.note("tag_scorers", {"scorers": list(scorers)})

    def log_child(self, child: ChildRun) -> str:
        """Note a run that has ended."""
        self._file.note("log_child", {"child": asdict(child)})
        return ""

    @property
    def waits(self) -> bool:
        """Whether anything was noted."""
        return self._file.exists

    def note_metrics(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Note numbers with their times."""
        self._file.note("log_waiting", {"metrics": metrics})

    def end(self, status: str) -> None:
        """Note the end."""
        self._file.note("end", {"status": status})


class MlflowRun(Run):
    """An active run in MLflow."""

    def __init__(self, mlflow: Any, active_run: Any) -> None:
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient()
        self._info = active_run.info
        self.id = str(self._info.run_id)
        outputs = getattr(active_run.outputs, "model_outputs", None) or []
        self._model = outputs[-1].model_id if outputs else None
        self._logged: dict[int, float] = {}  # the training loss of epochs logged by a start before
        self._waiting: list[Any] = []  # metrics that the server has not taken yet
        self._next_attempt, self._pause = 0.0, PAUSE_SECONDS
        self._missed = WaitingRun(WaitingFile({"run_id": self._info.run_id}))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers, or keep them until the server is back.

        A training that is resumed reports the epochs before again: they are in the run already.
        """
        if step not in self._logged or metrics.get(LOSS) != self._logged[step]:
            self._log(metrics, step)

    def read_curve(self) -> None:
        """Read which epochs an earlier start has logged."""
        history = self._client.get_metric_history(self._info.run_id, LOSS)
        self._logged = {point.step: point.value for point in history}

    def _log(
        self, metrics: Mapping[str, float], step: int, linked: Mapping[str, Any] | None = None
    ) -> None:
        self._waiting += self._as_metrics(metrics, step, linked)
        if time.monotonic() >= self._next_attempt:
            self._send()

    def _as_metrics(
        self, metrics: Mapping[str, float], step: int, linked: Mapping[str, Any] | None = None
    ) -> list[Any]:
        now, metric = int(time.time() * 1000), self._mlflow.entities.Metric
        return [
            metric(metric_name(name), value, now, step, **(linked or {}))
            for name, value in metrics.items()
        ]

    def _send(self) -> None:
        try:
            while self._waiting:
                self._client.log_batch(self._info.run_id, metrics=self._waiting[:MAX_METRICS])
                del self._waiting[:MAX_METRICS]
            self._pause = PAUSE_SECONDS
        except faults() as error:
            self._next_attempt = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)  # a locked database takes time
            found = f"{len(self._waiting)} numbers wait ({reason_of(error)})"
            print(f"tracking: {found}", file=sys.stderr)

    def log_waiting(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Log numbers that `end` noted, with their times and links."""
        self._waiting += [self._mlflow.entities.Metric(**each) for each in metrics]
        self._send()

    def end(self, status: str) -> None:
        """Send the waiting metrics once more, report those that still wait, and end the run."""
        if self._waiting:
            self._send()
        if self._waiting:
            print(f"tracking: {len(self._waiting)} numbers never arrived; {TOLD}", file=sys.stderr)
            self._missed.note_metrics([metric_fields(each) for each in self._waiting])
        with self._reporting("the end of the run", partial(self._missed.end, status)):
            self._mlflow.end_run(status)
        if self._missed.waits:
            self._missed.end(status)

    def log_data(self, data: TrackedData, context: Context = "training") -> None:
        """Log a dataset as an input."""
        with self._reporting(data.name, partial(self._missed.log_data, data, context)):
            self._mlflow.log_input(to_dataset(data), context=context)

    def log_results(self, metrics: Mapping[str, float], data: TrackedData) -> None:
        """Log metrics, linked to the dataset and to the scorer as a model of MLflow."""
        self.log_data(data, "testing")
        linked = {
            "model_id": self._model,
            "dataset_name": data.name,
            "dataset_digest": data.short_digest,
            "run_id": self._info.run_id,
        }
        self._log(metrics, 0, linked)

    def log_text(self, text: str, name: str) -> None:
        """Log a text."""
        with self._reporting(name, partial(self._missed.log_text, text, name)):
            self._client.log_text(self._info.run_id, text, name)

    def log_files(self, path: Path, folder: str = "") -> None:
        """Log a file, or all files of a folder."""
        with self._reporting(path.name, partial(self._missed.log_files, path, folder)):
            if path.is_dir():
                place = f"{folder}/{path.name}" if folder else path.name
                self._mlflow.log_artifacts(str(path), artifact_path=place)
            else:
                self._mlflow.log_artifact(str(path), artifact_path=folder or None)

    @contextmanager
    def _reporting(self, item: str, note: Callable[[], object]) -> Iterator[None]:
        """Report on stderr what the server does not take, note it, and go on."""
        try:
            yield
        except FileNotFoundError as error:  # trying again would not help
            print(f"tracking: {item} was not logged ({error})", file=sys.stderr)
        except faults() as error:
            reason = f"({reason_of(error)}); {TOLD}"
            print(f"tracking: {item} was not logged {reason}", file=sys.stderr)
            note()

    def log_scorer(self, path: Path, digest: str, inputs: "InputSpec") -> None:
        """Log a scorer as a model."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec
        from mlflow.types.schema import AnyType

        pair = Schema([ColSpec(AnyType()), ColSpec(AnyType())])  # see `served_clips`
        scores = Schema([TensorSpec(np.dtype(np.float32), (-1,))])
        note = partial(self._missed.log_scorer, path, digest, inputs)
        with self._reporting("the scorer", note):
            self._mlflow.set_tag(SCORER_TAG, digest)
            tags = self._client.get_run(self._info.run_id).data.tags
            logged = self._mlflow.pyfunc.log_model(
                name="scorer",
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"scorer": str(path)},
                code_paths=[str(Path(__file__).parents[1])],
                signature=ModelSignature(inputs=pair, outputs=scores),
                input_example=[[_example_clip(), _example_clip()]],
                metadata={"inputs": asdict(inputs)},
                pip_requirements=[f"{name}=={version(name)}" for name in SERVING_PACKAGES],
                tags={name: tags[name] for name in (SCORER_TAG, COMMIT_TAG, DATA_TAG)},
            )
            self._model = logged.model_id

    def tag_scorers(self, scorers: Sequence[str]) -> None:
        """Tag the run."""
        note = partial(self._missed.tag_scorers, scorers)
        with self._reporting("the hash of the scorers", note):
            self._mlflow.set_tag(SCORER_TAG, join_scorers(scorers))

    def log_child(self, child: ChildRun) -> str:
        """Log a run that has ended under this one."""
        metrics = []
        for step, values in [*child.curve, (0, child.metrics)]:
            metrics += self._as_metrics(values, step)
        params = [
            self._mlflow.entities.Param(name, str(value)[:6000])  # as long as MLflow takes
            for name, value in flatten(child.params).items()
        ]
        with self._reporting(child.name, partial(self._missed.log_child, child)):
            tags = {
                KIND_TAG: child.kind,
                **description(child.kind, flatten(child.params)),
                **provenance(child.kind),
                SCORER_TAG: join_scorers(child.scorers),
                **child.tags,
                "mlflow.parentRunId": self._info.run_id,
            }
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

    MLflow sorts by name, so the ends of an interval are called such that value, lower and upper
    end come in this order.

    Examples
    --------
    >>> metric_name("ndcg@10"), metric_name("ndcg@10_low"), metric_name("ndcg@10_high")
    ('ndcg_at_10', 'ndcg_at_10_lower', 'ndcg_at_10_upper')
    """
    for end, sorted_end in (("_low", "_lower"), ("_high", "_upper")):
        if name.endswith(end):
            name = name.removesuffix(end) + sorted_end
    return name.replace("@", "_at_")


def metric_fields(metric: Any) -> dict[str, Any]:
    """Give the fields of a metric of MLflow's as plain values; NaN stays NaN."""
    links = ("model_id", "dataset_name", "dataset_digest", "run_id")
    fields = {name: getattr(metric, name) for name in ("key", "value", "timestamp", "step", *links)}
    return {name: value for name, value in fields.items() if value is not None}


def join_scorers(scorers: Sequence[str]) -> str:
    """Write the tag of a run that gave several scorers, or none; MLflow limits its length."""
    letters = 64 if len(scorers) <= MAX_WHOLE else 12
    return ",".join(scorer[:letters] for scorer in scorers) or NO_SCORER
