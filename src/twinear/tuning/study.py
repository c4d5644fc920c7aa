"""A study: draw a trial, report its epochs, end it; it survives the death of any search.

Draws depend on the seed and on the number of trials, not on when they are made: a search that was
killed goes on as if it had not been. A running trial whose search is dead is failed as lost, and
the same values are queued again, to go on from the checkpoint if it is still there. Lost trials do
not count. A study belongs to one space, objective, data, params and code.
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from twinear.base.errors import TwinearError
from twinear.tuning.space import Choices, NumberRange, Space, TuningParams
from twinear.tuning.storage import close_storage, lost_storage, open_storage, shown
from twinear.tuning.worker_pool import State

STATES: dict[str, Any] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
STATE_NAMES = {state: name for name, state in STATES.items()}
BEAT_SECONDS = 15.0
SILENT_SECONDS = 90.0  # more than the clocks of two machines differ
DIGITS = 4  # significant ones of a number drawn from a range


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial that ended, or one to be run (without state)."""

    number: int
    values: dict[str, Any]  # by full name
    origin: int  # the number under which these values were first tried, before a search was killed
    state: str = ""
    value: float | None = None  # NDCG@10 of validation artists; None where the trial failed
    reason: str = ""
    seconds: float = 0.0
    # for each epoch: split, epoch, train_loss, validation_loss, validation_ndcg
    curve: list[dict[str, float]] = field(default_factory=list)
    scorers: list[str] = field(default_factory=list)  # SHA-256 of that of each split, if complete
    run: str = ""  # the id of its run in MLflow, once logged


class Heartbeat:
    """The sign of life of a search, and the look at that of others.

    A search holds a lock on a file of its own, which the system releases even after `kill -9`, and
    writes the time into the study every `BEAT_SECONDS`. Searches that share the folder see each
    other's locks. For searches on other machines, which do not, the time counts.
    """

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder
        self._lock = FileLock(folder / f"{self.id}.lock")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self.next_beat = 0.0  # on the monotonic clock

    def close(self) -> None:
        """Remove the lock file and release the lock."""
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def is_alive(self, search: str, beat: float) -> bool:
        """Whether the search with that id, whose last beat was at the time `beat`, still runs."""
        if search == self.id:
            return True
        path = self._folder / f"{search}.lock"
        if not path.exists():  # it runs on another machine, or has ended
            return time.time() < beat + SILENT_SECONDS
        try:
            with FileLock(path, blocking=False):
                path.unlink(missing_ok=True)
        except Timeout:
            return True
        return False


class Study:
    """A study that this process works on. A context: trials that still run at its end are put back.

    `storage` is as `open_storage` takes it; the searches of this machine keep their locks in
    `folder`.
    """

    def __init__(
        self, storage: str, name: str, space: Space, params: TuningParams, folder: Path
    ) -> None:
        self.name, self.place = name, storage
        self._space, self._params = space, params
        self._storage = open_storage(storage)
        self._distributions = {name: _distribution(values) for name, values in space.items()}
        self._heartbeat = Heartbeat(folder / "searches")
        self._running: dict[int, tuple[Any, list[dict[str, float]]]] = {}  # trial and its curve

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with lost_storage(self.place):
                for trial, _curve in self._running.values():
                    self._put_back(trial)
        finally:
            self._heartbeat.close()
            close_storage(self._storage)

    def open(
        self, binding: Mapping[str, str], defaults: Mapping[str, Any], *, restart: bool
    ) -> None:
        """Find the study, or create it with the defaults as its first trial.

        `binding` is what the study belongs to: a word -> a text that changes with it. `defaults`,
        the present values of params.yaml, are tried first if the space holds them. `TwinearError`
        if the study belongs to something else, or is to be deleted while another search runs.
        """
        with lost_storage(self.place):
            if restart and self.name in optuna.get_all_study_names(self._storage):
                self._delete()
            self.optuna_study = optuna.create_study(
                storage=self._storage,
                study_name=self.name,
                direction="maximize",
                pruner=_pruner(self._params),
                load_if_exists=True,
            )
            bound = self.optuna_study.user_attrs.get("binding")
            if bound is None:
                self.optuna_study.set_user_attr("identity", uuid.uuid4().hex)
                self.optuna_study.set_user_attr("binding", dict(binding))
            elif changed := [word for word in binding if bound.get(word) != binding[word]]:
                place = f"study '{self.name}' in {shown(self.place)}"
                found = f"was made with another {', '.join(changed)}"
                remedy = "use --study NAME for a new one, or --restart to delete this one"
                raise TwinearError(place, found, remedy=remedy)
            self.beat()
            self._put_back_lost()
            in_space = all(values.holds(defaults[name]) for name, values in self._space.items())
            if in_space and not self._trials():
                values = {name: _encode(defaults[name]) for name in self._space}
                self.optuna_study.enqueue_trial(values, user_attrs={"exact": True})

    def _delete(self) -> None:
        self.optuna_study = optuna.load_study(study_name=self.name, storage=self._storage)
        running = [trial for trial in self._trials() if trial.state == TrialState.RUNNING]
        if any(map(self._is_alive, running)):
            found = "is being searched by another process"
            remedy = "stop that first, or use --study NAME for a new one"
            raise TwinearError(f"study '{self.name}'", found, remedy=remedy)
        optuna.delete_study(study_name=self.name, storage=self._storage)

    def _trials(self) -> list[Any]:
        trials: list[Any] = self.optuna_study.get_trials(deepcopy=False)
        return trials

    def beat(self) -> None:
        """Write the time from time to time, as a sign that this search is alive."""
        now = time.monotonic()
        if now >= self._heartbeat.next_beat:
            self._heartbeat.next_beat = now + BEAT_SECONDS
            with lost_storage(self.place):
                self.optuna_study.set_user_attr(f"alive:{self._heartbeat.id}", time.time())

    def _is_alive(self, trial: Any) -> bool:
        search = trial.user_attrs.get("search", "")
        started = trial.datetime_start.timestamp()
        beat = self.optuna_study.user_attrs.get(f"alive:{search}", started)
        return self._heartbeat.is_alive(search, beat)

    def _put_back_lost(self) -> None:
        for trial in self._trials():
            if trial.state == TrialState.RUNNING and not self._is_alive(trial):
                self._put_back(trial)

    def _put_back(self, trial: Any) -> None:
        """Queue the same values, then fail the trial: killed in between, neither is lost."""
        queued = {each.user_attrs.get("again") for each in self._trials()}
        is_drawn = set(trial.params) == set(self._space)  # else it died while they were drawn
        if is_drawn and trial.number not in queued:
            attrs = {"again": trial.number, "origin": trial.user_attrs.get("origin", trial.number)}
            if trial.user_attrs.get("exact"):
                attrs["exact"] = True
            self.optuna_study.enqueue_trial(trial.params, user_attrs=attrs)
        self._storage.set_trial_user_attr(trial._trial_id, "lost", True)
        with suppress(ValueError):  # another search has ended it already
            self.optuna_study.tell(trial.number, state=TrialState.FAIL)

    @property
    def identity(self) -> str:
        """A text that no other study has, not even one of the same name after a restart."""
        with lost_storage(self.place):
            return str(self.optuna_study.user_attrs["identity"])

    @property
    def counted(self) -> int:
        """How many trials ended or run; lost ones do not count."""
        with lost_storage(self.place):
            return sum(
                trial.state != TrialState.WAITING and "lost" not in trial.user_attrs
                for trial in self._trials()
            )

    def ask(self) -> Trial:
        """Draw the next trial to run: a queued one, else a new one."""
        with lost_storage(self.place):
            self._put_back_lost()
            # a sampler for each draw: its seed depends on how many trials there are, so that a
            # resumed search draws what the uninterrupted one would have drawn
            seed = np.random.SeedSequence([self._params.seed, self.counted]).generate_state(1)[0]
            self.optuna_study.sampler = optuna.samplers.TPESampler(
                seed=int(seed), n_startup_trials=self._params.startup_trials
            )
            trial = self.optuna_study.ask(self._distributions)
            trial.set_user_attr("search", self._heartbeat.id)
            self._running[trial.number] = (trial, [])
            origin = trial.user_attrs.get("origin", trial.number)
            return Trial(number=trial.number, values=self._values(trial), origin=origin)

    def _values(self, trial: Any) -> dict[str, Any]:
        values = {
            name: json.loads(value) if isinstance(value, str) and value.startswith("[") else value
            for name, value in trial.params.items()
        }
        if trial.user_attrs.get("exact"):  # the defaults keep all digits of params.yaml
            return values
        for name, choices in self._space.items():
            if isinstance(choices, NumberRange) and not choices.is_integer and name in values:
                rounded = float(f"{values[name]:.{DIGITS}g}")
                values[name] = min(max(rounded, choices.low), choices.high)
        return values

    def report(self, number: int, record: dict[str, float], value: float) -> bool:
        """Record an epoch of a running trial and its value so far; return whether to go on."""
        trial, curve = self._running[number]
        curve.append(record)
        with lost_storage(self.place):
            trial.report(value, len(curve))
            return not trial.should_prune()

    def end(
        self,
        number: int,
        state: State,
        *,
        value: float | None = None,
        reason: str = "",
        scorers: Sequence[str] = (),
    ) -> Trial:
        """End a running trial. The value of a pruned one is the last that was reported."""
        trial, curve = self._running[number]
        with lost_storage(self.place):
            trial.set_user_attr("curve", json.dumps(curve))
            trial.set_user_attr("scorers", list(scorers))
            if reason:
                trial.set_user_attr("reason", reason[:1000])
            self.optuna_study.tell(trial, value, state=STATES[state])
            del self._running[number]
            return next(self._read(each) for each in self._trials() if each.number == number)

    def set_run(self, number: int, run: str) -> None:
        """Remember the MLflow run of a trial that ended."""
        with lost_storage(self.place):
            # Optuna refuses attributes for a trial that ended: the study keeps them
            self.optuna_study.set_user_attr(f"run:{number}", run)

    @property
    def ended(self) -> list[Trial]:
        """Every trial that ended and counts, in order."""
        with lost_storage(self.place):
            runs = self.optuna_study.user_attrs
            return [
                self._read(trial, runs.get(f"run:{trial.number}", ""))
                for trial in self._trials()
                if trial.state in STATE_NAMES and "lost" not in trial.user_attrs
            ]

    def _read(self, trial: Any, run: str = "") -> Trial:
        return Trial(
            number=trial.number,
            values=self._values(trial),
            origin=trial.user_attrs.get("origin", trial.number),
            state=STATE_NAMES[trial.state],
            value=trial.value,
            reason=trial.user_attrs.get("reason", ""),
            seconds=(trial.datetime_complete - trial.datetime_start).total_seconds(),
            curve=json.loads(trial.user_attrs.get("curve", "[]")),
            scorers=trial.user_attrs.get("scorers", []),
            run=run,
        )


def _distribution(values: Choices | NumberRange) -> Any:
    if isinstance(values, Choices):
        return CategoricalDistribution(tuple(map(_encode, values.values)))
    kind = IntDistribution if values.is_integer else FloatDistribution
    return kind(values.low, values.high, log=values.log)


def _encode(value: Any) -> Any:
    """Write a list as JSON: Optuna takes numbers, words, true, false and null only."""
    return json.dumps(value) if isinstance(value, list) else value


def _pruner(params: TuningParams) -> Any:
    if params.pruner == "none":
        return optuna.pruners.NopPruner()
    first = params.warmup_epochs + 1  # Optuna counts steps from 0, we count epochs from 1
    return optuna.pruners.MedianPruner(n_startup_trials=params.startup_trials, n_warmup_steps=first)
