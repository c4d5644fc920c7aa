"""musicnn is the network of its package: layer by layer, on real music, and in frozen numbers."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt
from torch import nn

from tests.conftest import ROOT
from tests.support.audio import music, write_clip
from twinear.acquisition.sample.corpus import Codec, encode
from twinear.acquisition.sample.sound import synthesise
from twinear.acquisition.sample.style import imagine_artists
from twinear.base.errors import DataError
from twinear.clips.waveform import Waveform, load_waveform
from twinear.encoders import musicnn
from twinear.encoders.encoder import Encoder
from twinear.encoders.loading import SHIPPED, find_encoder
from twinear.encoders.musicnn import (
    MODELS,
    FrontConvolution,
    MidConvolution,
    Musicnn,
    load_musicnn,
)
from twinear.encoders.musicnn_patches import (
    FALL_DB,
    HOP_LENGTH,
    N_FFT,
    N_FRAMES,
    N_MELS,
    N_PATCHES,
    SR,
    USUAL_LEVEL_DB,
    compress,
    cut_patches,
    restore,
)
from twinear.spectrograms.front_end import mel_power

REAL = ROOT.parent / "shared" / "real"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_musicnn("musicnn-msd")


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * SR)).astype(np.float32)


# patches


def whole_power(y: np.ndarray) -> np.ndarray:
    return mel_power(y, SR, N_FFT, HOP_LENGTH, N_MELS, 0, SR / 2)


@pytest.mark.parametrize(("seconds", "n", "used"), [(10, 3, 3 * N_FRAMES), (100, N_PATCHES, 6251)])
def test_patches_lie_side_by_side_or_are_spread_over_all_of_it(
    seconds: float, n: int, used: int
) -> None:
    y = noise(seconds)
    patches = cut_patches(y)
    assert patches.shape == (n, N_MELS, N_FRAMES)  # of 2.99 s
    whole = whole_power(y)
    starts = np.linspace(0, used - N_FRAMES, n).astype(int)
    cut = np.stack([whole[:, start : start + N_FRAMES] for start in starts])
    np.testing.assert_allclose(patches, compress(restore(cut)), atol=1e-5)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.9])
def test_a_waveform_shorter_than_a_patch_is_repeated(seconds: float) -> None:
    y = noise(3)[: round(seconds * SR)]
    (patch,) = cut_patches(y)
    n_frames = 1 + len(y) // HOP_LENGTH
    np.testing.assert_allclose(patch[:, n_frames], patch[:, 0], atol=1e-6)
    assert patch.shape == (N_MELS, N_FRAMES)


def full_band() -> np.ndarray:
    """Power without a missing band, of a usual level and fall towards high bands."""
    line = 10 ** (-FALL_DB / 10 * np.arange(N_MELS))[:, None]
    power = line * np.random.default_rng(0).exponential(2, (2, N_MELS, N_FRAMES))
    power = power.astype(np.float32)
    return power * np.float32(10 ** ((USUAL_LEVEL_DB - level_of(power)) / 10))


def level_of(power: np.ndarray) -> float:
    return float(10 * np.log10(np.percentile(power.sum(axis=1), 90)))


@pytest.mark.parametrize(("shift", "left"), [(0, 0), (6, 2), (-6, -2), (-60, -3.5)])
def test_levels_are_drawn_together_and_a_full_band_keeps_its_shape(
    shift: float, left: float
) -> None:
    power = full_band()
    restored = restore(power * np.float32(10 ** (shift / 10)))
    assert level_of(restored) == pytest.approx(USUAL_LEVEL_DB + left, abs=0.01)
    np.testing.assert_allclose(restored, power * np.float32(10 ** (left / 10)), rtol=1e-4)


def test_missing_bands_move_with_the_nearest_ones_that_are_there() -> None:
    power = full_band()
    power[:, :, ::2] *= 4  # a pulse
    cut = power.copy()
    cut[:, 60:] = 0
    cut[:, :5] /= 1e3
    restored = restore(cut)
    gain = restored[0, 40, 0] / cut[0, 40, 0]
    np.testing.assert_allclose(restored[:, 8:57], gain * cut[:, 8:57], rtol=1e-4)
    assert (restored[:, 60:] > 0).all()
    for band in (0, 80):
        pulse, pause = restored[:, band, ::2].mean(), restored[:, band, 1::2].mean()
        assert pulse == pytest.approx(4 * pause, rel=0.2)
        assert 10 * np.log10(pulse / restored[:, 40, ::2].mean()) == pytest.approx(
            FALL_DB * (40 - band), abs=2
        )


@pytest.mark.parametrize("what", ["one weak low band", "white noise"])
def test_sounds_without_a_missing_band_keep_their_shape(what: str) -> None:
    power = full_band()
    if what == "white noise":
        power *= 10 ** (FALL_DB / 10 * np.arange(N_MELS, dtype=np.float32))[:, None]
    else:
        power[:, 0] /= 1e3
    restored = restore(power)
    np.testing.assert_allclose(restored / restored[:, 40:41], power / power[:, 40:41], rtol=1e-4)


@pytest.mark.parametrize("seconds", [1, 5, 40])
def test_as_many_patches_are_cut_of_any_waveform_where_that_is_asked_for(seconds: float) -> None:
    assert cut_patches(noise(seconds), fixed=True).shape == (N_PATCHES, N_MELS, N_FRAMES)


# the network


@torch.inference_mode()
def test_the_network_is_its_plain_layers_in_order() -> None:
    """The layers written out; filters without weights and negative scales among them."""
    torch.manual_seed(0)
    net = Musicnn().eval()
    for name, values in net.state_dict().items():  # the network's own tensors
        if name.endswith("running_var"):
            values.uniform_()
        elif "norm." in name and values.is_floating_point():
            values.normal_()
        elif name.startswith("front") and name.endswith("conv.weight"):
            values[::3] = 0
    patches = torch.rand(1, N_MELS, N_FRAMES)

    def norm(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        state = dict(layer.state_dict())
        shape = (1, -1, *[1] * (x.ndim - 2))
        scale = (state["weight"] / (state["running_var"] + 1e-3).sqrt()).view(shape)
        centred = x - state["running_mean"].view(shape)
        normalised: torch.Tensor = centred * scale + state["bias"].view(shape)
        return normalised

    x = norm(net.input_norm, patches.transpose(1, 2)[:, None])
    front = []
    padding = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    layers = [layer for layer in net.front if isinstance(layer, FrontConvolution)]
    for layer, (before, after) in zip(layers, padding, strict=True):
        y = layer.conv(nn.functional.pad(x, (0, 0, before, after))).relu()
        front.append(norm(layer.norm, y).amax(dim=3))
    first = torch.cat(front, dim=1)
    assert first.shape == (1, 561, N_FRAMES)
    one, two, three = (layer for layer in net.mid if isinstance(layer, MidConvolution))
    middle = [norm(one.norm, one.conv(first).relu())]
    for mid in (two, three):
        middle.append(norm(mid.norm, mid.conv(middle[-1]).relu()) + middle[-1])
    features = torch.cat([first, *middle], dim=1)
    pooled = torch.zeros(1, 1506)
    pooled[:, 0::2], pooled[:, 1::2] = features.amax(dim=2), features.mean(dim=2)
    dense = net.dense(norm(net.pooled_norm, pooled)).relu()
    expected = norm(net.dense_norm, dense)
    torch.testing.assert_close(net(patches), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_number_of_patches_at_a_time_does_not_matter(
    encoder: Encoder, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = cut_patches(noise(10))
    expected = encoder.embed(patches)
    monkeypatch.setattr(musicnn, "CPU_BATCH", batch)
    np.testing.assert_allclose(encoder.embed(patches), expected, atol=1e-4)


def test_an_embedding_is_the_mean_over_patches_and_frames_are_theirs(encoder: Encoder) -> None:
    y = noise(31)  # ten patches: all that are taken
    frames = encoder.encode_frames(y)
    assert frames.shape == (200, N_PATCHES)
    patches = encoder.embed(cut_patches(y))
    np.testing.assert_allclose(encoder.encode(y), patches.mean(axis=0), atol=1e-5)
    # the first patch of both, raised by what the others say too
    np.testing.assert_allclose(frames[:, 0], patches[0], atol=1e-2)


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(5 * SR), np.full(100, 1e-30)])
def test_silence_has_an_embedding(encoder: Encoder, y: np.ndarray) -> None:
    embedding = encoder.encode(y.astype(np.float32))
    assert embedding.shape == (200,)
    assert np.isfinite(embedding).all()


def test_mono_and_stereo_files_of_the_same_music_have_the_same_embedding(
    encoder: Encoder, tmp_path: Path
) -> None:
    y = music(4, 44100)
    mono = write_clip(tmp_path / "mono.wav", y)
    stereo = write_clip(tmp_path / "stereo.wav", np.stack([y, y]))
    one, two = (encoder.encode(load_waveform(path, SR)) for path in (mono, stereo))
    np.testing.assert_array_equal(one, two)


# recordings of one piece by different sources


@pytest.fixture(scope="module")
def pieces() -> list[np.ndarray]:
    """Four seconds each of four artists that sound different."""
    styles = imagine_artists(5, np.random.default_rng(0)).styles[1:]
    return [
        synthesise(style, 4.0, SR, np.random.default_rng(n)).astype(np.float32)
        for n, style in enumerate(styles)
    ]


def between_silence(y: np.ndarray, folder: Path) -> np.ndarray:
    return np.pad(y, 2 * SR)


def quieter(y: np.ndarray, folder: Path) -> np.ndarray:
    return y / 10


def narrow_and_coded(y: np.ndarray, folder: Path) -> np.ndarray:
    """Up to 4 kHz, through Opus at 24 kbit/s, and quieter."""
    low = sosfilt(butter(8, 4000, fs=SR, output="sos"), y) / 4
    codec = Codec(suffix=".ogg", muxer="ogg", encoder="libopus", sr=SR, bit_rate=24000)
    encode(low.astype(np.float32), codec, folder / "clip.ogg")
    return load_waveform(folder / "clip.ogg", SR)


@pytest.mark.parametrize(
    ("shift", "least"), [(between_silence, 0.99), (quieter, 0.8), (narrow_and_coded, 0.5)]
)
def test_another_recording_of_a_piece_has_nearly_the_same_embedding(
    encoder: Encoder,
    pieces: list[np.ndarray],
    shift: Callable[[np.ndarray, Path], np.ndarray],
    least: float,
    tmp_path: Path,
) -> None:
    """By the cosine around the mean of all pieces, where two pieces have about 0."""

    def embed(y: np.ndarray) -> np.ndarray:
        return encoder.encode(Waveform(y=y, sr=SR).without_silence().y)

    embeddings = np.stack([embed(y) for y in pieces])
    others = np.stack([embed(shift(y, tmp_path)) for y in pieces])
    one, two = (each - embeddings.mean(axis=0) for each in (embeddings, others))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    cosines = (one * two).sum(axis=1) / lengths
    assert cosines.min() > least, cosines.round(3)


# Every 29th dimension for six seconds of `music`, seeds 0 and 1
FROZEN: dict[str, list[list[float]]] = {
    "musicnn-msd": [
        [0.071, -0.174, -0.303, 1.099, 0.373, 2.329, 0.256],
        [-0.126, -0.174, -0.21, 1.645, 0.164, 2.044, 0.256],
    ],
    "musicnn-mtt": [
        [-0.08, -0.239, -0.045, 0.24, -0.072, 0.131, -0.132],
        [-0.08, 0.005, 0.164, 0.216, -0.072, 0.163, -0.132],
    ],
}


@pytest.mark.parametrize("model", SHIPPED)
def test_embeddings_are_what_they_were(model: str) -> None:
    encoder = load_musicnn(model)
    found = [encoder.encode(music(6, SR, seed))[::29] for seed in (0, 1)]
    np.testing.assert_allclose(found, FROZEN[model], atol=2e-3)
    assert find_encoder(encoder.name).name == encoder.name


@pytest.mark.skipif(not REAL.exists(), reason="the acceptance corpus is not here")
def test_embeddings_of_real_music_are_those_of_the_original() -> None:
    """The original decoded with FFmpeg's mixing and resampling, and restored nothing."""
    encoder = load_musicnn("musicnn-msd")
    with np.load(REAL / "musicnn.npz") as made:
        expected = dict(zip(made["clip"], made["vector"], strict=True))
    for clip in sorted(expected)[::40]:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SR)
        with av.open(str(REAL / clip)) as container:
            frames = [
                resampled.to_ndarray().ravel()
                for frame in [*container.decode(audio=0), None]
                for resampled in resampler.resample(frame)
            ]
        y = np.concatenate(frames) / np.sqrt(2)  # whose mix is (L + R) / sqrt(2)
        power = whole_power(y.astype(np.float32))  # the original takes it as it is
        n = power.shape[1] // N_FRAMES
        patches = power[:, : n * N_FRAMES].reshape(N_MELS, n, N_FRAMES).swapaxes(0, 1)
        found = encoder.embed(compress(patches)).mean(axis=0)
        lengths = np.linalg.norm(found) * np.linalg.norm(expected[clip])
        assert found @ expected[clip] / lengths > 0.9999


# the weights


def test_the_weights_are_shipped_with_their_licence() -> None:
    assert set(MODELS) == set(SHIPPED)
    licence = (musicnn.WEIGHTS / "LICENSE-musicnn.md").read_text(encoding="utf-8")
    assert "Permission to use, copy, modify, and/or distribute" in licence
    for model, digest in MODELS.items():
        content = (musicnn.WEIGHTS / f"{model}.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert len(content) < 1.7e6


def test_weights_that_are_missing_or_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(musicnn.WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(musicnn, "WEIGHTS", tmp_path / "weights")
    path = tmp_path / "weights/musicnn-msd.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"musicnn-msd\.safetensors: has SHA-256 .*install twinear"):
        load_musicnn("musicnn-msd")
    path.unlink()
    with pytest.raises(DataError, match=r"musicnn-msd\.safetensors: is missing; install twinear"):
        load_musicnn("musicnn-msd")


@pytest.mark.parametrize(
    ("extractor", "message"),
    [
        ("", "were made by an unknown extractor, expected musicnn-msd, musicnn-mtt or CLAP"),
        ("musicnn", "were made by musicnn, expected musicnn-msd"),
        ("CLAP", "were made by CLAP, expected"),
        ("musicnn-msd 0000000000000000 mix 1", "made by musicnn-msd 00.*, expected musicnn-msd 80"),
        ("musicnn-msd 802498d0f3cb3dbb mix 2", "made by musicnn-msd .* mix 2, expected .* mix 3"),
    ],
)
def test_an_extractor_that_is_not_here_is_refused(extractor: str, message: str) -> None:
    with pytest.raises(DataError, match=f"embeddings: .*{message}.*; make the table again"):
        find_encoder(extractor)
