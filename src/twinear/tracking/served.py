"""The scorer as MLflow serves it: pairs of clips in, scores out.

`served_clips` says what a clip may be. Logged as code beside the scorer's file, so that nothing is
pickled.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from twinear.base.errors import TwinearError
from twinear.model.scorer import Scorer
from twinear.tracking.served_clips import score_pairs


class RefusedRequest(MlflowException):  # type: ignore[misc]
    """A request that cannot be scored: status 400."""

    def serialize_as_json(self) -> str:
        """Answer in one line: MLflow puts the whole request before it, perhaps megabytes."""
        (self.message,) = self.args
        return str(super().serialize_as_json())


class ServedScorer(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Scores pairs of clips."""

    def load_context(self, context: Any) -> None:
        """Read the scorer that was logged with this code."""
        self.scorer = Scorer.read(Path(context.artifacts["scorer"]))
        self.scorer.net  # noqa: B018  (made now, not while a client waits)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Score the pairs in the rows of a table of two columns, whatever their names.

        Returns
        -------
        (pairs,) in (0, 1), float32.
        """
        try:
            return score_pairs(self.scorer, model_input.itertuples(index=False))
        except TwinearError as error:
            raise RefusedRequest.invalid_parameter_value(str(error)) from error


mlflow.models.set_model(ServedScorer())
