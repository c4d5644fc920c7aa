"""Audio file -> waveform: mono, float32, resampled.

A waveform is the mean of the channels, without DC offset, resampled as librosa does it (soxr, HQ;
a coarser setting would save less than a millisecond of the 30 ms a clip takes).
"""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from twinear.base.errors import ClipError
from twinear.clips.decoding import REPLACE, frames, mix

Floats = npt.NDArray[np.float32]

FIRST_SECONDS = 32  # length of the first buffer: a clip and a little more
NOT_NUMBERS = "holds samples that are not numbers"


@np.errstate(over="ignore", invalid="ignore")
def load_waveform(path: Path | str, sr: int, max_seconds: float = math.inf) -> Floats:
    """Decode an audio file to mono at `sr`, without DC offset.

    Parameters
    ----------
    sr
        Sample rate of the result, in Hz.
    max_seconds
        No more is decoded, counted from the beginning: it bounds time and memory.

    Returns
    -------
    y
        (n,), full scale 1.

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
    return y if sr == native_sr else soxr.resample(y, native_sr, sr, quality="HQ")
