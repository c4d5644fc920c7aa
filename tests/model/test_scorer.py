"""A scorer is one file: what is written is what is read, and it needs nothing else."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors import safe_open
from safetensors.numpy import save

from tests.support.scorers import (
    ALONE,
    FRONT,
    JOINED,
    clip_spectrograms,
    small_scorer,
    spectrograms,
)
from twinear.base.errors import ClipError, DataError
from twinear.base.files import sha256
from twinear.inference import score
from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms


def tone(path: Path, hertz: float) -> Path:
    sr = 22050
    time = np.arange(3 * sr) / sr
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time), sr)
    return path


def test_a_scorer_read_back_scores_the_same(tmp_path: Path) -> None:
    scorer = small_scorer()
    scorer.write(tmp_path / "scorer.safetensors")
    again = Scorer.read(tmp_path / "scorer.safetensors")
    assert (again.spectrograms, again.inputs) == (scorer.spectrograms, scorer.inputs)
    assert again.model == scorer.model
    assert not again.net.training
    u, v = scorer.encode(spectrograms(3)), again.encode(spectrograms(3))
    assert np.array_equal(scorer.score(u, u), again.score(v, v))


def test_equal_scorers_are_equal_files_and_others_are_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        small_scorer(seed).write(tmp_path / name)
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b") != sha256(tmp_path / "c")


def test_encoding_in_batches_or_without_torch_changes_nothing() -> None:
    scorer, x = small_scorer(), spectrograms(300)
    whole = scorer.encode_many(x)
    np.testing.assert_allclose(whole[290:], scorer.encode_many(x[290:]), atol=1e-6)
    np.testing.assert_allclose(whole[290:], scorer.encode(x[290:]), atol=1e-5)


def test_two_clips_are_scored_symmetrically_and_a_clip_is_most_like_itself(tmp_path: Path) -> None:
    scorer = small_scorer()
    low, high = tone(tmp_path / "low.wav", 200), tone(tmp_path / "high.wav", 3000)
    assert score(scorer, low, high) == pytest.approx(score(scorer, high, low), abs=1e-6)
    assert score(scorer, low, low) >= score(scorer, low, high)
    assert 0 < score(scorer, low, high) < 1


def test_a_file_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_text("no sound")
    with pytest.raises(ClipError, match=r"a\.mp3"):
        score(small_scorer(), tmp_path / "a.mp3", tmp_path / "a.mp3")


@pytest.mark.parametrize("content", [b"", b"no scorer at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_scorer_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scorer.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"scorer\.safetensors: .*(empty|not a scorer .*dvc repro training)"
    ):
        Scorer.read(path)


def test_a_missing_scorer_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing; .*dvc repro training"):
        Scorer.read(tmp_path / "scorer.safetensors")


# --- what it hears ----------------------------------------------------------------------------


def test_the_header_says_how_clips_become_scores(tmp_path: Path) -> None:
    small_scorer(front=JOINED, n_dims=3).write(tmp_path / "scorer")
    with safe_open(tmp_path / "scorer", framework="pt") as file:
        header = json.loads(file.metadata()["twinear"])
    assert list(header) == ["crc32", "inputs", "model", "spectrograms"]
    assert header["inputs"] == {
        "kind": "log_mel", "n_mels": 16, "n_frames": 64, "frames_per_second": 22050 / 512,
        "top_db": 80, "n_joined": 3,
    }  # fmt: skip
    assert header["spectrograms"]["embeddings"] == "concat"
    assert header["model"]["head"] == "cosine"


@pytest.mark.parametrize(("front", "n_dims"), [(FRONT, 0), (JOINED, 3), (ALONE, 5)])
def test_clips_of_its_own_front_end_are_heard(
    tmp_path: Path, front: SpectrogramsParams, n_dims: int
) -> None:
    scorer = small_scorer(front=front, n_dims=n_dims)
    clips = clip_spectrograms(5, front, n_dims)
    embeddings = scorer.encode_spectrograms(clips)
    assert embeddings.shape == (5, scorer.units)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    clips.write(tmp_path / "spectrograms")  # read back they stay on disk, not to be written to
    assert np.array_equal(
        scorer.encode_spectrograms(Spectrograms.read(tmp_path / "spectrograms")), embeddings
    )


@pytest.mark.parametrize(
    ("front", "n_dims", "message"),
    [
        (FRONT.model_copy(update={"sr": 16000, "fmax": 8000.0}), 0,
         r"sr 16000, fmax 8000\.0, .*sr 22050, fmax 11025\.0"),
        (FRONT.model_copy(update={"n_frames": 32}), 0, "n_frames 32, .*n_frames 64"),
        (ALONE, 3, "embeddings only, .*embeddings none"),
    ],
)  # fmt: skip
def test_clips_of_another_front_end_are_refused_with_both_values(
    front: SpectrogramsParams, n_dims: int, message: str
) -> None:
    with pytest.raises(DataError, match=f"spectrograms: .*{message}"):
        small_scorer().encode_spectrograms(clip_spectrograms(2, front, n_dims))


@pytest.mark.parametrize(("front", "key"), [(JOINED, "n_joined"), (ALONE, "n_dims")])
def test_embeddings_of_another_length_are_refused_with_both_lengths(
    front: SpectrogramsParams, key: str
) -> None:
    with pytest.raises(DataError, match=f"{key} 4, .*{key} 3"):
        small_scorer(front=front, n_dims=3).encode_spectrograms(
            clip_spectrograms(2, front, n_dims=4)
        )


def test_a_scorer_of_unknown_embeddings_cannot_hear_files(tmp_path: Path) -> None:
    file = tone(tmp_path / "a.wav", 440)
    message = "made by an unknown extractor.*twinear embed"
    with pytest.raises(DataError, match=message):
        score(small_scorer(front=JOINED, n_dims=3), file, file)


def test_a_scorer_whose_weights_are_of_another_shape_is_refused(tmp_path: Path) -> None:
    scorer = small_scorer()
    wide = scorer.model.model_copy(update={"channels": 9})
    replace(scorer, model=wide).write(tmp_path / "scorer")
    with pytest.raises(DataError, match="is not a scorer"):
        Scorer.read(tmp_path / "scorer")


# --- faults -----------------------------------------------------------------------------------


def with_weight(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Scorer:
    scorer = small_scorer()
    weights = dict(scorer.weights)
    weights[name] = np.asarray(change(weights[name]))
    return replace(scorer, weights=weights)


VARIANCE = "convolutions.blocks.0.2.running_var"
DENSE = "convolutions.dense.0.weight"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (DENSE, lambda w: np.where(w == w.max(), np.nan, w), "not all finite"),
        ("head.bias", lambda w: w + np.float32(np.inf), "not all finite"),
        (DENSE, lambda w: w * np.float32(1e30), "larger than 1,000,000"),
        (VARIANCE, lambda w: -w, "negative"),
        (DENSE, lambda w: w.astype(np.float16), "are float16"),
        (DENSE, lambda w: w.view(np.int32), "are int32"),
    ],
)
def test_weights_that_give_no_numbers_are_refused(
    tmp_path: Path, name: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    with_weight(name, change).write(tmp_path / "scorer")
    with pytest.raises(DataError, match=rf"scorer: is not a scorer .*{name} .*{message}"):
        Scorer.read(tmp_path / "scorer")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("spectrograms", "n_fft", 2**40),
        ("spectrograms", "hop_length", 2**40),
        ("spectrograms", "sr", 10**9),
        ("spectrograms", "n_mels", 10**6),
        ("spectrograms", "n_frames", 10**9),
        ("spectrograms", "top_db", 1e300),
        ("spectrograms", "top_db", float("nan")),
        ("inputs", "n_mels", 10**9),
        ("inputs", "n_frames", 65),
        ("inputs", "n_joined", -1),
        ("inputs", "n_mels", "16"),
        ("inputs", "another", 1),
        ("inputs", "kind", "another"),
        ("model", "channels", 10**12),
        ("model", "conv_depth", -1),
    ],
)
def test_a_header_that_asks_for_the_absurd_is_refused(
    tmp_path: Path, part: str, key: str, value: object
) -> None:
    path = tmp_path / "scorer"
    small_scorer().write(path)
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["twinear"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["crc32"]  # as somebody else would write it
    header[part][key] = value
    path.write_bytes(save(weights, {"twinear": json.dumps(header)}))
    with pytest.raises(DataError, match=r"scorer: is not a scorer .*dvc repro training") as error:
        Scorer.read(path)
    assert "\n" not in str(error.value)


def test_a_scorer_of_before_checksums_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scorer"
    small_scorer().write(path)
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["twinear"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["crc32"]
    path.write_bytes(save(weights, {"twinear": json.dumps(header)}))
    assert Scorer.read(path).model == small_scorer().model


def test_a_score_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    broken = with_weight("head.bias", lambda w: w * np.float32(np.nan))  # not read from a file
    file = tone(tmp_path / "a.wav", 440)
    with pytest.raises(DataError, match="no finite number"):
        score(broken, file, file)
