"""A study in our words: draw a trial, report its epochs, end it; found again after any death.

Draws depend on the seed and on how many trials there are, not on when they are made: a search that
was killed goes on as if it had not been. A trial that nobody runs any more is failed as lost, and
the same values wait to be tried again, from the checkpoint if it is still there. Lost trials do not
count. A study belongs to one space, objective, data, params and code.
"""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from twinear.base.errors import TwinearError
from twinear.tuning.heartbeat import Presence
from twinear.tuning.space import Choices, Range, Space, TuningParams
from twinear.tuning.storage import close_storage, lost_storage, open_storage, shown

State = Literal["complete", "pruned", "failed"]
STATES: dict[str, Any] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
DIGITS = 4  # of a number drawn from a range
WORDS = {state: word for word, state in STATES.items()}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial that ended, or one to be run (without state).

    Attributes
    ----------
    values
        By whole name.
    value
        What it is worth: NDCG@10 of validation artists; None where it failed.
    curve
        A mapping for each epoch: part, epoch, train_loss, validation_loss, validation_ndcg.
    run
        The id of its run in MLflow, once logged.
    origin
        The number under which these values were first tried, before a search was killed.
    """

    number: int
    values: dict[str, Any]
    origin: int
    state: str = ""
    value: float | None = None
    reason: str = ""
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    run: str = ""


class Study:
    """A study that this process works on. Use it as a context: what it leaves is put back.

    Parameters
    ----------
    storage
        As `open_storage` takes it.
    name
        The study's name there.
    space
        What is searched.
    params
        How.
    folder
        Where searches of this machine see each other.
    """

    def __init__(
        self, storage: str, name: str, space: Space, params: TuningParams, folder: Path
    ) -> None:
        self.name, self.place = name, storage
        self._space, self._params = space, params
        self._storage = open_storage(storage)
        self._drawn = {each: _distribution(values) for each, values in space.items()}
        self._presence = Presence(folder / "searches")
        self._running: dict[int, tuple[Any, list[dict[str, float]]]] = {}

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with lost_storage(self.place):
                for trial, _curve in self._running.values():
                    self._put_back(trial._trial_id, trial.number, trial.params, trial.user_attrs)
        finally:
            self._presence.close()
            close_storage(self._storage)

    def open(self, binding: Mapping[str, str], defaults: Mapping[str, Any], *, anew: bool) -> None:
        """Find the study, or make it with the defaults as its first trial.

        Parameters
        ----------
        binding
            What the study belongs to: a word -> a text that changes with it.
        defaults
            The values that params.yaml has; tried first if the space holds them.
        anew
            Forget what is there.

        Raises
        ------
        TwinearError
            It belongs to something else, or is in use and to be forgotten.
        """
        with lost_storage(self.place):
            self._open(dict(binding), dict(defaults), anew=anew)

    def _open(self, binding: dict[str, str], defaults: dict[str, Any], *, anew: bool) -> None:
        if anew:
            self._forget()
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=self.name,
            direction="maximize",
            pruner=_pruner(self._params),
            load_if_exists=True,
        )
        self._check(binding)
        self.beat()
        self._put_back_lost()
        fits = all(values.holds(defaults[name]) for name, values in self._space.items())
        if fits and not self._all():
            values = {each: _encoded(defaults[each]) for each in self._space}
            self._study.enqueue_trial(values, user_attrs={"exact": True})

    def _forget(self) -> None:
        if self.name not in optuna.get_all_study_names(self._storage):
            return
        self._study = optuna.load_study(study_name=self.name, storage=self._storage)
        if any(self._is_alive(each) for each in self._all() if each.state == TrialState.RUNNING):
            raise TwinearError(
                f"study '{self.name}'",
                "is being searched by another process",
                remedy="stop that first, or use --study NAME for a new one",
            )
        optuna.delete_study(study_name=self.name, storage=self._storage)

    def _check(self, binding: dict[str, str]) -> None:
        bound = self._study.user_attrs.get("binding")
        if bound is None:
            self._study.set_user_attr("identity", uuid.uuid4().hex)
            self._study.set_user_attr("binding", binding)
            return
        other = [word for word in binding if bound.get(word) != binding[word]]
        if other:
            raise TwinearError(
                f"study '{self.name}' in {shown(self.place)}",
                f"was made with another {', '.join(other)}",
                remedy="use --study NAME for a new one, or --restart to forget what it found",
            )

    def _all(self) -> list[Any]:
        found: list[Any] = self._study.get_trials(deepcopy=False)
        return found

    def beat(self) -> None:
        """Show from time to time that this search is alive."""
        if self._presence.is_due():
            with lost_storage(self.place):
                self._study.set_user_attr(f"alive:{self._presence.id}", time.time())

    def _is_alive(self, trial: Any) -> bool:
        artist_index = trial.user_attrs.get("search", "")
        return self._presence.is_alive(
            artist_index,
            self._study.user_attrs.get(f"alive:{artist_index}", trial.datetime_start.timestamp()),
        )

    def _put_back_lost(self) -> None:
        for each in self._all():
            if each.state == TrialState.RUNNING and not self._is_alive(each):
                self._put_back(each._trial_id, each.number, each.params, each.user_attrs)

    def _put_back(
        self, trial_id: int, number: int, params: dict[str, Any], attrs: dict[str, Any]
    ) -> None:
        """Let the same values wait, then fail the trial: killed in between, neither is lost."""
        waiting = {each.user_attrs.get("again") for each in self._all()}
        complete = set(params) == set(self._space)  # else it died while they were drawn
        if complete and number not in waiting:
            known = {"again": number, "origin": attrs.get("origin", number)}
            exact = {"exact": True} if attrs.get("exact") else {}
            self._study.enqueue_trial(params, user_attrs=known | exact)
        self._storage.set_trial_user_attr(trial_id, "lost", True)
        try:
            self._study.tell(number, state=TrialState.FAIL)
        except ValueError:
            return  # another search was faster

    @property
    def identity(self) -> str:
        """What no other study has, not even one of the same name after a restart."""
        with lost_storage(self.place):
            return str(self._study.user_attrs["identity"])

    @property
    def counted(self) -> int:
        """How many trials ended or run; lost ones do not count."""
        with lost_storage(self.place):
            return self._counted()

    def _counted(self) -> int:
        waits = TrialState.WAITING
        return sum(each.state != waits and "lost" not in each.user_attrs for each in self._all())

    def ask(self) -> Trial:
        """Draw the next trial to run: one that waits, else a new one."""
        with lost_storage(self.place):
            self._put_back_lost()
            self._study.sampler = self._sampler(self._counted())
            trial = self._study.ask(self._drawn)
            trial.set_user_attr("search", self._presence.id)
            self._running[trial.number] = (trial, [])
            origin = trial.user_attrs.get("origin", trial.number)
            return Trial(number=trial.number, values=self._values(trial), origin=origin)

    def _values(self, trial: Any) -> dict[str, Any]:
        exact = trial.user_attrs.get("exact", False)
        drawn = {name: _decoded(value) for name, value in trial.params.items()}
        return drawn if exact else {name: _short(self._space[name], drawn[name]) for name in drawn}

    def _sampler(self, n: int) -> Any:
        seed = int(np.random.SeedSequence([self._params.seed, n]).generate_state(1)[0])
        startup = self._params.startup_trials
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)

    def report(self, number: int, record: dict[str, float], value: float) -> bool:
        """Take what a running trial is worth after one more epoch; whether it should go on."""
        trial, curve = self._running[number]
        curve.append(record)
        with lost_storage(self.place):
            trial.report(value, len(curve))
            return not trial.should_prune()

    def end(
        self, number: int, state: State, *, value: float | None = None, reason: str = ""
    ) -> Trial:
        """End a running trial. A pruned one is worth what was reported last."""
        trial, curve = self._running[number]
        with lost_storage(self.place):
            trial.set_user_attr("curve", json.dumps(curve))
            if reason:
                trial.set_user_attr("reason", reason[:1000])
            self._study.tell(trial, value, state=STATES[state])
            del self._running[number]
            return next(self._said(each) for each in self._all() if each.number == number)

    def logged(self, number: int, run: str) -> None:
        """Remember the run in MLflow of a trial that ended."""
        with lost_storage(self.place):
            # Optuna lets nothing be added to a trial that ended: the study remembers it
            self._study.set_user_attr(f"run:{number}", run)

    @property
    def ended(self) -> list[Trial]:
        """Every trial that ended and counts, in order."""
        with lost_storage(self.place):
            runs = self._study.user_attrs
            return [
                self._said(each, runs.get(f"run:{each.number}", ""))
                for each in self._all()
                if each.state in WORDS and "lost" not in each.user_attrs
            ]

    def _said(self, trial: Any, run: str = "") -> Trial:
        took = trial.datetime_complete - trial.datetime_start
        return Trial(
            number=trial.number,
            values=self._values(trial),
            origin=trial.user_attrs.get("origin", trial.number),
            state=WORDS[trial.state],
            value=trial.value,
            reason=trial.user_attrs.get("reason", ""),
            seconds=took.total_seconds(),
            curve=json.loads(trial.user_attrs.get("curve", "[]")),
            run=run,
        )

    @property
    def inner(self) -> Any:
        """Optuna's own study, for its figures."""
        return self._study


def _distribution(values: Choices | Range) -> Any:
    if isinstance(values, Choices):
        return CategoricalDistribution(tuple(map(_encoded, values.values)))
    kind = IntDistribution if values.whole else FloatDistribution
    return kind(values.low, values.high, log=values.log)


def _encoded(value: Any) -> Any:
    """Optuna takes numbers, words, true, false and null; a list becomes a word."""
    return json.dumps(value) if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


def _short(values: Choices | Range, value: Any) -> Any:
    """A drawn number with as many digits as tell anything, and within its range."""
    if isinstance(values, Choices) or values.whole:
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), values.low), values.high)


def _pruner(params: TuningParams) -> Any:
    if params.pruner == "none":
        return optuna.pruners.NopPruner()
    first = params.warmup_epochs + 1  # Optuna counts steps from 0, we count epochs from 1
    return optuna.pruners.MedianPruner(n_startup_trials=params.startup_trials, n_warmup_steps=first)
