"""Waveform -> what musicnn takes: patches of three seconds of a log-mel spectrogram.

As in musicnn 0.1.0: 96 mel bands of the power of 512 samples every 256 at 16 kHz, compressed as
`log10(10000 x + 1)`, in patches of 187 frames side by side; a rest at the end is dropped.
(Its own code casts the power to float16, in which loud music is infinite. Here all is float32.)

Level counts in this compression. musicnn's training audio and its usual decoders mix stereo to
`(L + R) / sqrt(2)`; a waveform of this project is the mean of the channels. A fixed gain of sqrt(2)
brings both to the same level, and a mono file gives what a stereo file of the same music gives.

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


def cut_patches(y: Floats, *, fixed: bool = False) -> Floats:
    """Cut patches out of a waveform.

    Of a waveform with more than `N_PATCHES` patches, evenly spaced ones are taken; one that is
    shorter than a patch is repeated.

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
    n_frames = 1 + len(y) // HOP_LENGTH
    if n_frames < N_FRAMES:
        repeated = _log_mel(y)[:, np.arange(N_FRAMES) % n_frames]
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
    return _log_mel(samples)[:, before : before + N_FRAMES]


@np.errstate(over="ignore", invalid="ignore")  # samples far above full scale
def _log_mel(y: Floats) -> Floats:
    power = mel_power(y, SR, N_FFT, HOP_LENGTH, N_MELS, 0.0, SR / 2)  # (N_MELS, frames)
    return np.asarray(np.log10(10000 * POWER_GAIN * power + 1))
