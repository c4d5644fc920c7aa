"""The scorer: front end, network and weights in one file. Clips in, scores out.

The file is safetensors (no pickle): the weights, and in its header the params of the spectrograms
and of the network, so that a scorer needs nothing else and is known by the SHA-256 of its bytes.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from twinear.clips import load_clip
from twinear.errors import DataError
from twinear.files import replacing, require
from twinear.model import ModelParams, SiameseNet
from twinear.params import parse_params
from twinear.spectrograms import SpectrogramsParams, log_mel

HEADER = "twinear"
BATCH = 256  # clips encoded at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A trained network with the front end it was trained on.

    Attributes
    ----------
    spectrograms
        The front end.
    net
        The network, in evaluation mode.
    model
        Its shape.
    """

    spectrograms: SpectrogramsParams
    model: ModelParams
    net: SiameseNet

    def write(self, path: Path) -> None:
        """Write one safetensors file; equal scorers give equal bytes."""
        header = {
            "spectrograms": self.spectrograms.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
        }
        weights = {name: each.contiguous() for name, each in self.net.state_dict().items()}
        with replacing(path) as temporary:
            temporary.write_bytes(save(weights, {HEADER: json.dumps(header, sort_keys=True)}))

    @classmethod
    def read(cls, path: Path) -> "Scorer":
        """Read a scorer.

        Raises
        ------
        DataError
            Missing file, not a scorer, or weights of another shape than its header says.
        """
        require(path, "run 'dvc repro training', or name a scorer file")
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})[HEADER])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _assemble(header, weights, path)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise DataError(
                path,
                f"is not a scorer ({str(error).splitlines()[0]})",
                expected="a safetensors file that twinear's training wrote",
                remedy="run 'dvc repro training'",
            ) from error

    def encode(
        self, values: np.ndarray, progress: Callable[[Iterable[int]], Iterable[int]] = iter
    ) -> np.ndarray:
        """Spectrograms (clips, n_mels, n_frames) to embeddings (clips, dense_units), float32."""
        embeddings = np.empty((len(values), self.model.dense_units), dtype=np.float32)
        with torch.inference_mode():
            for start in progress(range(0, len(values), BATCH)):
                x = torch.from_numpy(np.asarray(values[start : start + BATCH], dtype=np.float32))
                embeddings[start : start + BATCH] = self.net.encode(x).numpy()
        return embeddings

    def score(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Embeddings (a, dense_units) and (b, dense_units) to the scores (a, b) of all pairs."""
        with torch.inference_mode():
            return self.net.score(torch.from_numpy(u), torch.from_numpy(v)).numpy()

    def score_clips(self, a: Path, b: Path) -> float:
        """The score in (0, 1) of two audio files.

        Raises
        ------
        ClipError
            A file that cannot be decoded.
        """
        for path in (a, b):
            require(path, "name an audio file")
        front = self.spectrograms
        clips = [log_mel(load_clip(each, front.sr, front.max_seconds), front) for each in (a, b)]
        u, v = self.encode(np.stack(clips))[:, None]
        return float(self.score(u, v)[0, 0])


def _assemble(header: dict[str, object], weights: dict[str, torch.Tensor], path: Path) -> Scorer:
    spectrograms = parse_params("spectrograms", SpectrogramsParams, header["spectrograms"], path)
    model = parse_params("model", ModelParams, header["model"], path)
    net = SiameseNet(spectrograms.n_mels, model)
    net.load_state_dict(weights)
    return Scorer(spectrograms=spectrograms, model=model, net=net.eval())
