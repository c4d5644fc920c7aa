"""Audio file -> waveform: mono, float32, resampled.

A waveform is the mean of the channels, without DC offset, resampled as librosa does it (soxr, HQ;
a coarser setting would save less than a millisecond of the 30 ms a clip takes).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from twinear.base.errors import ClipError
from twinear.clips.decoding import REPLACE, frames, mix

Floats = npt.NDArray[np.float32]

FIRST_SECONDS = 32  # length of the first buffer: a clip and a little more
NOT_NUMBERS = "holds samples that are not numbers"

# How waveforms are mixed, levelled, and freed of silence and of missing bands for encoders.
# Embeddings of waveforms that were treated otherwise are not comparable: count it up on a change.
MIX = "mix 2"

SILENCE_DB = 45.0  # below the loudest part
PART_SECONDS = 0.02  # of a waveform that are silent or not


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """A decoded clip: `y` (n,), mono, full scale 1, at `sr` Hz."""

    y: Floats
    sr: int

    def at(self, sr: int) -> Floats:
        """Resample it, (n,)."""
        return self.y if sr == self.sr else soxr.resample(self.y, self.sr, sr, quality="HQ")

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
def decode(path: Path | str, max_seconds: float = math.inf) -> Waveform:
    """Decode an audio file to mono at its own sample rate, without DC offset.

    Parameters
    ----------
    max_seconds
        No more is decoded, counted from the beginning: it bounds time and memory.

    Raises
    ------
    ClipError
        Not readable as audio, no audio stream, no samples, or samples that are not numbers.
    """
    path = Path(path)
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
    offset = y.mean()
    if not np.isfinite(offset):
        raise ClipError(path, NOT_NUMBERS, remedy=REPLACE)
    y -= offset
    return Waveform(y=y, sr=native_sr)


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
    power = np.add.reduceat(np.square(y), np.arange(0, len(y), size))
    heard = np.flatnonzero(power > power.max() * 10 ** (-SILENCE_DB / 10))
    if not len(heard):
        return slice(0, len(y))
    return slice(int(heard[0]) * size, min((int(heard[-1]) + 1) * size, len(y)))
