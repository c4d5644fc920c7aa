"""An empty MLflow database for each test, and one small pipeline whose scorer is trained."""

import pytest

from tests.support.retraining import plant_pipeline, train
from tests.support.tracking import mlflow
from twinear.retraining.held_out import PipelineFolders

__all__ = ["mlflow"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolders:
    """A pipeline that has run. Tests read it and do not change it."""
    folders = plant_pipeline(tmp_path_factory.mktemp("trained"))
    train(folders)
    return folders
