"""A recipe overrides what it names and nothing else; what cannot be meant is refused."""

from pathlib import Path

import pytest

from tests.conftest import PARAMS
from twinear.base.errors import ParamsError
from twinear.base.params import read_sections
from twinear.evaluation.recipes import read_recipe
from twinear.training.training import TrainingParams


def test_without_a_recipe_the_params_are_as_they_stand() -> None:
    assert read_recipe(PARAMS).sections == read_sections(PARAMS)


def test_a_recipe_and_then_single_settings_override_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "original.yaml"
    path.write_text("training:\n  epochs: 25\n  model:\n    channels: 16\n")
    settings = ["training.learning_rate=3e-4", "training.model.max_pool=[2, 2]"]
    params = read_recipe(PARAMS, path, settings).read("training", TrainingParams)
    assert (params.epochs, params.model.channels) == (25, 16)
    assert (params.learning_rate, params.model.max_pool) == (3e-4, (2, 2))
    assert params.model.dense_units == 128
    assert params.seed == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs", "--set: found 'training.epochs', expected section.key=value"),
        ("epochs=3", "--set: found 'epochs=3', expected section.key=value"),
        ("training.epoch=3", "training.epoch: unknown key; did you mean 'training.epochs'"),
        ("trainin.epochs=3", "trainin.epochs: unknown key"),
        ("training.seed.x=3", "training.seed.x: unknown key"),
        ("training.model.max_pool=[2", "is not YAML"),
    ],
)
def test_a_setting_that_leads_nowhere_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message.replace("[", r"\[")):
        read_recipe(PARAMS, settings=[setting])


def test_a_recipe_with_an_unknown_section_key_or_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("trainin: {epochs: 3}\n")
    with pytest.raises(ParamsError, match=r"recipe.yaml: trainin: unknown section"):
        read_recipe(PARAMS, path)
    path.write_text("training: {epoch: 3}\n")
    with pytest.raises(ParamsError, match=r"recipe.yaml: training.epoch: unknown key"):
        read_recipe(PARAMS, path).read("training", TrainingParams)
    with pytest.raises(ParamsError, match=r"training.epochs=-1: training.epochs: found -1"):
        read_recipe(PARAMS, settings=["training.epochs=-1"]).read("training", TrainingParams)
