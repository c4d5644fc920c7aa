"""The scorer: front end, network and weights in one file. Clips in, scores out.

The file is safetensors (no pickle): the weights, and in its header the params of the spectrograms
and of the network, so that a scorer needs nothing else and is known by the SHA-256 of its bytes.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.base.params import parse_params
from twinear.model.network import Inputs, ModelParams, SiameseNet
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms

HEADER = "twinear"
BATCH = 256  # clips encoded at a time
REMEDY = "run 'dvc repro training'"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A trained network with the front end it was trained on.

    Attributes
    ----------
    spectrograms
        The front end.
    inputs
        What a clip gives the network.
    model
        Its shape.
    net
        The network, in evaluation mode.
    """

    spectrograms: SpectrogramsParams
    inputs: Inputs
    model: ModelParams
    net: SiameseNet

    def write(self, path: Path) -> None:
        """Write one safetensors file; equal scorers give equal bytes."""
        header = {
            "spectrograms": self.spectrograms.model_dump(mode="json"),
            "inputs": asdict(self.inputs),
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
                remedy=REMEDY,
            ) from error

    def hear(
        self, clips: Spectrograms, progress: Callable[[Iterable[int]], Iterable[int]] = iter
    ) -> np.ndarray:
        """Encode every clip, (clips, units).

        Raises
        ------
        DataError
            The spectrograms are of another front end than the scorer's.
        """
        if clips.front != self.spectrograms or inputs_of(clips) != self.inputs:
            mine, theirs = self._said(), _said(clips.front, inputs_of(clips))
            apart = {name: (theirs.get(name), mine[name]) for name in mine}
            found = {name: each for name, each in apart.items() if each[0] != each[1]}
            raise DataError(
                "spectrograms",
                "have " + ", ".join(f"{name} {each[0]}" for name, each in found.items()),
                expected="the scorer's " + ", ".join(f"{n} {e[1]}" for n, e in found.items()),
                remedy="compute them with the scorer's front end, or train a scorer on these",
            )
        return self.encode(clips.values, clips.pretrained, progress)

    def _said(self) -> dict[str, Any]:
        return _said(self.spectrograms, self.inputs)

    def encode(
        self,
        values: np.ndarray,
        pretrained: np.ndarray | None = None,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    ) -> np.ndarray:
        """Clips to embeddings, (clips, units), float32.

        Parameters
        ----------
        values
            (clips, n_bands, n_frames)
        pretrained
            (clips, n_dims); may be left out where the scorer knows none.
        """
        beside = np.zeros((len(values), 0)) if pretrained is None else pretrained
        embeddings = np.empty((len(values), self.net.units), dtype=np.float32)
        with torch.inference_mode():
            for start in progress(range(0, len(values), BATCH)):
                rows = slice(start, start + BATCH)
                x, v = (
                    torch.from_numpy(np.array(each[rows], dtype=np.float32))
                    for each in (values, beside)
                )
                embeddings[rows] = self.net.encode(x, v).numpy()
        return embeddings

    def score(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Embeddings (a, units) and (b, units) to the scores (a, b) of all pairs."""
        with torch.inference_mode():
            return self.net.score(torch.from_numpy(u), torch.from_numpy(v)).numpy()


def inputs_of(clips: Spectrograms) -> Inputs:
    """What one of these clips gives a network."""
    alone = clips.front.embeddings == "only"
    return Inputs(
        n_bands=clips.values.shape[1],
        n_frames=clips.values.shape[2],
        n_dims=clips.pretrained.shape[1],
        frames_per_second=0.0 if alone else clips.front.sr / clips.front.hop_length,
        top_db=0.0 if alone else clips.front.top_db,
    )


def _said(front: SpectrogramsParams, inputs: Inputs) -> dict[str, Any]:
    n_dims = inputs.n_bands if front.embeddings == "only" else inputs.n_dims
    return {**front.model_dump(), "n_dims": n_dims, "n_frames": inputs.n_frames}


def _assemble(header: dict[str, Any], weights: dict[str, torch.Tensor], path: Path) -> Scorer:
    front = parse_params("spectrograms", SpectrogramsParams, header["spectrograms"], path)
    model = parse_params("model", ModelParams, header["model"], path)
    inputs = Inputs(**header["inputs"])
    net = SiameseNet(inputs, model)
    net.load_state_dict(weights)
    return Scorer(spectrograms=front, inputs=inputs, model=model, net=net.eval())
