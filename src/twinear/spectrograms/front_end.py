"""Waveform -> log-mel spectrogram: the one front end of training and inference.

The spectrogram is librosa's `feature.melspectrogram` (periodic Hann window, centred frames, Slaney
mel bands), computed frame by frame and only for the frames that are kept. Window and bands are
librosa's to the last bit, but computed here: `librosa.filters` takes a second to import. Values are
`1 + dB / top_db`, where dB is relative to the clip's loudest value: 1 is the loudest value, 0 is
`top_db` below it or silence. Silence at the ends of a clip is left out. From a clip that is longer
than `n_frames`, `n_windows` evenly spaced parts (one: the middle) are joined; a shorter one is
repeated from its start.

For the MFCC-Gaussian baseline (Mandel and Ellis, ISMIR 2005) the same waveform gives the mean and
the full covariance of librosa's first `n_mfcc` MFCCs, here from frames of 2048 samples every 1024
and 128 mel bands up to half the sample rate. Both are independent of the recording level.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.sparse
from pydantic import Field, ValidationInfo, field_validator

from twinear.base.params import Params
from twinear.clips.waveform import find_sound

Floats = npt.NDArray[np.float32]

MFCC_N_FFT = 2048
MFCC_HOP_LENGTH = 1024
MFCC_N_MELS = 128
MFCC_TOP_DB = 80.0
BLOCK = 64  # frames transformed at a time: they stay in the processor's cache
RIDGE = 1e-3  # on the covariance's diagonal: a steady tone varies in no MFCC


class SpectrogramsParams(Params):
    """The front end: `hop_length * n_frames / sr` seconds in `n_mels` bands; librosa's names."""

    sr: int = Field(gt=0)
    n_fft: int = Field(gt=0, multiple_of=2)
    hop_length: int = Field(gt=0)
    n_mels: int = Field(gt=0)
    n_frames: int = Field(ge=2)
    n_windows: int = Field(gt=0)
    fmin: float = Field(ge=0)
    fmax: float = Field(gt=0)
    top_db: float = Field(gt=0)
    n_mfcc: int = Field(gt=0, le=MFCC_N_MELS)
    max_seconds: float = Field(gt=0)
    embeddings: Literal["none", "concat", "only"]

    @field_validator("n_windows")
    @classmethod
    def _framed(cls, n_windows: int, info: ValidationInfo) -> int:
        if n_windows > info.data.get("n_frames", np.inf):
            raise ValueError("at most n_frames")
        return n_windows

    @field_validator("fmax")
    @classmethod
    def _audible(cls, fmax: float, info: ValidationInfo) -> float:
        if not info.data.get("fmin", 0) < fmax <= info.data.get("sr", np.inf) / 2:
            raise ValueError("more than fmin and at most sr / 2")
        return fmax


def log_mel(y: Floats, params: SpectrogramsParams) -> Floats:
    """Compute the log-mel spectrogram of a waveform.

    Parameters
    ----------
    y
        (n,), at `params.sr`; may be empty.

    Returns
    -------
    spectrogram
        (n_mels, n_frames) in [0, 1]; zeros for silence.
    """
    values = np.zeros((params.n_mels, params.n_frames), np.float32)
    y = _excerpt(y, params)
    power = mel_power(
        y, params.sr, params.n_fft, params.hop_length, params.n_mels, params.fmin, params.fmax
    )[:, : params.n_frames]  # (n_mels, frames)
    loudest = power.max(initial=0.0)
    if loudest > 0:
        floor = 10 ** (-params.top_db / 10)
        db = 10 * np.log10(np.maximum(power / loudest, floor))
        again = np.arange(params.n_frames) % power.shape[1]  # from its start
        values[:] = np.clip(1 + db / params.top_db, 0, 1)[:, again]
    return values


def excerpts(y: Floats, params: SpectrogramsParams) -> list[slice]:
    """Find the samples that are kept of a waveform; `log_mel` joins the parts.

    Examples
    --------
    >>> params = SpectrogramsParams(
    ...     sr=10, n_fft=2, hop_length=1, n_mels=1, n_frames=4, n_windows=2, fmin=0, fmax=5,
    ...     top_db=80, n_mfcc=1, max_seconds=9, embeddings="none",
    ... )
    >>> excerpts(np.ones(12, np.float32), params)  # 2 from the middle of each half
    [slice(2, 4, None), slice(8, 10, None)]
    >>> excerpts(np.array([0, 1, 1, 1, 0], np.float32), params)
    [slice(1, 4, None)]
    """
    sound = find_sound(y, params.sr)
    n = sound.stop - sound.start
    if n <= params.n_frames * params.hop_length:
        return [sound]
    parts, start = [], sound.start
    lengths, frames = (_shares(total, params.n_windows) for total in (n, params.n_frames))
    for length, n_frames in zip(lengths, frames, strict=True):
        kept = min(n_frames * params.hop_length, length)
        first = start + (length - kept) // 2
        parts.append(slice(first, first + kept))
        start += length
    return parts


def _shares(total: int, n: int) -> list[int]:
    """Divide a number into `n` nearly equal ones, the larger ones first."""
    return [total // n + (share < total % n) for share in range(n)]


def mfcc_statistics(y: Floats, params: SpectrogramsParams) -> tuple[Floats, Floats]:
    """Summarise the MFCCs of a waveform: mean, (n_mfcc,), and covariance, (n_mfcc, n_mfcc)."""
    y = _excerpt(y, params)
    power = mel_power(
        y, params.sr, MFCC_N_FFT, MFCC_HOP_LENGTH, MFCC_N_MELS, 0.0, params.sr / 2
    )  # (MFCC_N_MELS, frames)
    db = 10 * np.log10(np.maximum(power, 1e-10))
    db = np.maximum(db, db.max() - MFCC_TOP_DB)
    mfcc = scipy.fft.dct(db, axis=0, norm="ortho")[: params.n_mfcc].astype(float)
    mean = mfcc.mean(axis=1)
    centred = mfcc - mean[:, None]
    # einsum and not a BLAS product, whose threads would be in the way of the other workers
    cov = np.einsum("if,jf->ij", centred, centred) / mfcc.shape[1]
    cov += RIDGE * np.eye(params.n_mfcc)
    return mean.astype(np.float32), cov.astype(np.float32)


def _excerpt(y: Floats, params: SpectrogramsParams) -> Floats:
    """Take what is transformed of a waveform, at a peak of 1: any level can then be squared."""
    y = cut_windows(y, params)
    peak = max(y.max(initial=0.0), -y.min(initial=0.0))
    return y / peak if peak > 0 else y


def cut_windows(y: Floats, params: SpectrogramsParams) -> Floats:
    """Take the windows of a long waveform, or all of a short one, without silence at the ends."""
    parts = excerpts(y, params)
    return y[parts[0]] if len(parts) == 1 else np.concatenate([y[part] for part in parts])


def mel_power(
    y: Floats, sr: int, n_fft: int, hop_length: int, n_mels: int, fmin: float, fmax: float
) -> Floats:
    """Compute `librosa.feature.melspectrogram`, (n_mels, 1 + n // hop_length)."""
    padded = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    bands = _bands(sr, n_fft, n_mels, fmin, fmax)
    banded = np.empty((n_mels, len(frames)), np.float32)
    for start in range(0, len(frames), BLOCK):
        block = slice(start, start + BLOCK)
        spectrum = scipy.fft.rfft(frames[block] * hann_window(n_fft), axis=1)  # (frames, bins)
        spectrum = spectrum[:, : bands.shape[1]]
        power = spectrum.real**2 + spectrum.imag**2
        # a sparse product: few bins in a band, and the same bits whatever the number of threads
        banded[:, block] = bands @ power.T
    return banded


@lru_cache
def hann_window(n_fft: int) -> Floats:
    """Periodic Hann window, `librosa.filters.get_window("hann", n_fft)`."""
    window = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1)[:-1])
    return window.astype(np.float32)


@lru_cache
def _bands(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> scipy.sparse.csr_array:
    """Mel bands, (n_mels, bins), without the bins above `fmax`."""
    bands = mel_bands(sr, n_fft, n_mels, fmin, fmax)
    last = int(np.nonzero(bands)[1].max(initial=0))
    return scipy.sparse.csr_array(bands[:, : last + 1])


def mel_bands(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Floats:
    """Compute the triangular mel bands, `librosa.filters.mel`: (n_mels, 1 + n_fft / 2).

    The area below each triangle is the same.

    Examples
    --------
    >>> mel_bands(sr=8, n_fft=8, n_mels=2, fmin=0, fmax=3)
    array([[0., 1., 0., 0., 0.],
           [0., 0., 1., 0., 0.]], dtype=float32)
    """
    edges = mel_frequencies(n_mels + 2, fmin, fmax)[:, None]
    bins = np.fft.rfftfreq(n_fft, 1 / sr)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    # rounded before the scaling, as in librosa
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return (triangles * (2 / (edges[2:] - edges[:-2]))).astype(np.float32)


def mel_frequencies(n: int, fmin: float, fmax: float) -> npt.NDArray[np.float64]:
    """Compute frequencies evenly spaced in mel, `librosa.mel_frequencies`: (n,), in Hz.

    Slaney's scale is linear up to 1000 Hz, which are 15 mel, and logarithmic above.

    Examples
    --------
    >>> mel_frequencies(4, 0, 3000).round()
    array([   0.,  688., 1475., 3000.])
    """
    hz_per_mel, log_step = 200 / 3, np.log(6.4) / 27  # 27 mel from 1000 Hz to 6400 Hz
    knee = 1000 / hz_per_mel  # not quite 15 as a float, and so in librosa
    first, last = (
        hz / hz_per_mel if hz < 1000 else knee + np.log(hz / 1000) / log_step for hz in (fmin, fmax)
    )
    mels = np.linspace(first, last, n)
    return np.where(mels < knee, hz_per_mel * mels, 1000 * np.exp(log_step * (mels - knee)))
