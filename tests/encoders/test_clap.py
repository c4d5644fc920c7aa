"""CLAP's embeddings are those of the model itself; runs resume; what is wrong is one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.audio import music, write_clip
from tests.support.tiny_clap import N_DIMS, save_clap, tiny_clap
from twinear.base.errors import DataError, TwinearError
from twinear.clips.waveform import load_waveform
from twinear.encoders.clap import load_clap
from twinear.encoders.embedding import EmbedParams, EmbedReport, embed_clips
from twinear.encoders.encoder import Encoder
from twinear.encoders.loading import find_encoder, load_encoder
from twinear.encoders.windows import N_WINDOWS, cut_windows
from twinear.spectrograms.embedding_table import EmbeddingTable

CARD = "---\nlicense: other\nlicense_name: tiny-1.0\n---\n# Tiny\n"
SR = WINDOW = 48000
MEAN = EmbedParams(frames=False, replace=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clap(tmp_path_factory.mktemp("models") / "tiny", CARD)


@pytest.fixture(scope="module")
def encoder(model: Path) -> Encoder:
    return load_clap(str(model), print)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of clips of half a second, 2 and 5 seconds; a fourth cannot be decoded."""
    data = tmp_path_factory.mktemp("embed") / "data"
    for seed, seconds in enumerate((0.5, 2, 5)):
        write_clip(data / f"clips/{seed}.wav", music(seconds, 22050, seed), 22050)
    (data / "clips/9.wav").write_bytes(b"no audio")
    rows = "".join(f"clips/{name}.wav,A\n" for name in (2, 1, 9, 0, 2))
    (data / "clips.csv").write_text(f"file,artist\n{rows}")
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def embed(encoder: Encoder, data: Path, params: EmbedParams = MEAN) -> EmbedReport:
    return embed_clips(encoder, data, data / "clips/embeddings.npz", params, list, 1)


def read(data: Path) -> EmbeddingTable:
    return EmbeddingTable.read(data / "clips/embeddings.npz")


# windows


def test_three_windows_are_spread_over_the_middle() -> None:
    y = np.arange(100, dtype=np.float32)
    np.testing.assert_array_equal(cut_windows(y, 20)[:, 0], [20, 40, 60])
    np.testing.assert_array_equal(cut_windows(y[:50], 20)[:, 0], [0, 15, 30])
    np.testing.assert_array_equal(cut_windows(y[:8], 20), [np.arange(20) % 8] * 3)


# vectors


def test_a_vector_is_clap_s_embedding_of_the_windows(
    model: Path, encoder: Encoder, data: Path
) -> None:
    report = embed(encoder, data, EmbedParams(frames=True, replace=False))
    assert (report.clips, report.new, report.shape) == (3, 3, (N_DIMS, N_WINDOWS))
    table = read(data)
    assert list(table.clips) == ["clips/0.wav", "clips/1.wav", "clips/2.wav"]
    windows = cut_windows(load_waveform(data / "clips/2.wav", SR), WINDOW)
    from transformers import ClapFeatureExtractor

    front = ClapFeatureExtractor.from_pretrained(model)
    inputs = front(list(windows), sampling_rate=SR, return_tensors="pt")
    with torch.inference_mode():
        expected = tiny_clap().get_audio_features(**inputs).pooler_output  # (windows, n_dims)
    np.testing.assert_allclose(table.vector[2], expected.numpy().T, atol=1e-5)
    assert not np.allclose(table.vector[2, :, 0], table.vector[2, :, 1], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(table.vector, axis=1), 1, atol=1e-5)


def test_a_clips_vector_is_the_mean_of_its_windows(encoder: Encoder, data: Path) -> None:
    assert embed(encoder, data).shape == (N_DIMS,)
    table = read(data)
    windows = cut_windows(load_waveform(data / "clips/2.wav", SR), WINDOW)
    expected = encoder.embed(windows).mean(axis=0)
    np.testing.assert_allclose(table.vector[2], expected, atol=1e-6)
    assert table.extractor == encoder.name
    assert encoder.name.startswith("CLAP tiny ")
    assert table.licence == "other tiny-1.0"


def test_a_model_with_fusion_gives_the_same_vectors_each_time(tmp_path: Path, data: Path) -> None:
    encoder = load_clap(str(save_clap(tmp_path / "fused", fusion=True)), print)
    windows = cut_windows(music(2, SR), WINDOW)
    first = encoder.embed(windows)
    np.testing.assert_array_equal(encoder.embed(windows), first)
    np.testing.assert_allclose(encoder.embed(windows[1:]), first[1:], atol=1e-5)


def test_a_clip_that_cannot_be_decoded_is_set_aside(encoder: Encoder, data: Path) -> None:
    (data / "clips/1.wav").unlink()
    report = embed(encoder, data)
    assert list(report.set_aside) == ["clips/1.wav", "clips/9.wav"]
    assert report.set_aside["clips/1.wav"] == "is not there"
    assert "\n" not in report.set_aside["clips/9.wav"]
    assert list(read(data).clips) == ["clips/0.wav", "clips/2.wav"]


def test_a_clip_far_above_full_scale_is_set_aside(data: Path) -> None:
    write_clip(data / "clips/1.wav", music(2, 22050) * 1e25, 22050, "pcm_f32le")
    report = embed(load_encoder("musicnn-msd", print), data)
    assert report.set_aside["clips/1.wav"] == "is too loud: its embedding is not finite"
    assert list(read(data).clips) == ["clips/0.wav", "clips/2.wav"]
    assert report.licence.startswith("ISC")


def test_clips_that_cannot_be_decoded_are_refused(encoder: Encoder, data: Path) -> None:
    (data / "clips.csv").write_text("file,artist\nclips/9.wav,A\n")
    with pytest.raises(DataError, match=r"clips\.csv: names no clip .*\(clips/9\.wav: "):
        embed(encoder, data)
    assert not (data / "clips/embeddings.npz").exists()


# model, licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("", ""),
        ("# no front matter\n", ""),
        ("---\ntags: [audio]\n---\n", ""),
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: [broken\n---\n", ""),
        ("---\n- a list\n---\n", ""),
    ],
)
def test_the_licence_is_that_of_the_model_card(
    model: Path, tmp_path: Path, card: str, licence: str
) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / "README.md").write_text(card)
    assert load_clap(str(folder), print).licence == licence


def _only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _weights(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)


def _config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _without_some(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["audio_projection.linear1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


BROKEN = {
    "pickle": (_only_pickle, r"weights as pickle \(pytorch_model\.bin\), expected \*\.safetens"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"config\.json: is missing"),
    "no front": (
        lambda folder: (folder / "preprocessor_config.json").unlink(),
        r"preprocessor_config\.json: is missing; name another model",
    ),
    "another": (lambda folder: _config(folder, model_type="bert"), "model_type is bert, expected"),
    "words": (lambda folder: (folder / "config.json").write_text("x"), "model_type is unknown"),
    "damaged": (lambda folder: _weights(folder, b"x" * 99), "cannot be loaded .*expected a CLAP"),
    "fewer": (_without_some, r"lacks 1 weights, the first audio_projection\.linear1\.weight"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_folder_that_is_no_safe_clap_is_refused(model: Path, tmp_path: Path, kind: str) -> None:
    spoil, message = BROKEN[kind]
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    spoil(folder)
    with pytest.raises(DataError, match=message):
        load_clap(str(folder), print)


def test_code_that_a_model_brings_is_not_run(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    _config(folder, auto_map={"AutoModel": "own.Own", "AutoConfig": "own.Config"})
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    load_clap(str(folder), print)
    assert not (tmp_path / "ran").exists()


def test_what_is_neither_folder_nor_name_is_refused() -> None:
    with pytest.raises(DataError, match="no/such/folder: is not a folder"):
        load_clap("no/such/folder", print)


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TwinearError, match=r"not installed; pip install 'twinear\[embed\]'"):
        load_clap("any", print)


def test_a_scorers_clap_is_found_in_the_folder_that_the_environment_names(
    model: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        DataError, match=r"made by CLAP tiny .*; name the model's folder in TWINEAR"
    ):
        find_encoder(encoder.name)
    monkeypatch.setenv("TWINEAR_CLAP", str(model))
    windows = cut_windows(music(1, SR), WINDOW)
    expected = encoder.embed(windows)
    np.testing.assert_array_equal(find_encoder(encoder.name).embed(windows), expected)
    other = encoder.name.replace("mix", "old mix")
    with pytest.raises(DataError, match=r"made by CLAP tiny .* old mix 3, expected CLAP tiny"):
        find_encoder(other)


# going on


def test_only_new_and_changed_clips_are_embedded_again(encoder: Encoder, data: Path) -> None:
    assert embed(encoder, data).new == 3
    first = read(data)
    write_clip(data / "clips/1.wav", music(2, 22050, 7), 22050)
    write_clip(data / "clips/9.wav", music(1, 22050, 8), 22050)
    report = embed(encoder, data)
    assert (report.clips, report.new, report.set_aside) == (4, 2, {})
    again = read(data)
    np.testing.assert_array_equal(again.vector[[0, 2]], first.vector[[0, 2]])
    assert not np.allclose(again.vector[1], first.vector[1], atol=1e-6)
    assert embed(encoder, data).new == 0


def test_what_was_done_before_an_interrupt_is_kept(
    encoder: Encoder, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(files: Iterable[str]) -> Iterable[str]:
        yield from list(files)[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr("twinear.encoders.encoder.BATCH", 1)
    into = data / "clips/embeddings.npz"
    with pytest.raises(KeyboardInterrupt):
        embed_clips(encoder, data, into, MEAN, interrupted, 1)
    assert list(read(data).clips) == ["clips/0.wav", "clips/1.wav"]
    assert embed(encoder, data).new == 1
    assert len(read(data).clips) == 3
    assert not [path for path in data.rglob("*") if path.suffix == ".part"]


def test_another_extractors_table_is_replaced_only_if_asked(encoder: Encoder, data: Path) -> None:
    held = EmbeddingTable(
        clips=["clips/0.wav"], vector=np.ones((1, 3), np.float32), extractor="musicnn"
    )
    held.write(data / "clips/embeddings.npz")
    with pytest.raises(DataError, match=r"vectors by musicnn, expected CLAP .*--replace"):
        embed(encoder, data)
    assert read(data).extractor == "musicnn"
    embed(encoder, data, EmbedParams(frames=False, replace=True))
    assert read(data).extractor == encoder.name
    with pytest.raises(
        DataError, match=r"holds vectors by CLAP .* expected CLAP .*, one vector a window"
    ):
        embed(encoder, data, EmbedParams(frames=True, replace=False))


# the command


@pytest.mark.slow(reason="a process that imports transformers, whose hub is set at its start")
def test_a_model_that_cannot_be_fetched_is_one_clear_line(tmp_path: Path) -> None:
    settings = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [Path(sys.executable).with_name("twinear"), "embed", "--model", "someone/clap"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(
        "error: someone/clap: cannot be downloaded from the Hugging Face hub"
    )
    assert "a folder that holds the model" in done.stderr
