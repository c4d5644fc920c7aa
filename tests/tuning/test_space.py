"""The search space and the patch of params.yaml: what may be tried, what is written."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PARAMS
from twinear.base.errors import ParamsError
from twinear.base.params import read_params, read_sections
from twinear.training.training import TrainingParams
from twinear.tuning.params_patch import difference, with_values
from twinear.tuning.space import Choices, NumberRange, Space, TuningParams, changed, read_space

TRAINING = read_sections(PARAMS)["training"]


def read(space: dict[str, Any]) -> Space:
    return read_space(space, TRAINING, TrainingParams, Path("params.yaml"))


def test_names_are_whole_or_relative_and_numbers_are_as_the_param_is() -> None:
    space = read(
        {
            "training.model.conv_depth": [2, 3, 4],
            "model.max_pool": [[4, 2], [2, 2]],
            "epochs": {"low": 5, "high": 50, "log": False},
            "learning_rate": {"low": 1, "high": 2, "log": True},
        }
    )
    assert space == {
        "training.model.conv_depth": Choices(values=(2, 3, 4)),
        "training.model.max_pool": Choices(values=([4, 2], [2, 2])),
        "training.epochs": NumberRange(low=5, high=50, log=False),
        "training.learning_rate": NumberRange(low=1.0, high=2.0, log=True),
    }
    integers = {
        name: values.is_integer for name, values in space.items() if isinstance(values, NumberRange)
    }
    assert integers == {"training.epochs": True, "training.learning_rate": False}


BOUNDS = {"low": 1, "high": 2, "log": False}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, r"tuning\.space: is empty, expected names of params"),
        ({"model.conv_dept": [2]}, r"conv_dept: unknown key; did you mean 'conv_depth'"),
        ({"training.epoch": [2]}, r"tuning\.space\.training\.epoch: unknown key; did you mean"),
        ({"spectrograms.n_mels": [64]}, "n_mels: is not a param of training"),
        ({"seed": [1, 2]}, r"tuning\.space\.seed: is luck, not a choice; take it out"),
        ({"epochs": [2], "training.epochs": [3]}, r"training\.epochs: is there twice"),
        ({"epochs": []}, r"tuning\.space\.epochs: has no choices, expected one or more"),
        ({"epochs": [3, 3]}, r"found \[3, 3\], expected each choice once"),
        ({"epochs": 3}, r"found 3, expected a list of choices or {low"),
        ({"model": [{"conv_depth": 3}]}, "expected names of single params"),
        ({"epochs": {**BOUNDS, "low": 9}}, r"epochs: .*expected low up to high, not 9 down to 2"),
        ({"epochs": {**BOUNDS, "low": 0, "log": True}}, "a low above 0 where log is true, not 0"),
        ({"epochs": {"low": 1, "high": 2}}, r"tuning\.space\.epochs\.log: is missing"),
        ({"epochs": {**BOUNDS, "hihg": 3}}, r"hihg: unknown key; did you mean 'high'"),
        ({"learning_rate": [1e-3, -1]}, r"learning_rate: found -1, expected greater than 0"),
        (
            {"epochs": {**BOUNDS, "low": -1}},
            r"training\.epochs: found -1, expected greater than or",
        ),
        ({"epochs": [2.5]}, r"training\.epochs: found 2\.5, expected a valid integer"),
        ({"precision": ["float16"]}, r"precision: found 'float16', expected 'float32'"),
        ({"model.max_pool": [4, 2]}, r"training\.model\.max_pool: found 4, expected a valid"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        read(space)


def test_the_projects_own_space_can_be_searched() -> None:
    tuning = read_params("tuning", TuningParams, PARAMS)
    assert "training.learning_rate" in read(tuning.space)
    assert TRAINING["seed"] not in tuning.confirm_seeds


def test_a_changed_section_leaves_the_old_one_alone() -> None:
    new = changed(TRAINING, {"training.model.conv_depth": 9, "training.epochs": 1})
    assert (new["model"]["conv_depth"], new["epochs"]) == (9, 1)
    assert TRAINING["model"]["conv_depth"] != 9


def test_only_values_change_and_comments_stay() -> None:
    old = PARAMS.read_text(encoding="utf-8")
    values = {
        "training.model.conv_depth": 7,
        "training.model.max_pool": [2, 2, 2],
        "training.learning_rate": 0.01234,
        "training.precision": "bfloat16",
        "training.epochs": TRAINING["epochs"],
    }
    new = with_values(old, values, PARAMS)
    before, after = old.splitlines(), new.splitlines()
    assert len(before) == len(after)
    differ = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(differ) == 4
    assert all(a.split("#")[1:] == b.split("#")[1:] for a, b in differ)
    assert [b.split("#")[0].strip() for _, b in differ] == [
        "conv_depth: 7", "max_pool: [2, 2, 2]", "learning_rate: 0.01234", "precision: bfloat16",
    ]  # fmt: skip
    assert difference(old, new, PARAMS).count("\n+") == 4 + 1


def test_equal_values_change_not_a_byte() -> None:
    old = PARAMS.read_text(encoding="utf-8")
    assert with_values(old, {"training.learning_rate": TRAINING["learning_rate"]}, PARAMS) == old
    assert difference(old, old, PARAMS) == ""
