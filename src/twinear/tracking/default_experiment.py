"""The experiment of `mlflow run .`: the project's, where no other one is named.

MLflow asks this plug-in, which `pyproject.toml` declares, for the experiment. Without it the run of
an MLflow project lands in the experiment `Default`.
"""

import os
from pathlib import Path

from mlflow.tracking.default_experiment.abstract_context import DefaultExperimentProvider

from twinear.base.params import PARAMS
from twinear.tracking.connection import connect, is_off

PROJECT = Path("MLproject")


class ProjectExperiment(DefaultExperimentProvider):  # type: ignore[misc]
    """Gives the project's experiment in the project's root."""

    def in_context(self) -> bool:
        """Whether this is the root of a twinear project, and its runs are tracked."""
        if is_off() or not (PROJECT.is_file() and PARAMS.is_file()):
            return False
        return PROJECT.read_text(encoding="utf-8").startswith("name: twinear\n")

    def get_experiment_id(self) -> str:
        """Find the experiment; the first call creates it."""
        connect()
        return os.environ["MLFLOW_EXPERIMENT_ID"]  # which MLflow sets for other processes
