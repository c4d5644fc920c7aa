"""The scorer: front end, network and weights in one file.

The file is safetensors (no pickle): the weights, and in its header the params of the spectrograms
and of the network, so that a scorer needs nothing else, and a checksum of all that. The params of
its training travel with it, for the record alone. It is identified by the SHA-256 of its bytes.
What is read is checked: a file that fits its own checksum may still have been made by a training
that went wrong, or by somebody else.

A scorer is read, and encodes a few clips, without torch. Torch is imported for `net` alone, which
encodes many.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from twinear.base.errors import DataError, ParamsError
from twinear.base.files import replacing, require
from twinear.base.params import parse_params
from twinear.base.text import one_line
from twinear.model import numpy_encoder
from twinear.model.inputs import (
    Embedding,
    InputSpec,
    LogMel,
    block_sizes,
    describe_input,
    parse_input,
)
from twinear.model.params import ModelParams
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.quantisation import as_floats

if TYPE_CHECKING:  # slow to import
    from twinear.model.network import SiameseNet
    from twinear.spectrograms.shards import Shards
    from twinear.spectrograms.spectrograms import Spectrograms

HEADER = "twinear"
BATCH = 256  # clips encoded at a time
REMEDY = "run 'dvc repro training'"
MAX_WEIGHT = 1e6  # a larger one lets sums of products overflow
UNREADABLE = (
    *(SafetensorError, ParamsError, OSError, KeyError, ValueError, TypeError),
    *(MemoryError, RecursionError),  # of a header made to need too much of them
)
COUNTER = "num_batches_tracked"  # the weight of PyTorch's that is a whole number


class ScorerError(DataError):
    """A file that is there and cannot be used as a scorer."""


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
    weights
        By their names in the network.
    training
        The section `training` that it was trained with; empty where that is not known. Nothing is
        computed from it.
    """

    spectrograms: SpectrogramsParams
    inputs: InputSpec
    model: ModelParams
    weights: numpy_encoder.Weights
    training: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_net(
        cls, net: "SiameseNet", spectrograms: SpectrogramsParams, model: ModelParams
    ) -> "Scorer":
        """Take a copy of a network's weights."""
        weights = {name: each.numpy(force=True).copy() for name, each in net.state_dict().items()}
        return cls(spectrograms=spectrograms, inputs=net.inputs, model=model, weights=weights)

    @cached_property
    def net(self) -> "SiameseNet":
        """The network, in evaluation mode."""
        import torch

        from twinear.model.network import SiameseNet

        net = SiameseNet(self.inputs, self.model, self.n_factors)
        net.load_state_dict({name: torch.tensor(each) for name, each in self.weights.items()})
        return net.eval()

    @property
    def units(self) -> int:
        """Length of an embedding."""
        return numpy_encoder.count_units(self.model) + self.n_factors

    @property
    def n_factors(self) -> int:
        """How many listener factors an embedding holds; 0: none."""
        return count_factors(self.weights)

    @property
    def params(self) -> dict[str, Any]:
        """What the scorer says of itself, as sections of `params.yaml`."""
        return {
            "spectrograms": self.spectrograms.model_dump(mode="json"),
            "training": {**self.training, "model": self.model.model_dump(mode="json")},
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes that `write` writes."""
        return hashlib.sha256(self._content()).hexdigest()

    def write(self, path: Path) -> None:
        """Write one safetensors file; equal scorers give equal bytes."""
        with replacing(path) as temporary:
            temporary.write_bytes(self._content())

    def _content(self) -> bytes:
        header: dict[str, Any] = {
            "spectrograms": self.spectrograms.model_dump(mode="json"),
            "inputs": describe_input(self.inputs),
            "model": self.model.model_dump(mode="json"),
        }
        if self.training:
            header["training"] = dict(self.training)
        header["crc32"] = _checksum(header, self.weights)
        return save(dict(self.weights), {HEADER: json.dumps(header, sort_keys=True)})

    @classmethod
    def read(cls, path: Path) -> "Scorer":
        """Read a scorer.

        Raises
        ------
        DataError
            Missing file.
        ScorerError
            Not a scorer, changed since it was written, weights of another shape than its header
            says, or weights or a front end with which nothing can be computed.
        """
        require(path, "run 'dvc repro training', or name a scorer file")
        try:
            with safe_open(path, framework="np") as file:
                header = json.loads((file.metadata() or {})[HEADER])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if "kind" not in header["inputs"]:
                raise ScorerError(
                    path,
                    "was written by twinear 0.1, whose networks have other names inside",
                    expected="a scorer of twinear 0.2 or later",
                    remedy="train it again: 'dvc repro training'",
                )
            checksum = header.pop("crc32", None)  # None: of twinear 0.2
            if checksum not in (None, _checksum(header, weights)):
                raise ValueError("it has changed since it was written")
            front = parse_params("spectrograms", SpectrogramsParams, header["spectrograms"], path)
            if "embeddings_share" in header["model"]:  # of twinear 0.2, where it was one number
                header["model"]["embeddings_shares"] = [header["model"].pop("embeddings_share")]
            model = parse_params("model", ModelParams, header["model"], path)
            inputs = parse_input(header["inputs"])
            shapes = numpy_encoder.weight_shapes(inputs, model, count_factors(weights))
            if {name: each.shape for name, each in weights.items()} != shapes:
                raise ValueError("its weights are of another shape than its header says")
            scorer = cls(
                spectrograms=front,
                inputs=inputs,
                model=model,
                weights=weights,
                training=dict(header.get("training", {})),
            )
            scorer._check()
            return scorer
        except UNREADABLE as error:
            raise ScorerError(
                path,
                f"is not a scorer ({one_line(str(error)).removeprefix(f'{path}: ')})",
                expected="a safetensors file that twinear's training wrote",
                remedy=REMEDY,
            ) from error

    def _check(self) -> None:
        """Check that clips of the front end can be encoded to finite numbers; else `ValueError`."""
        front, inputs = self.spectrograms, self.inputs
        if isinstance(inputs, LogMel):
            fields = (front.n_mels, front.n_frames, front.sr / front.hop_length, front.top_db)
            fits = front.embeddings != "only" and fields == (
                *inputs.shape, inputs.frames_per_second, inputs.top_db
            )  # fmt: skip
        else:
            fits = front.embeddings == "only"
        if not fits:
            raise ValueError("its network takes something else than its front end gives")
        for name, weight in self.weights.items():
            if weight.dtype != (np.int64 if name.endswith(COUNTER) else np.float32):
                raise ValueError(f"its weights {name} are {weight.dtype}")
            if not np.isfinite(weight).all():
                raise ValueError(f"its weights {name} are not all finite numbers")
            if weight.dtype == np.float32 and np.abs(weight).max(initial=0) > MAX_WEIGHT:
                raise ValueError(f"its weights {name} are larger than {MAX_WEIGHT:,.0f}")
            if name.endswith("running_var") and weight.min() < 0:
                raise ValueError(f"its variances {name} are negative")
            if name == "factors.share" and not 0 <= weight <= 1:
                raise ValueError(f"its share of listener factors is {weight}")

    def encode_spectrograms(
        self, clips: "Spectrograms", progress: Callable[[Iterable[int]], Iterable[int]] = iter
    ) -> np.ndarray:
        """Encode every clip, (clips, units).

        Raises
        ------
        DataError
            As `for_front_end`.
        """
        taken = self.for_front_end(clips)
        statistics = None if taken.compact is None else taken.compact.statistics
        return self.encode_many(taken.values, taken.joined, progress, statistics)

    def for_front_end(self, clips: "Spectrograms") -> "Spectrograms":
        """Take of spectrograms what the scorer's front end has, see `Spectrograms.for_front_end`.

        Raises
        ------
        DataError
            They are of another one; the message names both values of what differs. Or they are in
            the compact form of other frames.
        """
        taken = clips.for_front_end(self.spectrograms)
        ours = _describe(self.spectrograms, self.inputs)
        theirs = _describe(taken.front, input_of(taken))
        differing = [name for name in ours if theirs.get(name) != ours[name]]
        if differing:
            raise DataError(
                "spectrograms",
                "have " + ", ".join(f"{name} {theirs.get(name)}" for name in differing),
                expected="the scorer's " + ", ".join(f"{name} {ours[name]}" for name in differing),
                remedy="compute them with the scorer's front end, or train a scorer on these",
            )
        require_compact(taken, self.model)
        return taken

    def encode(self, values: np.ndarray, joined: np.ndarray | None = None) -> np.ndarray:
        """Encode a few clips to embeddings without torch, (clips, units), float32.

        `values` is (clips, n_bands, n_frames), `joined` (clips, n_joined); it may be left out where
        the scorer takes none.
        """
        x, beside = _float32(values, joined)
        return numpy_encoder.encode(self.inputs, self.model, self.weights, x, beside)

    def encode_many(
        self,
        values: "np.ndarray | Shards",
        joined: np.ndarray | None = None,
        progress: Callable[[Iterable[int]], Iterable[int]] = iter,
        statistics: "np.ndarray | Shards | None" = None,
    ) -> np.ndarray:
        """Encode many clips by torch; otherwise as `encode`, but for the last digits.

        With `statistics`, (clips, n), `values` may be in the compact form, see
        `spectrograms.Compact`.
        """
        import torch

        embeddings = np.empty((len(values), self.units), dtype=np.float32)
        with torch.inference_mode():
            for start in progress(range(0, len(values), BATCH)):
                rows = slice(start, start + BATCH)
                # convolutions alone need the values where the statistics are known
                needed = statistics is None or self.net.convolutions is not None
                some = values[rows] if needed else np.empty((len(embeddings[rows]), 0))
                beside = None if joined is None else joined[rows]
                x, v = map(torch.from_numpy, _float32(some, beside))
                known = None
                if statistics is not None and self.net.statistics is not None:
                    stored = torch.from_numpy(as_floats(statistics[rows]))
                    known = self.net.statistics.project(
                        self.net.statistics.statistics(x, v, stored)
                    )
                embeddings[rows] = self.net.encode(x, v, known).numpy()
        return embeddings

    def score(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Score all pairs of embeddings by torch: (a, units) and (b, units) to (a, b)."""
        import torch

        with torch.inference_mode():
            return self.net.score(torch.from_numpy(u), torch.from_numpy(v)).numpy()


def count_factors(weights: numpy_encoder.Weights) -> int:
    """Count the listener factors that a network predicts."""
    return weights["factors.weight"].shape[1] if "factors.weight" in weights else 0


def _checksum(header: Mapping[str, Any], weights: numpy_encoder.Weights) -> str:
    """Compute the CRC-32 of a header without its checksum, and of weights in order of name."""
    checksum = zlib.crc32(json.dumps(header, sort_keys=True).encode())
    for name in sorted(weights):
        described = f"{name} {weights[name].dtype} {weights[name].shape}".encode()
        checksum = zlib.crc32(weights[name].tobytes(), zlib.crc32(described, checksum))
    return f"{checksum:08x}"


def _float32(values: np.ndarray, joined: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Copy clips, which may be on disk, and the embeddings joined to them."""
    beside = np.zeros((len(values), 0)) if joined is None else joined
    return as_floats(values), as_floats(beside)


def input_of(clips: "Spectrograms") -> InputSpec:
    """Describe what one of these clips gives a network."""
    if clips.front.embeddings == "only":
        n_bands, n_frames = clips.values.shape[1:]
        return Embedding(n_dims=n_bands, n_frames=n_frames, extractor=clips.extractor)
    return LogMel(
        n_mels=clips.front.n_mels,
        n_frames=clips.front.n_frames,
        frames_per_second=clips.front.sr / clips.front.hop_length,
        top_db=clips.front.top_db,
        n_joined=clips.joined.shape[1],
        extractor=clips.extractor,
    )


def require_compact(clips: "Spectrograms", model: ModelParams) -> None:
    """Require spectrograms in the compact form to have what a network takes of them.

    Raises
    ------
    DataError
        Another number of frames was averaged, or there are other statistics.
    """
    if clips.compact is None:
        return
    inputs, n_statistics = input_of(clips), clips.compact.statistics.shape[1]
    expected = sum(block_sizes(inputs).values()) - inputs.n_joined
    if n_statistics != expected:
        raise DataError(
            "spectrograms",
            f"hold {n_statistics} statistics of a clip",
            expected=str(expected),
            remedy="run 'dvc repro spectrograms'",
        )
    if not frames_fit(clips, model):
        taken = model.time_downsampling
        raise DataError(
            "spectrograms",
            f"were stored with averages of {clips.compact.average_frames} frames",
            expected=f"averages of {taken}, as training.model.time_downsampling says",
            remedy=f"set storage.average_frames to {taken}, or storage.form to full",
        )


def frames_fit(clips: "Spectrograms", model: ModelParams) -> bool:
    """Whether spectrograms have the frames that a network convolves, or those before averaging."""
    if clips.compact is None or model.branches == "statistics":
        return True
    return clips.compact.average_frames == model.time_downsampling


def _describe(front: SpectrogramsParams, inputs: InputSpec) -> dict[str, Any]:
    own = describe_input(inputs)
    own.pop("frames_per_second", None)  # follows from sr and hop_length
    if front.embeddings != "none":
        own.setdefault("extractor", "unknown")
    return front.model_dump() | own
