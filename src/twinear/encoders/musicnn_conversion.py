"""The weights of musicnn: from its package on PyPI to the safetensors that are shipped here.

    pip download musicnn==0.1.0 --no-deps
    python -m twinear.encoders.musicnn_conversion musicnn-0.1.0-py3-none-any.whl FOLDER

The package holds TensorFlow checkpoints, which are read here without TensorFlow: the `.index` is a
LevelDB table of names, shapes and offsets (TensorFlow's `tensor_bundle.proto`), the `.data` the
float32 numbers one after the other. Written are the weights up to the penultimate layer, under the
names of `musicnn.Musicnn`, in the layout of torch and in float16; the optimiser's state is left
out.
"""

import argparse
import hashlib
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from twinear.base.errors import DataError
from twinear.base.files import replacing

Floats = npt.NDArray[np.float32]

MODELS = {"musicnn-msd": "MSD_musicnn", "musicnn-mtt": "MTT_musicnn"}  # ours -> the package's
LICENCE = "musicnn-0.1.0.dist-info/LICENSE.md"
EXPECTED = "the wheel of musicnn 0.1.0"
REMEDY = "get it with 'pip download musicnn==0.1.0 --no-deps'"

FOOTER = 48  # bytes at the end of a LevelDB table
MAGIC = bytes.fromhex("57fb808b247547db")
FLOAT32 = 1  # in TensorFlow's `types.proto`
# fields of `BundleEntryProto`, of its `TensorShapeProto`, and of that one's `Dim`
DTYPE, SHAPE, OFFSET, SIZE = 1, 2, 4, 5
DIM, DIM_SIZE = 2, 1
VARINT, BYTES, FIXED = 0, 2, {1: 8, 5: 4}  # types of a field; those of a fixed size in bytes

NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def convert(wheel: Path, folder: Path) -> dict[str, str]:
    """Write the weights and the licence of musicnn.

    Returns
    -------
    The SHA-256 of each file of weights.

    Raises
    ------
    DataError
        It is not the wheel of musicnn, or a checkpoint in it is damaged.
    """
    digests = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            folder.mkdir(parents=True, exist_ok=True)
            for model, original in MODELS.items():
                prefix = f"musicnn/{original}/"
                index = archive.read(f"{prefix}.index")
                data = archive.read(f"{prefix}.data-00000-of-00001")
                weights = translate(read_checkpoint(index, data))
                content = save({name: each.astype(np.float16) for name, each in weights.items()})
                with replacing(folder / f"{model}.safetensors") as temporary:
                    temporary.write_bytes(content)
                digests[model] = hashlib.sha256(content).hexdigest()
            with replacing(folder / "LICENSE-musicnn.md") as temporary:
                temporary.write_bytes(archive.read(LICENCE))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, IndexError, struct.error) as error:
        found = f"cannot be converted ({error})"
        raise DataError(wheel, found, expected=EXPECTED, remedy=REMEDY) from None
    return digests


def translate(variables: Mapping[str, Floats]) -> dict[str, Floats]:
    """Translate the variables of a checkpoint to the state of `musicnn.Musicnn`.

    Raises
    ------
    KeyError
        One is missing.
    """
    layers = {f"front.{n}": (n, n + 1) for n in range(5)} | {
        f"mid.{n}": (n + 5, n + 6) for n in range(3)
    }
    weights = {}
    for layer, (conv, norm) in layers.items():
        name = f"conv2d_{conv}" if conv else "conv2d"
        kernel = variables[f"{name}/kernel"]  # (height, width, inputs, outputs)
        if layer.startswith("mid"):  # over time alone: all bands are inputs, (outputs, bands, time)
            weights[f"{layer}.conv.weight"] = kernel[:, :, 0].transpose(2, 1, 0)
        else:
            weights[f"{layer}.conv.weight"] = kernel.transpose(3, 2, 0, 1)
        weights[f"{layer}.conv.bias"] = variables[f"{name}/bias"]
        weights |= _norm(variables, f"batch_normalization_{norm}", f"{layer}.norm")
    weights |= _norm(variables, "batch_normalization", "input_norm")
    weights |= _norm(variables, "batch_normalization_9", "pooled_norm")
    weights["dense.weight"] = variables["dense/kernel"].T
    weights["dense.bias"] = variables["dense/bias"]
    weights |= _norm(variables, "batch_normalization_10", "dense_norm")
    return {name: np.ascontiguousarray(each) for name, each in weights.items()}


def _norm(variables: Mapping[str, Floats], theirs: str, ours: str) -> dict[str, Floats]:
    return {f"{ours}.{name}": variables[f"{theirs}/{original}"] for original, name in NORM.items()}


def read_checkpoint(index: bytes, data: bytes) -> dict[str, Floats]:
    """Read the float32 variables of a TensorFlow checkpoint that has one file of data.

    Raises
    ------
    ValueError, IndexError
        The index is no LevelDB table, is compressed, or the data end too early.
    """
    if not index.endswith(MAGIC):
        raise ValueError("its index is no LevelDB table")
    footer = index[-FOOTER:]
    _, at = _read_handle(footer, 0)  # of the block that describes the table: not needed
    blocks, _ = _read_handle(footer, at)
    variables = {}
    for _, value in _read_block(index, blocks):
        block, _ = _read_handle(value, 0)
        for key, entry in _read_block(index, block):
            fields = dict(_read_message(entry))
            if not key or fields.get(DTYPE) != FLOAT32:  # without a name it is the header
                continue
            dims = [dim for number, dim in _read_message(fields.get(SHAPE, b"")) if number == DIM]
            shape = [dict(_read_message(dim))[DIM_SIZE] for dim in dims]
            offset, size = fields.get(OFFSET, 0), fields[SIZE]
            numbers = np.frombuffer(data[offset : offset + size], "<f4")
            variables[key.decode()] = numbers.reshape(shape)
    return variables


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, lowest first; and where it ends.

    Examples
    --------
    >>> _read_varint(bytes([0b10101100, 0b10]), 0)
    (300, 2)
    """
    number = shift = 0
    while content[at] >= 128:
        number |= (content[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return number | content[at] << shift, at + 1


def _read_handle(content: bytes, at: int) -> tuple[slice, int]:
    """Read where a block of a LevelDB table is, with the first byte of its trailer."""
    start, at = _read_varint(content, at)
    size, at = _read_varint(content, at)
    return slice(start, start + size + 1), at


def _read_block(table: bytes, where: slice) -> Iterator[tuple[bytes, bytes]]:
    """Read the keys and values of a block; a key shares its beginning with the one before."""
    *_, compression = block = table[where]
    if compression:
        raise ValueError("its index is compressed")
    (n_restarts,) = struct.unpack("<I", block[-5:-1])
    key, at, end = b"", 0, len(block) - 5 - 4 * n_restarts
    while at < end:
        n_shared, at = _read_varint(block, at)
        n_own, at = _read_varint(block, at)
        size, at = _read_varint(block, at)
        key = key[:n_shared] + block[at : at + n_own]
        at += n_own
        yield key, block[at : at + size]
        at += size


def _read_message(content: bytes) -> Iterator[tuple[int, Any]]:
    """Read the fields of a protocol buffer: their numbers with a number or bytes."""
    at = 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        if tag & 7 == VARINT:
            value, at = _read_varint(content, at)
            yield tag >> 3, value
            continue
        if tag & 7 == BYTES:
            size, at = _read_varint(content, at)
        else:
            size = FIXED[tag & 7]
        yield tag >> 3, content[at : at + size]
        at += size


def main() -> None:
    """Convert the wheel, and print the hashes that `musicnn.MODELS` holds."""
    parser = argparse.ArgumentParser(description="Convert the weights of musicnn.")
    parser.add_argument("wheel", type=Path, help=EXPECTED)
    parser.add_argument("folder", type=Path, help="where the safetensors go")
    options = parser.parse_args()
    for model, digest in convert(options.wheel, options.folder).items():
        print(f"{model}.safetensors {digest}")


if __name__ == "__main__":
    main()
