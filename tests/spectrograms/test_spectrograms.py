"""One front end: equal to librosa, whatever the codec and however many workers."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from librosa.filters import get_window, mel

from tests.conftest import PARAMS
from tests.support.audio import CODECS, music, write_clip
from twinear.base.checksums import CHECKSUMS
from twinear.base.errors import DataError, ParamsError
from twinear.base.files import sha256
from twinear.base.params import parse_params, read_params
from twinear.clips.clips import Clips
from twinear.clips.waveform import Waveform, load_waveform
from twinear.spectrograms.computation import EmbeddingSource, compute_spectrograms
from twinear.spectrograms.embedding_table import EmbeddingTable
from twinear.spectrograms.front_end import (
    SpectrogramsParams,
    compute_features,
    hann_window,
    log_mel,
    mel_bands,
    mel_frequencies,
    mfcc_statistics,
)
from twinear.spectrograms.spectrograms import Spectrograms

Floats = npt.NDArray[np.float32]


def _params(**values: float | str) -> SpectrogramsParams:
    params = read_params("spectrograms", SpectrogramsParams, PARAMS)
    return params.model_copy(update={"embeddings": "none", **values})


PLAIN = _params()


def _librosa_log_mel(y: Floats, params: SpectrogramsParams) -> Floats:
    power = librosa.feature.melspectrogram(
        y=y,
        sr=params.sr,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        n_mels=params.n_mels,
        fmin=params.fmin,
        fmax=params.fmax,
    )
    db = librosa.power_to_db(power, ref=np.max, top_db=params.top_db)
    return np.asarray(1 + db / params.top_db, np.float32)[:, : params.n_frames]


def _clips(folder: Path, n: int) -> Clips:
    rows: list[dict[str, Any]] = []
    for seed in range(n):
        path = write_clip(folder / f"{seed}.wav", music(2, 22050, seed), 22050)
        facts = {"seconds": 2.0, "sr": 22050, "channels": 1, "sha256": sha256(path)}
        rows.append(
            {"file": path.name, "artist": f"a{seed}", "name": f"A{seed}", "title": "", "source": ""}
            | facts
        )
    return Clips(table=pd.DataFrame(rows))


# the log-mel spectrogram


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"n_fft": 2048},
        {"n_fft": 512, "hop_length": 128, "n_frames": 5000, "n_mels": 20},
        {"fmin": 100.0, "fmax": 11025.0, "top_db": 60.0},
    ],
)
def test_it_is_librosas_spectrogram(values: dict[str, float]) -> None:
    params, y = _params(**values), music(29, 22050)
    expected = _librosa_log_mel(y, params)
    found = log_mel(y, params)
    again = np.arange(params.n_frames) % expected.shape[1]
    np.testing.assert_allclose(found, expected[:, again], atol=1e-4)


def test_it_is_librosas_spectrogram_of_noise() -> None:
    y = np.random.default_rng(1).normal(size=22050 * 29).astype(np.float32)
    expected = _librosa_log_mel(y, PLAIN)
    np.testing.assert_allclose(log_mel(y, PLAIN)[:, : expected.shape[1]], expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Empty filters")  # librosa's, where the bins are few
@given(
    sr=st.sampled_from([8000, 16000, 22050, 44100, 48000]),
    half=st.integers(8, 2048),
    n_mels=st.integers(1, 130),
    limits=st.tuples(st.floats(0, 0.4), st.floats(0.5, 1)),
)
def test_its_window_and_its_bands_are_librosas_to_the_last_bit(
    sr: int, half: int, n_mels: int, limits: tuple[float, float]
) -> None:
    n_fft, (fmin, fmax) = 2 * half, (share * sr / 2 for share in limits)
    window = get_window("hann", n_fft)
    np.testing.assert_array_equal(hann_window(n_fft), window.astype(np.float32))
    expected = mel(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_array_equal(mel_bands(sr, n_fft, n_mels, fmin, fmax), expected)
    frequencies = librosa.mel_frequencies(n_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_array_equal(mel_frequencies(n_mels, fmin, fmax), frequencies)


def test_of_a_longer_clip_several_windows_make_up_the_frames() -> None:
    params = PLAIN.model_copy(update={"n_windows": 3})
    sizes = np.array([431, 431, 430]) * PLAIN.hop_length
    y, third = music(60, 22050), 20 * 22050
    windows = [y[k * third :][(third - n) // 2 :][:n] for k, n in enumerate(sizes)]
    joined = np.concatenate(windows)
    np.testing.assert_array_equal(log_mel(y, params), log_mel(joined, PLAIN))
    np.testing.assert_array_equal(mfcc_statistics(y, params)[0], mfcc_statistics(joined, PLAIN)[0])
    whole = y[: PLAIN.n_frames * PLAIN.hop_length]  # all of it is heard as it is
    np.testing.assert_array_equal(log_mel(whole, params), log_mel(whole, PLAIN))


@pytest.mark.parametrize(
    ("change", "told"),
    [({"n_windows": 300, "n_frames": 256}, "n_windows"), ({"n_frames": 1}, "n_frames")],
)
def test_windows_without_a_frame_and_frames_without_a_change_are_refused(
    change: dict[str, int], told: str
) -> None:
    with pytest.raises(ParamsError, match=told):
        parse_params("spectrograms", SpectrogramsParams, {**PLAIN.model_dump(), **change})


def test_of_a_longer_clip_the_middle_counts() -> None:
    n = PLAIN.n_frames * PLAIN.hop_length
    y = music(40, 22050)
    middle = y[(len(y) - n) // 2 :][:n]
    np.testing.assert_array_equal(log_mel(y, PLAIN), log_mel(middle, PLAIN))
    np.testing.assert_array_equal(mfcc_statistics(y, PLAIN)[1], mfcc_statistics(middle, PLAIN)[1])
    np.testing.assert_allclose(log_mel(y, PLAIN), _librosa_log_mel(middle, PLAIN), atol=1e-4)


def test_a_shorter_clip_is_repeated_from_its_start() -> None:
    spectrogram = log_mel(music(10, 22050), PLAIN)
    frames = 1 + 220500 // PLAIN.hop_length
    np.testing.assert_array_equal(spectrogram[:, frames : 2 * frames], spectrogram[:, :frames])
    rest = PLAIN.n_frames - 2 * frames
    np.testing.assert_array_equal(spectrogram[:, 2 * frames :], spectrogram[:, :rest])


def test_silence_is_all_zeros() -> None:
    assert not log_mel(np.zeros(22050, np.float32), PLAIN).any()
    assert not log_mel(np.zeros(0, np.float32), PLAIN).any()


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(-15, 15).map(lambda exponent: 10.0**exponent), seed=st.integers(0, 3))
def test_the_recording_level_changes_nothing(gain: float, seed: int) -> None:
    y = music(2, 22050, seed)
    louder = y * np.float32(gain)
    np.testing.assert_allclose(log_mel(louder, PLAIN), log_mel(y, PLAIN), atol=1e-4)
    for found, expected in zip(
        mfcc_statistics(louder, PLAIN), mfcc_statistics(y, PLAIN), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


@given(n=st.integers(0, 9000), seed=st.integers(0, 99))
def test_any_waveform_gives_finite_values_in_range(n: int, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=n).astype(np.float32)
    spectrogram = log_mel(y, PLAIN)
    assert spectrogram.shape == (PLAIN.n_mels, PLAIN.n_frames)
    assert spectrogram.dtype == np.float32
    assert spectrogram.min() >= 0
    assert spectrogram.max() == (1 if n else 0)
    mean, cov = mfcc_statistics(y, PLAIN)
    assert np.isfinite(mean).all()
    assert np.linalg.eigvalsh(cov.astype(float)).min() > 0


@pytest.mark.parametrize("suffix", CODECS)
def test_every_kind_of_file_gives_about_the_same_spectrogram(tmp_path: Path, suffix: str) -> None:
    y = np.stack([music(12, 48000)] * 2)
    wav = load_waveform(write_clip(tmp_path / "a.wav", y, 48000), PLAIN.sr)
    other = load_waveform(write_clip(tmp_path / f"b{suffix}", y, 48000), PLAIN.sr)
    difference = np.abs(log_mel(wav, PLAIN) - log_mel(other, PLAIN))
    assert difference[:, :100].mean() < 0.03


@pytest.mark.parametrize("sr", [8000, 16000, 96000, 192000])
def test_the_sample_rate_of_the_file_hardly_matters(tmp_path: Path, sr: int) -> None:
    clip = load_waveform(write_clip(tmp_path / "a.wav", music(5, sr), sr, "pcm_f32le"), PLAIN.sr)
    difference = np.abs(log_mel(clip, PLAIN) - log_mel(music(5, PLAIN.sr), PLAIN))
    assert difference[:20, :200].mean() < 0.02  # the bands under 3 kHz


def test_a_dc_offset_changes_nothing(tmp_path: Path) -> None:
    y = music(3, 22050)
    plain, offset = (
        log_mel(
            load_waveform(write_clip(tmp_path / "a.wav", y + dc, 22050, "pcm_f32le"), 22050), PLAIN
        )
        for dc in (0, 0.4)
    )
    np.testing.assert_allclose(offset, plain, atol=1e-3)


# the MFCCs


def test_mfccs_are_librosas() -> None:
    y = music(20, 22050)
    mfcc = librosa.feature.mfcc(
        y=y / np.abs(y).max(), sr=22050, n_mfcc=20, n_fft=2048, hop_length=1024
    )
    mean, cov = mfcc_statistics(y, PLAIN)
    np.testing.assert_allclose(mean, mfcc.mean(axis=1), atol=1e-2)
    expected = np.cov(mfcc, bias=True) + 1e-3 * np.eye(20)
    np.testing.assert_allclose(cov, expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize(
    "values",
    [
        {},  # MFCC frames are every second frame
        {"hop_length": 64},  # every 16th
        {"hop_length": 2583, "n_frames": 256, "n_mels": 64},  # none of them: the original's
        {"n_fft": 1024},
        {"sr": 16000, "fmax": 8000.0},
    ],
)
@pytest.mark.parametrize("seconds", [0.0, 0.03, 5.0])
def test_one_pass_gives_the_bits_of_two(values: dict[str, float], seconds: float) -> None:
    params = _params(**values)
    y = music(6, 22050)[: int(seconds * 22050)]
    spectrogram, mean, cov = compute_features(y, params)
    np.testing.assert_array_equal(spectrogram, log_mel(y, params))
    for found, expected in zip((mean, cov), mfcc_statistics(y, params), strict=True):
        np.testing.assert_array_equal(found, expected)


# many clips


def test_any_number_of_workers_gives_the_same_bits(tmp_path: Path) -> None:
    clips = _clips(tmp_path, 5)
    one = compute_spectrograms(clips, tmp_path, PLAIN, list, 1)
    two = compute_spectrograms(clips, tmp_path, PLAIN, list, 2)
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.mfcc_mean, two.mfcc_mean)
    np.testing.assert_array_equal(one.mfcc_cov, two.mfcc_cov)
    expected = log_mel(load_waveform(tmp_path / "3.wav", PLAIN.sr), PLAIN)
    np.testing.assert_array_equal(one.values[3], expected.astype(np.float16))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that gives no bytes")
def test_a_clip_that_can_no_longer_be_read_says_so(tmp_path: Path) -> None:
    clips = _clips(tmp_path, 2)
    (tmp_path / "1.wav").unlink()
    (tmp_path / "1.wav").symlink_to("/proc/self/mem")  # a file, but reading it fails
    with pytest.raises(DataError, match=r"1\.wav: can no longer be read \(.*dvc repro clips"):
        compute_spectrograms(clips, tmp_path, PLAIN, list, 1)


def test_a_clip_that_vanished_or_changed_says_so(tmp_path: Path) -> None:
    clips = _clips(tmp_path, 3)
    write_clip(tmp_path / "1.wav", music(3, 22050, 9), 22050)
    with pytest.raises(DataError, match=r"1\.wav: .*changed.*dvc repro clips"):
        compute_spectrograms(clips, tmp_path, PLAIN, list, 1)
    (tmp_path / "1.wav").unlink()
    with pytest.raises(DataError, match=r"1\.wav: .*vanished"):
        compute_spectrograms(clips, tmp_path, PLAIN, list, 1)


def test_spectrograms_are_read_as_written(tmp_path: Path) -> None:
    written = compute_spectrograms(_clips(tmp_path, 2), tmp_path, PLAIN, list, 1)
    written.write(tmp_path / "out")
    read = Spectrograms.read(tmp_path / "out")
    assert isinstance(read.values, np.memmap)
    pd.testing.assert_frame_equal(read.clips, written.clips)
    np.testing.assert_array_equal(read.values, written.values)
    np.testing.assert_array_equal(read.mfcc_cov, written.mfcc_cov)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("values", np.zeros((1, 40, 1292), np.float16), r"float16 \(1, 40, 1292\), expected"),
        ("values", np.zeros((2, 40, 1292), np.float32), "float32"),
        ("values", np.full((2, 40, 1292), np.nan, np.float16), "out of range"),
        ("values", np.full((2, 40, 1292), 1.5, np.float16), "out of range"),
        ("values", np.full((2, 40, 1292), -0.5, np.float16), "out of range"),
        ("mfcc_cov", np.zeros((2, 20, 19), np.float32), r"\(2, 20, 19\)"),
        ("mfcc_mean", np.full((2, 20), np.inf, np.float32), "out of range"),
        ("clips", pd.DataFrame({"file": ["a", "b"]}), "has other columns"),
        ("joined", np.zeros((2, 5), np.float32), r"float32 \(2, 5\), expected .*\(2, 0\)"),
        ("front", _params(embeddings="only"), r"float16 \(2, 40, 1292\), expected .*float32"),
    ],
)
def test_a_broken_folder_is_refused(tmp_path: Path, name: str, value: object, message: str) -> None:
    index = pd.DataFrame({"file": ["a", "b"], "artist": ["a", "b"], "name": ["A", "B"]})
    index = index.assign(title="", source="", seconds=30.0)
    parts: dict[str, Any] = {
        "clips": index,
        "values": np.zeros((2, 40, 1292), np.float16),
        "mfcc_mean": np.zeros((2, 20), np.float32),
        "mfcc_cov": np.zeros((2, 20, 20), np.float32),
        "front": PLAIN,
        "joined": np.empty((2, 0), np.float32),
    }
    Spectrograms(**(parts | {name: value})).write(tmp_path / "out")
    with pytest.raises(DataError, match=message):
        Spectrograms.read(tmp_path / "out")


def _tables() -> tuple[Floats, Floats]:
    """Vectors of five dimensions for three clips: one a clip, and four frames a clip."""
    random = np.random.default_rng(1)
    return random.random((3, 5), np.float32), random.random((3, 5, 4), np.float32)


def test_vectors_are_joined_to_the_spectrograms(tmp_path: Path) -> None:
    clips, (flat, framed) = _clips(tmp_path, 3), _tables()
    joined = _params(embeddings="concat")
    plain = compute_spectrograms(clips, tmp_path, PLAIN, list, 1)
    assert plain.joined.shape == (3, 0)
    for vector, expected in ((flat, flat), (framed, framed.mean(axis=2))):
        table = EmbeddingTable(clips=list(clips.table["file"]), vector=vector)
        source = EmbeddingSource(extractor="musicnn x", table=table)
        compute_spectrograms(clips, tmp_path, joined, list, 1, source).write(tmp_path / "out")
        read = Spectrograms.read(tmp_path / "out")
        np.testing.assert_array_equal(read.joined, expected)
        np.testing.assert_array_equal(read.values, plain.values)
        assert read.front == joined
        assert read.extractor == read.select(np.array([1])).extractor == "musicnn x"


def test_vectors_alone_stand_in_place_of_the_spectrograms(tmp_path: Path) -> None:
    clips, (flat, framed) = _clips(tmp_path, 3), _tables()
    alone = _params(embeddings="only")
    for vector, expected in ((flat, flat[:, :, None]), (framed, framed)):
        source = EmbeddingSource(
            table=EmbeddingTable(clips=list(clips.table["file"]), vector=vector)
        )
        compute_spectrograms(clips, tmp_path, alone, list, 1, source).write(tmp_path / "out")
        read = Spectrograms.read(tmp_path / "out")
        assert read.values.dtype == np.float32
        assert read.joined.shape == (3, 0)
        np.testing.assert_array_equal(read.values, expected)
        assert np.asarray(read.mfcc_cov).any()  # the baseline stays
        assert read.front == alone
        assert read.extractor == ""


def test_a_folder_knows_how_it_was_made(tmp_path: Path) -> None:
    other = _params(n_mels=20, n_frames=30)
    clips = _clips(tmp_path, 2)
    compute_spectrograms(clips, tmp_path, other, list, 1).write(tmp_path / "out")
    assert Spectrograms.read(tmp_path / "out").front == other
    (tmp_path / "out" / CHECKSUMS).unlink()
    path = tmp_path / "out" / "params.json"
    path.write_text(path.read_text().replace('"n_mels": 20', '"n_mels": 21'))
    with pytest.raises(DataError, match=r"float16 \(2, 20, 30\), expected .*\(2, 21, 30\)"):
        Spectrograms.read(tmp_path / "out")
    path.write_text("{}")
    with pytest.raises(DataError, match=r"sr: is missing.*dvc repro spectrograms"):
        Spectrograms.read(tmp_path / "out")


def test_a_cut_off_array_file_is_refused(tmp_path: Path) -> None:
    compute_spectrograms(_clips(tmp_path, 2), tmp_path, PLAIN, list, 1).write(tmp_path / "out")
    (tmp_path / "out" / CHECKSUMS).unlink()
    path = tmp_path / "out" / "spectrograms.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cannot be read.*dvc repro spectrograms"):
        Spectrograms.read(tmp_path / "out")


def test_a_band_above_half_the_sample_rate_is_refused() -> None:
    values = PLAIN.model_dump() | {"fmax": 12000.0}
    with pytest.raises(ParamsError, match=r"fmax: found 12000\.0, .*sr / 2"):
        parse_params("spectrograms", SpectrogramsParams, values)


@pytest.mark.parametrize("seconds", [3, 40])
def test_silence_at_the_ends_of_a_clip_does_not_count(seconds: float) -> None:
    y = music(seconds, PLAIN.sr)
    hiss = np.random.default_rng(0).normal(0, 1e-5, 2 * PLAIN.sr).astype(np.float32)
    y = Waveform(y=y, sr=PLAIN.sr).without_silence().y
    whole = log_mel(y, PLAIN)
    for silence in (np.zeros_like(hiss), hiss):
        recording = np.concatenate([silence, y, silence])
        found = Waveform(y=recording, sr=PLAIN.sr).without_silence()
        assert found.start == pytest.approx(2, abs=0.02)
        recording = found.y
        # the first and last frames look into the silence
        assert np.abs(log_mel(recording, PLAIN) - whole).mean() < 0.01
        mean, _ = mfcc_statistics(recording, PLAIN)
        np.testing.assert_allclose(mean, mfcc_statistics(y, PLAIN)[0], atol=1)
