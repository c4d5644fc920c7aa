"""The encoder of the network on NumPy arrays, in evaluation mode: it needs no torch.

Importing torch takes a second and a half, encoding a clip a hundredth of a second. The formulas are
those of `network`, the names of the weights too; a test compares both over every shape of the
network. The statistics have one definition. Many clips are encoded faster by torch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from twinear.model.inputs import InputSpec, block_sizes
from twinear.model.params import ModelParams
from twinear.spectrograms.statistics import EPSILON

Floats = npt.NDArray[Any]  # float32, which the types of NumPy lose on the way
Weights = Mapping[str, Floats]  # by name in the network

BATCH_NORM_EPSILON, NORMALIZE_EPSILON = 1e-5, 1e-12  # torch's


def count_units(model: ModelParams) -> int:
    """Count the units of an embedding, without listener factors."""
    units = {"statistics": model.statistics_units, "convolutions": model.dense_units}
    return units.get(model.branches, sum(units.values()))


def encode(
    inputs: InputSpec, model: ModelParams, weights: Weights, x: Floats, joined: Floats
) -> Floats:
    """Encode clips to embeddings, (clips, units), of length 1 for the cosine head.

    `x` is (clips, n_bands, n_frames), `joined` (clips, n_joined).
    """
    parts = []
    if model.branches != "convolutions":
        statistics = np.concatenate([*inputs.statistics(x, joined).values()], axis=1)
        coordinates = (statistics - weights["statistics.middle"]) @ weights["statistics.axes"]
        parts.append(coordinates + coordinates @ weights["statistics.map.weight"].T)
    if model.branches != "statistics":
        parts.append(_convolutions(model, weights, x))
    if model.head == "cosine":
        parts = [_normalized(part) for part in parts]
    if "share" in weights:
        share = 1 / (1 + np.exp(-weights["share"]))
        parts = [np.sqrt(1 - share) * parts[0], np.sqrt(share) * parts[1]]
    if "factors.weight" in weights:
        factors = _normalized(_normalized(coordinates) @ weights["factors.weight"])
        share = weights["factors.share"]
        parts = [*(np.sqrt(1 - share) * part for part in parts), np.sqrt(share) * factors]
    embeddings: Floats = np.concatenate(parts, axis=1)
    return embeddings


def _normalized(x: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.maximum(lengths, NORMALIZE_EPSILON)


def _convolutions(model: ModelParams, weights: Weights, x: Floats) -> Floats:
    x = np.moveaxis(x, 1, 2)  # (clips, frames, channels)
    starts = np.arange(0, x.shape[1], model.time_downsampling)
    sizes = np.diff(starts, append=x.shape[1])[:, None].astype(x.dtype)
    x = np.add.reduceat(x, starts, axis=1) / sizes
    for layer, pool in enumerate([*model.pools, 1]):
        block = {name: weights[f"convolutions.blocks.{layer}.{name}"] for name in _BLOCK}
        y = _convolved(x, block["0.weight"][:, :, 0], model.dilation**layer) + block["0.bias"]
        scale = block["2.weight"] / np.sqrt(block["2.running_var"] + BATCH_NORM_EPSILON)
        y = (np.maximum(y, 0) - block["2.running_mean"]) * scale + block["2.bias"]
        if model.residual and layer and y.shape == x.shape:
            y = y + x
        x = np.maximum.reduceat(y, np.arange(0, y.shape[1], pool), axis=1)
    pooled = [x.max(axis=1)]
    if model.global_pooling == "statistics":
        pooled += [x.mean(axis=1), np.sqrt(x.var(axis=1) + EPSILON)]
    dense, bias = (weights[f"convolutions.dense.0.{name}"] for name in ("weight", "bias"))
    embeddings: Floats = np.maximum(np.concatenate(pooled, axis=1) @ dense.T + bias, 0)
    return embeddings


_BLOCK = ("0.weight", "0.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var")


def _convolved(x: Floats, kernel: Floats, dilation: int) -> Floats:
    """Convolve (clips, frames, inputs) with (outputs, inputs, size) along the frames."""
    size = kernel.shape[2]
    padding = dilation * (size - 1) // 2 + (size % 2 == 0)
    x = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, dilation * (size - 1) + 1, axis=1)
    convolved: Floats = np.tensordot(windows[..., ::dilation], kernel, axes=((2, 3), (1, 2)))
    return convolved


def weight_shapes(
    inputs: InputSpec, model: ModelParams, n_factors: int = 0
) -> dict[str, tuple[int, ...]]:
    """List the weights of the network by name, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {"head.bias": ()}
    shapes |= (
        {"head.scale": ()} if model.head == "cosine" else {"head.weight": (count_units(model),)}
    )
    if model.head == "cosine" and model.branches == "both":
        shapes["share"] = ()
    if model.branches != "convolutions":
        n, units = sum(block_sizes(inputs).values()), model.statistics_units
        shapes |= {"statistics.middle": (n,), "statistics.axes": (n, units)}
        shapes["statistics.map.weight"] = (units, units)
        if n_factors:
            shapes |= {"factors.weight": (units, n_factors), "factors.share": ()}
    if model.branches != "statistics":
        n_inputs, channels = inputs.shape[0], model.channels
        for layer in range(model.conv_depth):
            block = f"convolutions.blocks.{layer}"
            shapes |= {f"{block}.{name}": (channels,) for name in _BLOCK}
            shapes[f"{block}.0.weight"] = (channels, n_inputs, 1, model.kernel_size)
            shapes[f"{block}.2.num_batches_tracked"] = ()
            n_inputs = channels
        pooled = channels * (1 if model.global_pooling == "max" else 3)
        shapes |= {"convolutions.dense.0.weight": (model.dense_units, pooled)}
        shapes |= {"convolutions.dense.0.bias": (model.dense_units,)}
    return shapes
