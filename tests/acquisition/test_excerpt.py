"""The thirty seconds that stand for a recording: which they are, and that nothing is lost."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import soundfile

from tests.support.audio import CODECS, write_clip
from twinear.acquisition.previews.deduplication import audio_suffix
from twinear.acquisition.previews.excerpt import (
    EXCERPT_SECONDS,
    INTRO_SECONDS,
    cut_excerpt,
    find_excerpt,
    read_levels,
)
from twinear.base.errors import ClipError
from twinear.clips.waveform import load_waveform

SR = 22050


def swelling(levels: dict[int, float], seconds: int, sr: int = SR) -> npt.NDArray[np.float32]:
    """Noise whose loudness changes at the given seconds."""
    gain = np.zeros(seconds)
    for start, level in levels.items():
        gain[start:] = level
    return np.asarray(noise(seconds, sr) * np.repeat(gain, sr), np.float32)


def noise(seconds: int, sr: int) -> npt.NDArray[np.float32]:
    return np.float32(0.1) * np.random.default_rng(1).standard_normal(seconds * sr, np.float32)


def recording(path: Path, y: npt.NDArray[np.float32]) -> Path:
    """A recording in stereo, as people have them; ours writes Vorbis with odd timestamps."""
    if path.suffix != ".ogg":
        return write_clip(path, np.stack([y, y]), 48000)
    with soundfile.SoundFile(path, "w", 48000, 2, format="OGG", subtype="VORBIS") as file:
        for part in np.split(np.stack([y, y], axis=1), len(y) // 48000):
            file.write(part)
    return path


def lag_of(part: npt.NDArray[np.float32], whole: npt.NDArray[np.float32]) -> int:
    """Where in `whole` a part of it begins."""
    return int(np.argmax(scipy.signal.correlate(whole, part, "valid", "fft")))


@pytest.mark.parametrize(("seconds", "start"), [(0, 0), (1, 0), (30, 0), (37, 7), (45, 15)])
def test_a_short_recording_keeps_its_end(seconds: int, start: int) -> None:
    assert find_excerpt(np.zeros(seconds)) == start


def test_of_equal_windows_the_first_after_the_intro_is_taken() -> None:
    assert find_excerpt(np.zeros(240)) == INTRO_SECONDS


def test_the_intro_is_not_taken_even_if_it_is_the_loudest() -> None:
    levels = np.full(200, -30.0)
    levels[:60] = -10
    assert find_excerpt(levels) == INTRO_SECONDS
    levels[20:] = -30
    levels[100:130] = -11
    assert find_excerpt(levels) == 100


def test_the_usual_loud_is_taken_rather_than_the_one_loudest_moment() -> None:
    levels = np.full(300, -30.0)
    levels[40:70] = -9  # a scream
    levels[70:110] = -30
    levels[110:180] = -15  # what the loud part is like
    levels[180:] = -25
    assert find_excerpt(levels) == 110


def test_levels_are_those_of_each_second_without_offset(tmp_path: Path) -> None:
    y = swelling({0: 1, 2: 0.1, 4: 0}, 6) / 2 + 0.25
    path = write_clip(tmp_path / "a.wav", y, SR)
    levels = read_levels(path)
    assert levels.shape == (6,)
    assert levels[2] - levels[1] == pytest.approx(-20, abs=3)
    assert levels[5] < -80


@pytest.mark.parametrize("suffix", CODECS)
def test_the_loud_part_is_cut_out_without_loss_and_always_to_the_same_bytes(
    tmp_path: Path, suffix: str
) -> None:
    y = swelling({0: 0.1, 24: 1, 56: 0.1}, 64, 48000)
    path = recording(tmp_path / f"a{suffix}", y)
    to, again = tmp_path / "window", tmp_path / "again"
    cut_excerpt(path, to)
    cut_excerpt(path, again)
    assert to.read_bytes() == again.read_bytes()
    window, whole = load_waveform(to, 48000), load_waveform(path, 48000)
    assert len(window) / 48000 == pytest.approx(EXCERPT_SECONDS, abs=0.05)
    part = window[5 * 48000 : 25 * 48000]
    start = lag_of(part, whole) - 5 * 48000
    assert 23 * 48000 <= start <= 27 * 48000
    error = part - whole[start + 5 * 48000 :][: len(part)]
    assert np.abs(error).max() < 1e-4  # 16 bits of FLAC; copied packets are exact
    kinds = {".opus": ".ogg", ".wav": ".flac"}
    assert audio_suffix(to) == kinds.get(suffix, suffix)


def test_a_recording_cut_off_or_shorter_than_the_window_is_what_there_is(tmp_path: Path) -> None:
    short = write_clip(tmp_path / "a.mp3", noise(8, SR), SR)
    cut_excerpt(short, tmp_path / "b")
    assert load_waveform(tmp_path / "b", SR).size / SR == pytest.approx(8, abs=0.1)
    whole = write_clip(tmp_path / "a.flac", noise(60, SR), SR).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) * 2 // 3])
    cut_excerpt(tmp_path / "cut.flac", tmp_path / "c")
    assert load_waveform(tmp_path / "c", SR).size / SR == pytest.approx(25, abs=5.5)


def test_packets_with_odd_timestamps_are_not_copied(tmp_path: Path) -> None:
    y = noise(36, 48000)
    path = write_clip(tmp_path / "a.ogg", np.stack([y, y]), 48000)
    cut_excerpt(path, tmp_path / "b")
    assert audio_suffix(tmp_path / "b") == ".flac"
    assert load_waveform(tmp_path / "b", SR).size / SR == pytest.approx(30, abs=0.1)


def test_what_is_no_audio_is_a_clip_error_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_text("Just words.")
    with pytest.raises(ClipError, match="is not audio"):
        cut_excerpt(path, tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp3"]
