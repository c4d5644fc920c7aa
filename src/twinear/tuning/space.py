"""The search space: full names of params, each with choices or a range.

Every value that a trial can get is checked against the class of its section before any trial runs.
A list in params.yaml stands for choices, `{low, high, log}` for a range: of integers where the
param is one, else of floats. Nothing here knows how values are drawn.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from twinear.base.errors import ParamsError
from twinear.base.params import SECTIONS, Params, parse_params

SECTION = "training"  # the earlier stages are not run by a trial
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class TuningParams(Params):
    """The search space, the objective, and the limits of a search."""

    space: dict[str, Any]
    objective: Literal["validation", "folds"]
    trials: int = Field(gt=0)
    minutes: float = Field(gt=0)
    workers: int = Field(gt=0)
    seed: Seed
    startup_trials: int = Field(ge=1)
    pruner: Literal["median", "none"]
    warmup_epochs: int = Field(ge=0)
    confirm_seeds: tuple[Seed, ...]

    @model_validator(mode="after")
    def _distinct_seeds(self) -> "TuningParams":
        if len(set(self.confirm_seeds)) < len(self.confirm_seeds):
            raise ValueError("each of confirm_seeds once")
        return self


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Some values to choose from: numbers, words, true, false, null, or lists of them."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether a trial can get this value."""
        return value in self.values


class NumberRange(Params):
    """Numbers from `low` to `high`, both included; integers where both are `int`."""

    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _ordered(self) -> "NumberRange":
        if self.low > self.high:
            raise ValueError(f"low up to high, not {self.low:g} down to {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a low above 0 where log is true, not {self.low:g}")
        return self

    @property
    def is_integer(self) -> bool:
        """Whether only integers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        """Whether a trial can get this value.

        Examples
        --------
        >>> epochs = NumberRange(low=5, high=50, log=False)
        >>> epochs.holds(50), epochs.holds(5.5), epochs.holds(True)
        (True, False, False)
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.is_integer or value == int(value))


Space = dict[str, Choices | NumberRange]  # by full name: training.model.conv_depth


def read_space(
    space: Mapping[str, Any], training: Mapping[str, Any], kind: type[Params], path: Path
) -> Space:
    """Check a search space.

    `space` maps names, full or relative to `training`, to a list or to `{low, high, log}`.
    `training` and `kind` are the section with its present values, and its class. `ParamsError` for
    no name, an unknown or repeated name, an empty range, a value that the section refuses.
    """
    if not space:
        expected = "names of params with choices or a range"
        raise ParamsError(f"{path}: tuning.space", "is empty", expected=expected)
    checked: Space = {}
    for name, written in space.items():
        place = f"{path}: tuning.space.{name}"
        first = name.split(".")[0]
        if first in SECTIONS and first != SECTION:
            found = f"is not a param of {SECTION}, the only stage that a trial runs"
            remedy = f"name a param of {SECTION}, or change it and run 'dvc repro' for each value"
            raise ParamsError(place, found, remedy=remedy)
        full_name = name if first == SECTION else f"{SECTION}.{name}"
        if full_name == f"{SECTION}.seed":
            raise ParamsError(place, "is luck, not a choice", remedy="take it out of the space")
        if full_name in checked:
            raise ParamsError(place, "is there twice", remedy="keep one")
        values = _read_values(name, written, path)
        to_check = values.values if isinstance(values, Choices) else (values.low, values.high)
        for value in to_check:
            section = changed(training, {full_name: value})
            parse_params(f"tuning.space.{SECTION}", kind, section, path)
        if isinstance(values, NumberRange):
            annotation: Any = kind
            for key in full_name.split(".")[1:]:
                annotation = annotation.model_fields[key].annotation
            if annotation is float:  # {low: 0, high: 1} then means every number between
                values = NumberRange(low=float(values.low), high=float(values.high), log=values.log)
        checked[full_name] = values
    return checked


def _read_values(name: str, written: Any, path: Path) -> Choices | NumberRange:
    if isinstance(written, dict):
        return parse_params(f"tuning.space.{name}", NumberRange, written, path)
    place, found = f"{path}: tuning.space.{name}", f"found {written!r}"
    if not isinstance(written, list):
        raise ParamsError(place, found, expected="a list of choices or {low: …, high: …, log: …}")
    if not written:
        raise ParamsError(place, "has no choices", expected="one or more")
    if any(value in written[:at] for at, value in enumerate(written)):
        raise ParamsError(place, found, expected="each choice once")
    if any(isinstance(value, dict) for value in written):
        raise ParamsError(place, found, expected="names of single params, dotted")
    return Choices(values=tuple(written))


def changed(training: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the section `training` and replace the values of some full names.

    Examples
    --------
    >>> section = {"epochs": 30, "model": {"conv_depth": 3}}
    >>> changed(section, {"training.model.conv_depth": 4})
    {'epochs': 30, 'model': {'conv_depth': 4}}
    """
    section: dict[str, Any] = deepcopy(dict(training))
    for name, value in values.items():
        *parents, last = name.split(".")[1:]
        mapping = section
        for parent in parents:
            mapping = mapping.setdefault(parent, {})
        mapping[last] = value
    return section
