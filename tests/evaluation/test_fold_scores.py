"""Scores that are kept belong to the code that made them."""

from pathlib import Path
from types import ModuleType

import pytest

from tests.support.code import copy_package
from tests.support.planting import plant_artefacts, plant_params
from twinear import catalogue, model, training
from twinear.evaluation.cross_validation import CrossValidationOptions, plan_folds, plan_tasks
from twinear.evaluation.crossval.fold_scores import Task
from twinear.evaluation.dataset import EvaluationData
from twinear.evaluation.recipes import read_recipe


@pytest.fixture
def task(tmp_path: Path) -> Task:
    recipe = read_recipe(plant_params(tmp_path), settings=["split.n_folds=3"])
    folders = plant_artefacts(tmp_path / "artifacts")
    options = CrossValidationOptions(seeds=(1,), artifacts=tmp_path / "work")
    folds = plan_folds(EvaluationData.read(folders), recipe, options)
    return plan_tasks(folds, folders, recipe, options)[1][0]


@pytest.mark.parametrize("package", [model, training, catalogue])
def test_a_new_file_of_the_code_makes_another_fingerprint(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: ModuleType
) -> None:
    before = task.fingerprint
    copied = copy_package(package, tmp_path, monkeypatch)
    assert task.fingerprint == before
    (copied / "new.py").touch()
    assert task.fingerprint != before
