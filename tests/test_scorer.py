"""A scorer is one file: what is written is what is read, and it needs nothing else."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import PARAMS
from twinear.errors import ClipError, DataError
from twinear.files import sha256
from twinear.model import SiameseNet
from twinear.params import read_params
from twinear.scorer import Scorer
from twinear.spectrograms import SpectrogramsParams
from twinear.training import TrainingParams


def small_scorer(seed: int = 0) -> Scorer:
    front = read_params("spectrograms", SpectrogramsParams, PARAMS)
    shape = read_params("training", TrainingParams, PARAMS).model
    shape = shape.model_copy(update={"channels": 8, "dense_units": 4})
    torch.manual_seed(seed)
    net = SiameseNet(front.n_mels, shape).eval()
    return Scorer(spectrograms=front, model=shape, net=net)


def spectrograms(clips: int) -> np.ndarray:
    return np.random.default_rng(0).random((clips, 64, 256)).astype(np.float16)


def tone(path: Path, hertz: float) -> Path:
    sr = 22050
    time = np.arange(3 * sr) / sr
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time), sr)
    return path


def test_a_scorer_read_back_scores_the_same(tmp_path: Path) -> None:
    scorer = small_scorer()
    scorer.write(tmp_path / "scorer.safetensors")
    again = Scorer.read(tmp_path / "scorer.safetensors")
    assert (again.spectrograms, again.model) == (scorer.spectrograms, scorer.model)
    u, v = scorer.encode(spectrograms(3)), again.encode(spectrograms(3))
    assert np.array_equal(scorer.score(u, u), again.score(v, v))


def test_equal_scorers_are_equal_files_and_others_are_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        small_scorer(seed).write(tmp_path / name)
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b") != sha256(tmp_path / "c")


def test_encoding_in_batches_changes_nothing() -> None:
    scorer, x = small_scorer(), spectrograms(300)
    whole = scorer.encode(x)
    np.testing.assert_allclose(whole[290:], scorer.encode(x[290:]), atol=1e-6)


def test_two_clips_are_scored_symmetrically_and_a_clip_is_most_like_itself(tmp_path: Path) -> None:
    scorer = small_scorer()
    low, high = tone(tmp_path / "low.wav", 200), tone(tmp_path / "high.wav", 3000)
    assert scorer.score_clips(low, high) == pytest.approx(scorer.score_clips(high, low), abs=1e-6)
    assert scorer.score_clips(low, low) >= scorer.score_clips(low, high)
    assert 0 < scorer.score_clips(low, high) < 1


def test_a_file_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_text("no sound")
    with pytest.raises(ClipError, match=r"a\.mp3"):
        small_scorer().score_clips(tmp_path / "a.mp3", tmp_path / "a.mp3")


@pytest.mark.parametrize("content", [b"", b"no scorer at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_scorer_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scorer.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is empty|is not a scorer .*dvc repro training"):
        Scorer.read(path)


def test_a_missing_scorer_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing; run 'dvc repro training'"):
        Scorer.read(tmp_path / "scorer.safetensors")
