"""What may be tried: names of params.yaml, and choices or a range for each.

Every value that a trial could get is checked against the class of its section before any trial
runs. Lists stand for choices, `{low, high, log}` for a range of whole numbers where the param is
one, else of numbers. Nothing here knows how the values are drawn.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from twinear.base.errors import ParamsError
from twinear.base.params import SECTIONS, Params, parse_params

SECTION = "training"  # the stages before it are read as they are
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class TuningParams(Params):
    """What is tried, how it is judged, and how long."""

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
    def _once(self) -> "TuningParams":
        if len(set(self.confirm_seeds)) < len(self.confirm_seeds):
            raise ValueError("each of confirm_seeds once")
        return self


class Bounds(Params):
    """A range as params.yaml writes it."""

    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _some(self) -> "Bounds":
        if self.low > self.high:
            raise ValueError(f"low up to high, not {self.low:g} down to {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a low above 0 where log is true, not {self.low:g}")
        return self


@dataclass(frozen=True, kw_only=True)
class Choices:
    """One of some values: numbers, words, true, false, null, or lists of them."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether a trial could get this value."""
        return value in self.values

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to check: all."""
        return self.values


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included; whole where both are `int`."""

    low: int | float
    high: int | float
    log: bool

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        """Whether a trial could get this value."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.whole or value == int(value))

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to check: both ends."""
        return self.low, self.high


Space = dict[str, Choices | Range]  # by whole name: training.model.conv_depth


def read_space(
    space: Mapping[str, Any], training: Mapping[str, Any], kind: type[Params], path: Path
) -> Space:
    """Check a search space.

    Parameters
    ----------
    space
        Names, whole or relative to `training`, to a list or to `{low, high, log}`.
    training
        The section as it stands.
    kind
        The class of that section.

    Raises
    ------
    ParamsError
        No name, an unknown one or one twice, an empty range, a value that the section refuses.
    """
    if not space:
        raise ParamsError(
            f"{path}: tuning.space", "is empty", expected="names of params with choices or a range"
        )
    found: Space = {}
    for name, values in space.items():
        whole = _whole_name(name, path)
        if whole in found:
            raise ParamsError(f"{path}: tuning.space.{name}", "is there twice", remedy="keep one")
        found[whole] = _read_values(name, values, path)
        for value in found[whole].ends:
            tried = changed(training, {whole: value})
            parse_params(f"tuning.space.{SECTION}", kind, tried, path)
        found[whole] = _of_kind(found[whole], whole, kind)
    return found


def _whole_name(name: str, path: Path) -> str:
    place = f"{path}: tuning.space.{name}"
    first = name.split(".")[0]
    if first in SECTIONS and first != SECTION:
        remedy = f"name a param of {SECTION}, or change it and run 'dvc repro' for each value"
        raise ParamsError(place, f"is not of {SECTION}, which alone is run anew", remedy=remedy)
    whole = name if first == SECTION else f"{SECTION}.{name}"
    if whole == f"{SECTION}.seed":
        raise ParamsError(place, "is luck, not a choice", remedy="take it out of the space")
    return whole


def _read_values(name: str, values: Any, path: Path) -> Choices | Range:
    place = f"{path}: tuning.space.{name}"
    if isinstance(values, dict):
        bounds = parse_params(f"tuning.space.{name}", Bounds, values, path)
        return Range(low=bounds.low, high=bounds.high, log=bounds.log)
    if not isinstance(values, list):
        expected = "a list of choices or {low: …, high: …, log: …}"
        raise ParamsError(place, f"found {values!r}", expected=expected)
    if not values:
        raise ParamsError(place, "has no choices", expected="one or more")
    if any(each in values[:at] for at, each in enumerate(values)):
        raise ParamsError(place, f"found {values!r}", expected="each choice once")
    if any(isinstance(each, dict) for each in values):
        raise ParamsError(place, f"found {values!r}", expected="names of single params, dotted")
    return Choices(values=tuple(values))


def _of_kind(values: Choices | Range, name: str, kind: type[Params]) -> Choices | Range:
    """Let `{low: 0, high: 1}` of a param that is a `float` mean all numbers between."""
    annotation: Any = kind
    for key in name.split(".")[1:]:
        annotation = annotation.model_fields[key].annotation
    if isinstance(values, Range) and annotation is float:
        return Range(low=float(values.low), high=float(values.high), log=values.log)
    return values


def changed(training: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The section `training` with the values of some whole names replaced."""
    section: dict[str, Any] = deepcopy(dict(training))
    for name, value in values.items():
        *folders, last = name.split(".")[1:]
        at = section
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = value
    return section


def value_at(training: Mapping[str, Any], name: str) -> Any:
    """The value that the section has under a whole name."""
    at: Any = training
    for key in name.split(".")[1:]:
        at = at[key]
    return at
