"""Waveform -> what musicnn takes: patches of three seconds of a log-mel spectrogram.

As in musicnn 0.1.0: 96 mel bands of the power of 512 samples every 256 at 16 kHz, compressed as
`log10(10000 x + 1)`, in patches of 187 frames.
(Its own code casts the power to float16, in which loud music is infinite. Here all is float32.)

Level counts in this compression. musicnn's training audio and its usual decoders mix stereo to
`(L + R) / sqrt(2)`; a waveform of this project is the mean of the channels. A fixed gain of sqrt(2)
brings both to the same level, and a mono file gives what a stereo file of the same music gives.

Recordings of one piece differ in what the network was not trained to ignore: level, and the band
that a codec, an old medium or a small loudspeaker left. So levels are drawn together, and bands
below and above those that a recording holds are filled by the nearest ones that it has, frame by
frame, on the line by which the power of music falls towards high bands (as codecs extend a band).

Apart from the network, so that a worker does not import torch.
"""

import numpy as np
import numpy.typing as npt

from twinear.spectrograms.front_end import mel_power

Floats = npt.NDArray[np.float32]

SR = 16000
N_FFT, HOP_LENGTH = 512, 256
N_MELS = 96
N_FRAMES = 187  # of a patch
N_PATCHES = 10  # at most; all that 30 seconds hold
POWER_GAIN = 2.0  # the gain of sqrt(2), squared

# Levels are percentiles over the frames, so that gaps between notes do not count.
USUAL_LEVEL_DB = 18.0  # of the sum of the bands, 90th percentile
LEVEL_KEPT = 1 / 3  # of the difference from it: loud and quiet music differ
LEAST_LEVEL_DB = 14.5  # of a very quiet recording
FALL_DB = 0.29  # of the power from a band to the next, 95th percentile
USUAL = slice(9, 70)  # bands between 300 and 3,500 Hz, which every recording has
SLOPE = 2  # bands at an edge into which a filter reaches
HIGH_MISSING_DB = 15.0  # a high band that is so far below the line of the others
HIGH_SOURCES = 8  # bands that fill those above
LOW_USUAL = slice(4, 20)  # bands between 150 and 660 Hz
LOW_MISSING_DB = 10.0  # a low band that is so far below the line of those
LOW_SOURCES = 4  # bands that fill those below
LEAST_LOW = 2  # missing low bands (up to 90 Hz): one alone is usual in music
SMALLEST_POWER = 1e-12


def cut_patches(y: Floats, *, fixed: bool = False) -> Floats:
    """Cut patches out of a waveform.

    They lie side by side, and a rest at the end is dropped. Of a waveform with more than
    `N_PATCHES` patches, evenly spaced ones are taken; one that is shorter than a patch is repeated.

    Parameters
    ----------
    y
        (n,), at `SR`, the mean of the channels.
    fixed
        Take `N_PATCHES` patches of any waveform, evenly spaced, which may overlap.

    Returns
    -------
    (patches, N_MELS, N_FRAMES), of log-mels.
    """
    return compress(restore(_cut_power(y, fixed)))


def _cut_power(y: Floats, fixed: bool) -> Floats:
    """Cut patches of the mel power, (patches, N_MELS, N_FRAMES)."""
    n_frames = 1 + len(y) // HOP_LENGTH
    if n_frames < N_FRAMES:
        repeated = _mel_power(y)[:, np.arange(N_FRAMES) % n_frames]
        return np.repeat(repeated[None], N_PATCHES if fixed else 1, axis=0)
    n_whole = n_frames // N_FRAMES
    if fixed or n_whole > N_PATCHES:
        starts = _spread(n_frames)
    else:
        starts = [patch * N_FRAMES for patch in range(n_whole)]
    return np.stack([_cut_patch(y, start) for start in starts])


def patch_seconds(seconds: float) -> list[tuple[float, float]]:
    """Find what `cut_patches` takes of a recording, as (start, end) in seconds.

    Examples
    --------
    >>> patch_seconds(20)  # all of a short one
    [(0.0, 20)]
    >>> patch_seconds(300)[1]  # a patch, and a hop before and after
    (32.976, 36.0)
    """
    n_frames = 1 + round(seconds * SR) // HOP_LENGTH
    if n_frames // N_FRAMES <= N_PATCHES:
        return [(0.0, seconds)]
    hop = HOP_LENGTH / SR
    return [((start - 1) * hop, (start + N_FRAMES) * hop) for start in _spread(n_frames)]


def _spread(n_frames: int) -> list[int]:
    """Spread the first frames of the patches evenly."""
    return [int(start) for start in np.linspace(0, n_frames - N_FRAMES, N_PATCHES)]


def _cut_patch(y: Floats, start: int) -> Floats:
    """Compute the frames of one patch from the samples that they cover, (N_MELS, N_FRAMES)."""
    # a centred frame covers a hop before and one after; at the ends there are zeros
    before = min(start, 1)
    samples = y[(start - before) * HOP_LENGTH : (start + N_FRAMES) * HOP_LENGTH]
    return _mel_power(samples)[:, before : before + N_FRAMES]


@np.errstate(over="ignore", invalid="ignore")  # samples far above full scale
def _mel_power(y: Floats) -> Floats:
    return mel_power(y, SR, N_FFT, HOP_LENGTH, N_MELS, 0.0, SR / 2)  # (N_MELS, frames)


@np.errstate(over="ignore", invalid="ignore")
def restore(power: Floats) -> Floats:
    """Draw the level of a clip towards a usual one, and fill the bands that it does not hold.

    Parameters
    ----------
    power
        Mel power of one clip, (patches, N_MELS, N_FRAMES). Silence, and what is not finite, is
        returned as it is.
    """
    loud = np.percentile(power.sum(axis=1), 90)
    if not SMALLEST_POWER < loud < np.inf:
        return power
    level = 10 * np.log10(loud)
    wanted = max(LEAST_LEVEL_DB, USUAL_LEVEL_DB + LEVEL_KEPT * (level - USUAL_LEVEL_DB))
    power = power * np.float32(10 ** ((wanted - level) / 10))
    bands = 10 * np.log10(np.percentile(power, 95, axis=(0, 2)) + SMALLEST_POWER)
    bands += FALL_DB * np.arange(N_MELS)
    low = bands >= np.median(bands[LOW_USUAL]) - LOW_MISSING_DB
    n_low = int(np.argmax(low))  # missing from the lowest one on
    if n_low >= LEAST_LOW:
        end = n_low + SLOPE
        _fill(power, slice(0, end), slice(end, end + LOW_SOURCES))
    held = np.flatnonzero(bands >= np.median(bands[USUAL]) - HIGH_MISSING_DB)
    if held[-1] < N_MELS - SLOPE:
        first = max(int(held[-1]) - SLOPE, HIGH_SOURCES)
        _fill(power, slice(first, N_MELS), slice(first - HIGH_SOURCES, first))
    return power


def _fill(power: Floats, missing: slice, sources: slice) -> None:
    """Fill bands by the mean of others, frame by frame, on the line of the usual fall."""
    line = np.float32(10) ** (-FALL_DB / 10 * np.arange(N_MELS, dtype=np.float32))[:, None]
    mean = (power[:, sources] / line[sources]).mean(axis=1, keepdims=True)
    power[:, missing] = mean * line[missing]


@np.errstate(over="ignore", invalid="ignore")
def compress(power: Floats) -> Floats:
    """Compress mel power as musicnn does."""
    return np.asarray(np.log10(10000 * POWER_GAIN * power + 1))
