"""The encoder of a trained scorer without torch, for commands that encode a few clips.

Importing torch takes a second and a half, encoding a clip a hundredth of one. These are the
formulas of `network` in evaluation mode, on NumPy arrays with the time before the channels; a test
compares the two over every shape of the network. The statistics have one definition for both.

Of many clips the network encodes more in a second, and the pipeline uses that.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.base.params import parse_params
from twinear.model.inputs import InputSpec, parse_input
from twinear.model.params import ModelParams
from twinear.model.statistics import EPSILON
from twinear.spectrograms.front_end import Floats, SpectrogramsParams

HEADER = "twinear"
BATCH_NORM_EPSILON = 1e-5  # torch's


@dataclass(frozen=True, kw_only=True, eq=False)
class NumpyEncoder:
    """What a scorer's file holds, and how it encodes clips.

    Attributes
    ----------
    spectrograms
        The front end.
    inputs
        What a clip gives the network.
    model
        The network's shape.
    weights
        By their names in the network.
    """

    spectrograms: SpectrogramsParams
    inputs: InputSpec
    model: ModelParams
    weights: dict[str, npt.NDArray[np.generic]]

    @classmethod
    def read(cls, path: Path) -> "NumpyEncoder":
        """Read a scorer's file.

        Raises
        ------
        DataError
            Missing file, or not a scorer.
        """
        require(path, "run 'dvc repro training', or name a scorer file")
        try:
            with safe_open(path, framework="np") as file:
                header = json.loads((file.metadata() or {})[HEADER])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if "kind" not in header["inputs"]:
                raise DataError(
                    path,
                    "was written by twinear 0.1, whose networks have other names inside",
                    expected="a scorer of twinear 0.2 or later",
                    remedy="train it again: 'dvc repro training'",
                )
            return cls(
                spectrograms=parse_params(
                    "spectrograms", SpectrogramsParams, header["spectrograms"], path
                ),
                inputs=parse_input(header["inputs"]),
                model=parse_params("model", ModelParams, header["model"], path),
                weights=weights,
            )
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise not_a_scorer(path, error) from error

    @property
    def units(self) -> int:
        """Length of an embedding."""
        statistics, convolutions = self.model.statistics_units, self.model.dense_units
        return {
            "statistics": statistics,
            "convolutions": convolutions,
            "both": statistics + convolutions,
        }[self.model.branches]

    def encode(self, values: Floats, joined: Floats | None = None) -> Floats:
        """Encode clips to embeddings, (clips, units).

        `values` is (clips, n_bands, n_frames), `joined` (clips, n_joined); it may be left out where
        the scorer takes none.
        """
        parts = []
        if self.model.branches != "convolutions":
            parts.append(self._statistics(values, joined))
        if self.model.branches != "statistics":
            parts.append(self._convolutions(values))
        if self.model.head == "cosine":
            parts = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in parts]
            if len(parts) == 2:
                share = 1 / (1 + np.exp(-self._weight("share")))
                parts = [np.sqrt(1 - share) * parts[0], np.sqrt(share) * parts[1]]
        return np.concatenate(parts, axis=1)
