"""Parts of a long recording: the samples that decoding all of it gives, in less time."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.audio import music, write_clip
from twinear.base.errors import ClipError
from twinear.clips.waveform import decode

SR, SECONDS = 16000, 25
NEEDED = [(0.0, 1.0), (10.2, 12.0), (24.5, 25.0)]


@pytest.fixture(autouse=True)
def _short_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the recordings of the tests can be short."""
    monkeypatch.setattr("twinear.clips.spans.LONG_SECONDS", 20)


def needed(seconds: float) -> list[tuple[float, float]]:
    assert seconds == pytest.approx(SECONDS, abs=0.1)
    return NEEDED


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    """Music with a DC offset, on two channels."""
    mono = music(SECONDS, SR)
    return np.stack([mono, np.roll(mono, 50)]) * 0.8 + 0.05


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".opus"])
def test_parts_are_those_of_the_whole(tmp_path: Path, y: np.ndarray, suffix: str) -> None:
    path = write_clip(tmp_path / f"a{suffix}", y, SR)
    whole, some = decode(path), decode(path, spans=needed)
    assert whole.parts is None
    assert some.parts is not None
    assert len(some.y) == len(whole.y)
    assert sum(part.stop - part.start for part in some.parts) < 10 * whole.sr
    for sr in (whole.sr, 22050, 8000):
        ours, theirs = some.at(sr), whole.at(sr)
        assert len(ours) == len(theirs)
        for start, end in NEEDED:
            span = slice(round(start * sr), round(end * sr))
            off = ours[span] - theirs[span]  # the DC offset is that of what was decoded
            assert abs(off.mean()) < 1e-2
            np.testing.assert_allclose(off - off.mean(), 0, atol=2e-4)


def test_no_more_than_the_longest_is_counted(tmp_path: Path, y: np.ndarray) -> None:
    path = write_clip(tmp_path / "a.flac", np.hstack([y, y]), SR)
    some, whole = decode(path, SECONDS, needed), decode(path, SECONDS)
    assert some.parts is not None
    assert some.seconds == whole.seconds == SECONDS


@pytest.mark.parametrize("suffix", [".wav", ".mka", ".ogg"])
def test_a_file_whose_packets_do_not_tell_is_decoded_whole(
    tmp_path: Path, y: np.ndarray, suffix: str
) -> None:
    sr = 48000 if suffix == ".mka" else SR
    path = write_clip(tmp_path / f"a{suffix}", np.tile(y, sr // SR), sr)
    some = decode(path, spans=needed)
    assert some.parts is None
    np.testing.assert_array_equal(some.y, decode(path).y)


def test_a_short_clip_is_decoded_whole(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp3", music(15, SR), SR)
    some = decode(path, spans=lambda seconds: [(0.0, 1.0)])
    assert some.parts is None
    np.testing.assert_array_equal(some.y, decode(path).y)


def test_damage_inside_a_part_makes_it_decode_the_whole(tmp_path: Path, y: np.ndarray) -> None:
    path = write_clip(tmp_path / "a.mp3", y, SR)
    content = bytearray(path.read_bytes())
    at = len(content) * 11 // SECONDS
    content[at : at + 3000] = bytes(3000)
    path.write_bytes(content)
    some = decode(path, spans=lambda seconds: NEEDED)
    np.testing.assert_array_equal(some.y, decode(path).y)


def test_what_is_no_audio_is_refused_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no audio" * 1000)
    with pytest.raises(ClipError, match=r"a\.mp3"):
        decode(tmp_path / "a.mp3", spans=needed)
