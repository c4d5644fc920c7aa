"""The scorer as MLflow serves it: pairs of clips in, scores out.

A clip is what the scorer takes: a log-mel spectrogram, or the embedding of a pre-trained encoder.
A scorer that takes both is given both by name, `spectrograms` and `embeddings`. Logged as code
beside the scorer's file, so that nothing is pickled.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch

from twinear.model.scorer import Scorer

JOINED = "spectrograms", "embeddings"  # names of the inputs of a scorer that takes both


class ServedScorer(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Scores pairs of clips."""

    def load_context(self, context: Any) -> None:
        """Read the scorer that was logged with this code."""
        self.net = Scorer.read(Path(context.artifacts["scorer"])).net

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Score pairs (pairs, 2, n_bands, n_frames), beside them by name (pairs, 2, n_joined).

        Returns
        -------
        (pairs,) in (0, 1), float32.
        """
        given: Any = model_input  # by name it is a dict, a type that MLflow warns of
        arrays = [given[name] for name in JOINED] if isinstance(given, dict) else [given]
        with torch.inference_mode():
            scores = self.net(*(torch.from_numpy(np.ascontiguousarray(each)) for each in arrays))
        return np.asarray(scores)


mlflow.models.set_model(ServedScorer())
