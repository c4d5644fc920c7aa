"""Embeddings on the way: what a table lacks is embedded, and never by another network."""

from pathlib import Path

import numpy as np
import pytest

from tests.recommendation.test_encoded_on_the_way import index
from tests.support.audio import music, write_clip
from tests.support.scorers import FRONT
from twinear.base.errors import DataError
from twinear.clips.clips import Clips
from twinear.clips.waveform import load_waveform
from twinear.encoders.loading import load_encoder
from twinear.encoders.sources import find_embeddings
from twinear.spectrograms.computation import compute_spectrograms
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable
from twinear.spectrograms.spectrograms import Spectrograms

AUTO = FRONT.model_copy(update={"embeddings": "auto"})
FILES = ["clips/0.flac", "clips/1.flac"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two clips, the second shorter than what musicnn takes at a time."""
    for file, seconds in zip(FILES, (6, 2), strict=True):
        write_clip(tmp_path / file, music(seconds, 22050, seed=int(seconds)), 22050)
    return tmp_path


def clips_of(data: Path) -> Clips:
    (data / "clips.csv").write_text("file,artist\nclips/0.flac,A\nclips/1.flac,B\n")
    return index(data, min_seconds=1.0)


def computed(data: Path, workers: int = 1) -> Spectrograms:
    clips = clips_of(data)
    return compute_spectrograms(
        clips, data, AUTO, list, workers, find_embeddings(clips, data, AUTO)
    )


def test_without_a_table_the_default_network_embeds_every_clip(data: Path) -> None:
    encoder = load_encoder("musicnn-msd", print)
    found = computed(data, workers=2)
    assert (found.extractor, found.joined.shape) == (encoder.name, (2, 200))
    expected = [encoder.encode(load_waveform(data / file, encoder.sr)) for file in FILES]
    np.testing.assert_allclose(found.joined, expected, atol=1e-4)
    assert found.values.shape == (2, FRONT.n_mels, FRONT.n_frames)


def test_a_table_is_used_and_what_it_lacks_is_embedded(data: Path) -> None:
    encoder, clips = load_encoder("musicnn-msd", print), clips_of(data)
    hashes = list(clips.table["sha256"])
    vector = np.arange(400, dtype=np.float32).reshape(2, 200)
    for held, changed in ((FILES[:1], []), (FILES, FILES[1:])):  # lacks a clip; one has changed
        sha256 = ["0" * 64 if file in changed else hashes[FILES.index(file)] for file in held]
        table = EmbeddingTable(
            clips=held, vector=vector[: len(held)], extractor=encoder.name, sha256=sha256
        )
        table.write(data / TABLE)
        found = computed(data)
        np.testing.assert_array_equal(found.joined[0], vector[0])
        expected = encoder.encode(load_waveform(data / FILES[1], encoder.sr))
        np.testing.assert_allclose(found.joined[1], expected, atol=1e-4)
    EmbeddingTable(clips=FILES, vector=vector[:, :7]).write(data / TABLE)  # of any network
    np.testing.assert_array_equal(computed(data).joined, vector[:, :7])


def test_a_table_of_windows_gives_their_mean(data: Path) -> None:
    framed = np.random.default_rng(0).random((2, 5, 4), np.float32)
    EmbeddingTable(clips=FILES, vector=framed, extractor="x").write(data / TABLE)
    np.testing.assert_allclose(computed(data).joined, framed.mean(axis=2))


@pytest.mark.parametrize("extractor", ["", "another network"])
def test_embeddings_of_two_networks_are_never_mixed(data: Path, extractor: str) -> None:
    vector = np.ones((1, 7), np.float32)
    EmbeddingTable(clips=FILES[:1], vector=vector, extractor=extractor).write(data / TABLE)
    with pytest.raises(DataError, match=r"embeddings\.npz: lacks 1 of 2 clips, .*clips/1\.flac"):
        computed(data)


def test_a_scorers_network_is_used_and_not_a_table_of_another(data: Path) -> None:
    encoder, clips = load_encoder("musicnn-mtt", print), clips_of(data)
    only = FRONT.model_copy(update={"embeddings": "only"})
    EmbeddingTable(clips=FILES, vector=np.ones((2, 7), np.float32), extractor="x").write(
        data / TABLE
    )
    source = find_embeddings(clips, data, only, encoder.name)
    found = compute_spectrograms(clips, data, only, list, 1, source)
    assert (found.extractor, found.values.shape) == (encoder.name, (2, 200, 1))


def test_damaged_weights_stop_before_a_clip_is_decoded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = clips_of(data)
    (data / FILES[0]).unlink()
    (tmp_path / "musicnn-msd.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr("twinear.encoders.musicnn.WEIGHTS", tmp_path)
    with pytest.raises(DataError, match=r"musicnn-msd\.safetensors: has SHA-256.*install"):
        find_embeddings(clips, data, AUTO)


def test_a_clip_far_above_full_scale_is_named(data: Path) -> None:
    loud = write_clip(data / "loud.wav", music(6) * 6e17, codec="pcm_f32le")
    loud.rename(data / FILES[0])
    with pytest.raises(DataError, match=r"0\.flac: is too loud.*embeddings: none"):
        computed(data)
