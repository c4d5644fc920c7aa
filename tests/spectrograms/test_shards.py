"""Shards hold what one piece holds, are taken up again, and say what is wrong with them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import PARAMS
from tests.support.audio import music, write_clip
from tests.support.checksums import forget_checksums
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.base.params import read_params
from twinear.clips.clips import Clips
from twinear.spectrograms.computation import (
    EmbeddingSource,
    compute_spectrograms,
    write_spectrograms,
)
from twinear.spectrograms.embedding_table import EmbeddingTable
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.quantisation import LEVELS, as_floats, quantise
from twinear.spectrograms.shards import Shards
from twinear.spectrograms.spectrograms import Spectrograms, StorageParams, array_files, digest
from twinear.spectrograms.statistics import spectrogram_statistics

FRONT = read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
    update={"n_frames": 43, "embeddings": "auto"}
)
STORAGE = read_params("storage", StorageParams, PARAMS)


def storage(**changes: Any) -> StorageParams:
    return STORAGE.model_copy(update={"shards_from": 2, "shard_clips": 2, **changes})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clips]:
    """Five short clips."""
    folder = tmp_path_factory.mktemp("data")
    rows: list[dict[str, Any]] = []
    for seed in range(5):
        path = write_clip(folder / f"{seed}.wav", music(1, 22050, seed), 22050)
        names = {"file": path.name, "artist": f"a{seed}", "name": f"A{seed}"}
        facts = {"seconds": 1.0, "sr": 22050, "channels": 1, "sha256": sha256(path)}
        rows.append(names | {"title": "", "source": ""} | facts)
    return folder, Clips(table=pd.DataFrame(rows))


@pytest.fixture(scope="module")
def embeddings(corpus: tuple[Path, Clips]) -> EmbeddingSource:
    files = list(corpus[1].table["file"])
    vector = np.random.default_rng(0).random((len(files), 3), np.float32)
    return EmbeddingSource(extractor="x", table=EmbeddingTable(clips=files, vector=vector))


@pytest.fixture(scope="module")
def whole(corpus: tuple[Path, Clips], embeddings: EmbeddingSource) -> Spectrograms:
    """All clips in one piece, in full."""
    folder, clips = corpus
    return compute_spectrograms(clips, folder, FRONT, list, 1, embeddings)


@pytest.fixture
def write(corpus: tuple[Path, Clips], embeddings: EmbeddingSource) -> Callable[..., Spectrograms]:
    folder, clips = corpus

    def written(out: Path, data: Path = folder, **changes: Any) -> Spectrograms:
        write_spectrograms(clips, data, FRONT, storage(**changes), out, list, 1, embeddings)
        return Spectrograms.read(out)

    return written


# the array


@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    rows=st.lists(st.integers(-3, 2), max_size=5),
)
def test_rows_of_files_are_those_of_their_array(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], rows: list[int]
) -> None:
    folder, n = tmp_path_factory.mktemp("rows"), sum(lengths)
    array = np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)
    files = [folder / f"{number}.npy" for number in range(len(lengths))]
    for file, part in zip(files, np.split(array, np.cumsum(lengths)[:-1]), strict=True):
        np.save(file, part)
    shards = Shards.open(files, "")
    chosen = np.array([row % n for row in rows], np.int64)
    assert (shards.shape, shards.nbytes) == (array.shape, array.nbytes)
    np.testing.assert_array_equal(shards, array)
    np.testing.assert_array_equal(shards[chosen], array[chosen])
    np.testing.assert_array_equal(shards[1:], array[1:])
    np.testing.assert_array_equal(shards[-1], array[-1])
    np.testing.assert_array_equal(shards.select(chosen)[::-1], array[chosen][::-1])
    np.testing.assert_array_equal(np.concatenate(list(shards.blocks(2))), array)


@pytest.mark.parametrize("average_frames", [1, 3, 4])
def test_frames_are_averaged_as_the_convolutions_do(average_frames: int) -> None:
    values = np.random.default_rng(0).random((5, 22), np.float32)
    expected = torch.nn.functional.avg_pool1d(
        torch.from_numpy(values)[None], average_frames, ceil_mode=True
    )[0].numpy()
    found = as_floats(quantise(values, average_frames))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 0.5 / LEVELS + 1e-6


# on disk


def test_full_shards_hold_what_one_piece_holds(
    tmp_path: Path, whole: Spectrograms, write: Callable[..., Spectrograms]
) -> None:
    read = write(tmp_path / "out", form="full")
    assert isinstance(read.values, Shards)
    pd.testing.assert_frame_equal(read.clips, whole.clips)
    assert (read.front, read.extractor) == (whole.front, whole.extractor)
    for name in "values", "mfcc_mean", "mfcc_cov", "joined":
        np.testing.assert_array_equal(getattr(read, name), getattr(whole, name))
    some = read.select(np.array([4, 1]))
    np.testing.assert_array_equal(some.values, whole.values[np.array([4, 1])])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_compact_form_keeps_all_statistics(
    tmp_path: Path, whole: Spectrograms, write: Callable[..., Spectrograms]
) -> None:
    read = write(tmp_path / "out", average_frames=4)
    assert read.compact is not None
    full = np.asarray(whole.values, np.float32)
    blocks = spectrogram_statistics(full, FRONT.sr / FRONT.hop_length, FRONT.top_db)
    expected = np.concatenate(list(blocks.values()), axis=1)
    # one clip at a time adds in another order
    np.testing.assert_allclose(read.compact.statistics, expected, rtol=1e-3, atol=1e-3)
    assert read.values.shape == (5, FRONT.n_mels, 11)
    for compact, values in zip(np.asarray(read.values), full, strict=True):
        np.testing.assert_array_equal(compact, quantise(values, 4))
    alone = FRONT.model_copy(update={"embeddings": "only"})
    np.testing.assert_array_equal(read.for_front_end(alone).values[:, :, 0], whole.joined)
    assert read.for_front_end(alone).compact is None


def test_few_clips_stay_in_one_piece(
    tmp_path: Path, whole: Spectrograms, write: Callable[..., Spectrograms]
) -> None:
    assert isinstance(write(tmp_path / "out", shards_from=6).values, np.memmap)
    assert digest(tmp_path / "out") == sha256(tmp_path / "out" / "spectrograms.npy")


def test_an_interrupted_stage_continues_with_the_shards_that_are_whole(
    tmp_path: Path, corpus: tuple[Path, Clips], write: Callable[..., Spectrograms]
) -> None:
    uninterrupted = write(tmp_path / "expected")
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(corpus[0], data)
    (data / "3.wav").rename(tmp_path / "away.wav")  # of the second shard
    with pytest.raises(DataError, match=r"3\.wav: vanished"):
        write(out, data)
    assert not out.exists()
    (done,) = (tmp_path / ".out.shards").iterdir()
    first = (done / "spectrograms.npy").stat().st_ino
    (tmp_path / ".out.shards" / ".left.1.part").mkdir()  # by a process that was killed
    (tmp_path / "away.wav").rename(data / "3.wav")
    (data / "0.wav").unlink()  # nobody needs it now
    continued = write(out, data)
    assert (out / "shards" / "00000" / "spectrograms.npy").stat().st_ino == first
    np.testing.assert_array_equal(continued.values, uninterrupted.values)
    assert digest(out) == digest(tmp_path / "expected")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "expected", "out"]


def test_shards_of_other_params_are_computed_again(
    tmp_path: Path, corpus: tuple[Path, Clips], write: Callable[..., Spectrograms]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(corpus[0], data)
    (data / "4.wav").unlink()
    for average_frames in (4, 2):
        with pytest.raises(DataError, match=r"4\.wav: vanished"):
            write(out, data, average_frames=average_frames)
    shutil.copy(corpus[0] / "4.wav", data)
    assert write(out, data, average_frames=2).values.shape[2] == 22


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    corpus: tuple[Path, Clips],
    embeddings: EmbeddingSource,
) -> Path:
    """Three shards in the compact form."""
    out = tmp_path_factory.mktemp("written") / "out"
    write_spectrograms(corpus[1], corpus[0], FRONT, storage(), out, list, 1, embeddings)
    return out


def damage(out: Path, how: str) -> None:
    shard = out / "shards" / "00001"
    arrays, params = shard / "spectrograms.npy", shard / "params.json"
    made = json.loads(params.read_text())
    if how == "missing":
        shutil.rmtree(shard)
    elif how == "truncated":
        arrays.write_bytes(arrays.read_bytes()[:-10])
    elif how == "of other frames":
        np.save(arrays, np.zeros((2, FRONT.n_mels, 5), np.uint8))
    elif how == "fewer":
        np.save(arrays, np.zeros((1, FRONT.n_mels, 11), np.uint8))
    elif how == "of other params":
        params.write_text(json.dumps(made | {"n_mels": 20}))
    elif how == "no params":
        params.write_text("{")
    elif how == "of other clips":
        shutil.copytree(out / "shards" / "00000", shard, dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", r"00001/params\.json: is missing; run 'dvc repro spectrograms'"),
        ("truncated", r"00001/spectrograms\.npy: cannot be read.*dvc repro"),
        ("of other frames", r"00001/spectrograms\.npy: has uint8 rows .*\(40, 11\).*00000"),
        ("fewer", r"shards/0000[12]: is of other clips"),
        ("no params", r"00001/params\.json: cannot be read .*dvc repro"),
        ("of other params", r"00001: has n_mels 20, expected n_mels 40"),
        ("of other clips", r"00001: is of other clips, expected those in rows 2 to 3"),
    ],
)
def test_a_broken_shard_is_named(tmp_path: Path, written: Path, how: str, message: str) -> None:
    shutil.copytree(written, tmp_path / "out")
    damage(tmp_path / "out", how)
    with pytest.raises(DataError, match=message):
        Spectrograms.read(tmp_path / "out")


def test_a_shard_truncated_after_it_was_opened_is_named(tmp_path: Path, written: Path) -> None:
    shutil.copytree(written, tmp_path / "out")
    read = Spectrograms.read(tmp_path / "out")
    damage(tmp_path / "out", "truncated")
    assert read.values[:3].any()
    with pytest.raises(DataError, match=r"00001/spectrograms\.npy: ends too early"):
        read.values[3]


def test_the_digest_covers_what_a_network_gets(tmp_path: Path, written: Path) -> None:
    shutil.copytree(written, tmp_path / "out")
    assert len(array_files(tmp_path / "out")) == 9  # of three shards: log-mels, statistics, vectors
    before = digest(tmp_path / "out")
    damage(tmp_path / "out", "fewer")
    with pytest.raises(DataError, match=r"00001/spectrograms\.npy: has changed.*dvc repro"):
        digest(tmp_path / "out")
    forget_checksums(tmp_path / "out")
    assert digest(tmp_path / "out") != before
