"""Audio file -> waveform: mono, float32, resampled.

A waveform is the mean of the channels, without DC offset, resampled as librosa does it (soxr, HQ;
a coarser setting would save less than a millisecond of the 30 ms a clip takes).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from twinear.base.errors import ClipError
from twinear.clips.decoding import REPLACE, frames, mix
from twinear.clips.spans import Spans, decode_spans

Floats = npt.NDArray[np.float32]

FIRST_SECONDS = 32  # length of the first buffer: a clip and a little more
NOT_NUMBERS = "holds samples that are not numbers"

# How waveforms are mixed, levelled, and freed of silence and of missing bands for encoders.
# Embeddings of waveforms that were treated otherwise are not comparable: count it up on a change.
MIX = "mix 3"

SILENCE_DB = 45.0  # below the loudest part
PART_SECONDS = 0.02  # of a waveform that are silent or not


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """A decoded clip.

    Attributes
    ----------
    y
        (n,), mono, full scale 1.
    sr
        Sample rate in Hz.
    parts
        What is decoded of it, each from a whole second on; the rest is zeros. None: all.
    start
        Where it begins in the file, in seconds.
    """

    y: Floats
    sr: int
    parts: Sequence[slice] | None = None
    start: float = 0.0

    def without_silence(self) -> "Waveform":
        """Leave out the silence at its ends, see `find_sound`.

        A long recording of which parts are decoded stays as it is: its parts are chosen by its
        length, and of its ends little is taken.
        """
        if self.parts is not None:
            return self
        sound = find_sound(self.y, self.sr)
        return Waveform(y=self.y[sound], sr=self.sr, start=self.start + sound.start / self.sr)

    def at(self, sr: int) -> Floats:
        """Resample it, (n,)."""
        if sr == self.sr:
            return self.y
        if self.parts is None:
            whole: Floats = soxr.resample(self.y, self.sr, sr, quality="HQ")
            return whole
        resampled = np.zeros(int(len(self.y) * sr / self.sr + 0.5), np.float32)
        for part in self.parts:
            first = part.start // self.sr * sr
            y = soxr.resample(self.y[part], self.sr, sr, quality="HQ")[: len(resampled) - first]
            resampled[first : first + len(y)] = y
        return resampled

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.y) / self.sr


def load_waveform(path: Path | str, sr: int, max_seconds: float = math.inf) -> Floats:
    """Decode an audio file to mono at `sr` Hz, without DC offset: (n,), full scale 1.

    `max_seconds` and errors are those of `decode`.
    """
    return decode(path, max_seconds).at(sr)


@np.errstate(over="ignore", invalid="ignore")
def decode(path: Path | str, max_seconds: float = math.inf, spans: Spans | None = None) -> Waveform:
    """Decode an audio file to mono at its own sample rate, without DC offset.

    Parameters
    ----------
    max_seconds
        No more is decoded, counted from the beginning: it bounds time and memory.
    spans
        What is needed of a long recording, by its duration; more may be decoded. The DC offset is
        that of what is decoded.

    Raises
    ------
    ClipError
        Not readable as audio, no audio stream, no samples, or samples that are not numbers.
    """
    path = Path(path)
    if spans is not None and (some := decode_spans(path, max_seconds, spans)) is not None:
        decoded = np.concatenate([some.y[part] for part in some.parts])
        offset = _offset(decoded, path)
        for part in some.parts:
            some.y[part] -= offset
        return Waveform(y=some.y, sr=some.sr, parts=some.parts)
    y = np.empty(0, np.float32)  # grows with the clip: most formats do not say how long they are
    n = native_sr = 0
    for frame in frames(path):
        native_sr = frame.sample_rate
        if n >= max_seconds * native_sr:
            break
        if n + frame.samples > len(y):
            most = math.ceil(min(max_seconds, FIRST_SECONDS + 2 * n / native_sr) * native_sr)
            room = np.empty(max(most, n) + frame.samples, np.float32)
            room[:n] = y[:n]
            y = room
        mix(frame, y[n : n + frame.samples])
        n += frame.samples
    y = y[: int(min(n, max_seconds * native_sr))]
    y -= _offset(y, path)
    return Waveform(y=y, sr=native_sr)


def _offset(y: Floats, path: Path) -> np.float32:
    """Compute the DC offset."""
    offset: np.float32 = y.mean()
    if not np.isfinite(offset):
        raise ClipError(path, NOT_NUMBERS, remedy=REPLACE)
    return offset


@np.errstate(over="ignore", invalid="ignore")  # samples far above full scale
def find_sound(y: Floats, sr: int) -> slice:
    """Find the samples of a waveform (n,) between the silence at its ends.

    Silence has a power of `SILENCE_DB` below the loudest part, or less: digital silence, the noise
    of a converter, and the end of a fade. A waveform that is silent altogether is kept.

    Examples
    --------
    >>> y = np.zeros(1000, np.float32)
    >>> y[300:500] = 1
    >>> find_sound(y, 1000)
    slice(300, 500, None)
    """
    size = max(1, round(PART_SECONDS * sr))
    if len(y) < size:
        return slice(0, len(y))
    n_parts = len(y) // size
    parts, rest = y[: n_parts * size].reshape(n_parts, size), y[n_parts * size :]
    power = np.append(np.einsum("ps,ps->p", parts, parts), np.einsum("s,s", rest, rest))
    heard = np.flatnonzero(power > power.max() * 10 ** (-SILENCE_DB / 10))
    if not len(heard):
        return slice(0, len(y))
    return slice(int(heard[0]) * size, min((int(heard[-1]) + 1) * size, len(y)))
