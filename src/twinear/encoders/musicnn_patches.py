"""Waveform -> what musicnn takes: patches of three seconds of a log-mel spectrogram.

As in musicnn 0.1.0: 96 mel bands of the power of 512 samples every 256 at 16 kHz, compressed as
`log10(10000 x + 1)`, in patches of 187 frames side by side; a rest at the end is dropped.
(Its own code casts the power to float16, in which loud music is infinite. Here all is float32.)

Level counts in this compression. musicnn's training audio and its usual decoders mix stereo to
`(L + R) / sqrt(2)`; a waveform of this project is the mean of the channels. A fixed gain of sqrt(2)
brings both to the same level, and a mono file gives what a stereo file of the same music gives.

Recordings of one piece differ in what the network was never trained to ignore: silence at their
ends, level, and the band that a codec or an old medium left. Silence is cut off. The level is
brought into the range in which most music has it. Of music the power falls by about
`FALL_DB` from one mel band to the next; where the outermost bands are `MISSING_DB` below that line,
they are filled by their neighbours on it, frame by frame, as codecs extend a band (spectral band
replication). A full-band recording of a usual level passes as it is.

Apart from the network, so that a worker does not import torch.
"""

import numpy as np
import numpy.typing as npt

from twinear.clips.waveform import find_sound
from twinear.spectrograms.front_end import mel_power

Floats = npt.NDArray[np.float32]

SR = 16000
N_FFT, HOP_LENGTH = 512, 256
N_MELS = 96
N_FRAMES = 187  # of a patch
N_PATCHES = 10  # at most; all that 30 seconds hold
POWER_GAIN = 2.0  # the gain of sqrt(2), squared

# All levels are percentiles over the frames: gaps between notes do not count.
LEVELS_DB = (14.5, 24.5)  # of the sum of the bands, 90th percentile
FALL_DB = 0.29  # from a band to the next, 95th percentile
USUAL = slice(9, 70)  # bands between 300 and 3,500 Hz, which every recording has
MISSING_DB = 20.0
EDGE = 2  # outermost bands that a filter's slope reaches into
SMALLEST_POWER = 1e-12
BELOW, ABOVE = 8, 4  # how many bands fill those above them, and those below


def cut_patches(y: Floats, *, fixed: bool = False) -> Floats:
    """Cut patches out of a waveform.

    Silence at the ends is left out. Of a waveform with more than `N_PATCHES` patches, evenly spaced
    ones are taken; one that is shorter than a patch is repeated.

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
    y = y[find_sound(y, SR)]
    n_frames = 1 + len(y) // HOP_LENGTH
    if n_frames < N_FRAMES:
        repeated = _power(y)[:, np.arange(N_FRAMES) % n_frames]
        return log_mel(restore(np.repeat(repeated[None], N_PATCHES if fixed else 1, axis=0)))
    n_whole = n_frames // N_FRAMES
    if fixed or n_whole > N_PATCHES:
        starts = np.linspace(0, n_frames - N_FRAMES, N_PATCHES).astype(int)
    else:
        starts = np.arange(n_whole) * N_FRAMES
    return log_mel(restore(np.stack([_cut_patch(y, int(start)) for start in starts])))


def _cut_patch(y: Floats, start: int) -> Floats:
    """Compute the frames of one patch from the samples that they cover, (N_MELS, N_FRAMES)."""
    # a centred frame covers a hop before and one after; at the ends there are zeros
    before = min(start, 1)
    samples = y[(start - before) * HOP_LENGTH : (start + N_FRAMES) * HOP_LENGTH]
    return _power(samples)[:, before : before + N_FRAMES]


@np.errstate(over="ignore", invalid="ignore")  # samples far above full scale
def _power(y: Floats) -> Floats:
    return mel_power(y, SR, N_FFT, HOP_LENGTH, N_MELS, 0.0, SR / 2)  # (N_MELS, frames)


@np.errstate(over="ignore", invalid="ignore")
def restore(power: Floats) -> Floats:
    """Level the patches of a clip, (patches, N_MELS, N_FRAMES), and fill the bands it lacks.

    Not finite or silent ones are returned as they are.
    """
    of_frames = power.sum(axis=1)
    loud = np.percentile(of_frames, 90)
    if not (np.isfinite(loud) and loud > 0):
        return power
    level = 10 * np.log10(loud)
    power = power * np.float32(10 ** ((np.clip(level, *LEVELS_DB) - level) / 10))
    line = 10 ** (-FALL_DB / 10 * np.arange(N_MELS, dtype=np.float32))[:, None]
    flat = power / line
    bands = 10 * np.log10(np.percentile(flat, 95, axis=(0, 2)) + SMALLEST_POWER)
    held = np.flatnonzero(bands > np.median(bands[USUAL]) - MISSING_DB)
    first, last = held[0], held[-1]
    if last < N_MELS - EDGE:
        end = max(last - EDGE, BELOW)
        flat[:, end:] = flat[:, end - BELOW : end].mean(axis=1, keepdims=True)
    if first > 0:
        start = first + 1
        flat[:, :start] = flat[:, start : start + ABOVE].mean(axis=1, keepdims=True)
    return np.asarray(flat * line)


@np.errstate(over="ignore", invalid="ignore")
def log_mel(power: Floats) -> Floats:
    """Compress power as musicnn does."""
    return np.asarray(np.log10(10000 * POWER_GAIN * power + 1))
