"""The scorer as MLflow serves it: pairs of log-mel spectrograms in, scores out.

Logged as code beside the scorer's file, so that nothing is pickled.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch

from twinear.model.scorer import Scorer


class ServedScorer(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Scores pairs of spectrograms."""

    def load_context(self, context: Any) -> None:
        """Read the scorer that was logged with this code."""
        self.net = Scorer.read(Path(context.artifacts["scorer"])).net

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Score pairs (pairs, 2, n_mels, n_frames); return (pairs,) in (0, 1)."""
        with torch.inference_mode():
            scores = self.net(torch.from_numpy(np.ascontiguousarray(model_input)))
        return np.asarray(scores)


mlflow.models.set_model(ServedScorer())
