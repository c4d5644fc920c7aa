"""Waveform -> log-mel spectrogram: the one front end of training and inference.

The spectrogram is librosa's `feature.melspectrogram` (periodic Hann window, centred frames, Slaney
mel bands), computed frame by frame and only for the frames that are kept. Window and bands are
librosa's to the last bit, but computed here: `librosa.filters` takes a second to import. Values are
`1 + dB / top_db`, where dB is relative to the clip's loudest value: 1 is the loudest value, 0 is
`top_db` below it or silence. From a clip longer than `n_frames`, `n_windows` evenly spaced parts
(one: the middle) are joined; a shorter clip is repeated from its start.

For the MFCC-Gaussian baseline (Mandel and Ellis, ISMIR 2005) the same waveform gives the mean and
the full covariance of librosa's first `n_mfcc` MFCCs, here from frames of 2048 samples every 1024
and 128 mel bands up to half the sample rate. Where these are every k-th frames of the spectrogram,
as with our own params, both come from one Fourier transform, with the same bits. Both are
independent of the recording level.

Two thirds of the time go into the transform itself (scipy's, in float32). Blocks are small, so that
they stay in the processor's cache and their memory is used again.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.sparse
from pydantic import Field, ValidationInfo, field_validator

from twinear.base.params import Params

Floats = npt.NDArray[np.float32]

MFCC_N_FFT = 2048
MFCC_HOP_LENGTH = 1024
MFCC_N_MELS = 128
MFCC_TOP_DB = 80.0
BLOCK = 2**16  # samples transformed at a time
MAX_SR = 384_000  # Hz, the most that is decoded
MAX_SAMPLES = 2**16  # of a frame, and between two
MAX_VALUES = 2**24  # of a spectrogram: 64 MB in float32
RIDGE = 1e-3  # on the covariance's diagonal: a steady tone varies in no MFCC


class SpectrogramsParams(Params):
    """The front end: `hop_length * n_frames / sr` seconds in `n_mels` bands; librosa's names."""

    sr: int = Field(gt=0, le=MAX_SR)
    n_fft: int = Field(gt=0, le=MAX_SAMPLES, multiple_of=2)
    hop_length: int = Field(gt=0, le=MAX_SAMPLES)
    n_mels: int = Field(gt=0, le=1024)
    n_frames: int = Field(ge=2)
    n_windows: int = Field(gt=0)
    fmin: float = Field(ge=0)
    fmax: float = Field(gt=0)
    top_db: float = Field(gt=0, le=400)
    n_mfcc: int = Field(gt=0, le=MFCC_N_MELS)
    max_seconds: float = Field(gt=0)
    embeddings: Literal["auto", "none", "concat", "only"]

    @field_validator("n_frames")
    @classmethod
    def _bounded(cls, n_frames: int, info: ValidationInfo) -> int:
        if n_frames * info.data.get("n_mels", 1) > MAX_VALUES:
            raise ValueError(f"at most {MAX_VALUES:,} / n_mels")
        return n_frames

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


class ClipFeatures(NamedTuple):
    """What the front end makes of a waveform.

    Attributes
    ----------
    log_mel
        (n_mels, n_frames) in [0, 1]; zeros for silence.
    mfcc_mean
        (n_mfcc,).
    mfcc_cov
        (n_mfcc, n_mfcc).
    """

    log_mel: Floats
    mfcc_mean: Floats
    mfcc_cov: Floats


def compute_features(y: Floats, params: SpectrogramsParams) -> ClipFeatures:
    """Compute `log_mel` and `mfcc_statistics` of a waveform, in one pass where that is possible."""
    every, rest = divmod(MFCC_HOP_LENGTH, params.hop_length)
    if rest or params.n_fft != MFCC_N_FFT:
        return ClipFeatures(log_mel(y, params), *mfcc_statistics(y, params))
    banks = (_Bank(_log_mel_bands(params)), _Bank(_mfcc_bands(params), every=every))
    power, mfcc_power = _mel_powers(_excerpt(y, params), params.n_fft, params.hop_length, banks)
    return ClipFeatures(_to_log(power, params), *_summarise_mfccs(mfcc_power, params))


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
    banks = (_Bank(_log_mel_bands(params)),)
    (power,) = _mel_powers(_excerpt(y, params), params.n_fft, params.hop_length, banks)
    return _to_log(power, params)


def _to_log(power: Floats, params: SpectrogramsParams) -> Floats:
    """Scale a mel spectrogram, (n_mels, frames), to [0, 1] and `n_frames`."""
    power = power[:, : params.n_frames]
    loudest = power.max(initial=0.0)
    if loudest <= 0:
        return np.zeros((params.n_mels, params.n_frames), np.float32)
    floor = 10 ** (-params.top_db / 10)
    db = 10 * np.log10(np.maximum(power / loudest, floor))
    values = np.clip(1 + db / params.top_db, 0, 1)
    again = np.arange(params.n_frames) % power.shape[1]  # from its start
    return np.ascontiguousarray(values[:, again])


def excerpts(n: int, params: SpectrogramsParams) -> list[slice]:
    """Find the samples that are kept of a waveform of `n` samples; `log_mel` joins the parts.

    Examples
    --------
    >>> params = SpectrogramsParams(
    ...     sr=10, n_fft=2, hop_length=1, n_mels=1, n_frames=4, n_windows=2, fmin=0, fmax=5,
    ...     top_db=80, n_mfcc=1, max_seconds=9, embeddings="none",
    ... )
    >>> excerpts(12, params)  # 2 from the middle of each half
    [slice(2, 4, None), slice(8, 10, None)]
    >>> excerpts(3, params)
    [slice(0, 3, None)]
    """
    if n <= params.n_frames * params.hop_length:
        return [slice(0, n)]
    parts, start = [], 0
    lengths, frames = (_shares(total, params.n_windows) for total in (n, params.n_frames))
    for length, n_frames in zip(lengths, frames, strict=True):
        kept = min(n_frames * params.hop_length, length)
        first = start + (length - kept) // 2
        parts.append(slice(first, first + kept))
        start += length
    return parts


def needed_seconds(seconds: float, params: SpectrogramsParams) -> list[tuple[float, float]]:
    """Find what `log_mel` and `mfcc_statistics` take of a recording, as (start, end) in seconds."""
    parts = excerpts(round(seconds * params.sr), params)
    return [(part.start / params.sr, part.stop / params.sr) for part in parts]


def _shares(total: int, n: int) -> list[int]:
    """Divide a number into `n` nearly equal ones, the larger ones first."""
    return [total // n + (share < total % n) for share in range(n)]


def mfcc_statistics(y: Floats, params: SpectrogramsParams) -> tuple[Floats, Floats]:
    """Summarise the MFCCs of a waveform: mean, (n_mfcc,), and covariance, (n_mfcc, n_mfcc)."""
    banks = (_Bank(_mfcc_bands(params)),)
    (power,) = _mel_powers(_excerpt(y, params), MFCC_N_FFT, MFCC_HOP_LENGTH, banks)
    return _summarise_mfccs(power, params)


def _summarise_mfccs(power: Floats, params: SpectrogramsParams) -> tuple[Floats, Floats]:
    """Mean and covariance of the MFCCs of a mel spectrogram, (MFCC_N_MELS, frames)."""
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
    """Take the windows of a long waveform; a short one is returned as it is."""
    parts = excerpts(len(y), params)
    return y[parts[0]] if len(parts) == 1 else np.concatenate([y[part] for part in parts])


def mel_power(
    y: Floats, sr: int, n_fft: int, hop_length: int, n_mels: int, fmin: float, fmax: float
) -> Floats:
    """Compute `librosa.feature.melspectrogram`, (n_mels, 1 + n // hop_length)."""
    banks = (_Bank(_bands(sr, n_fft, n_mels, fmin, fmax)),)
    (power,) = _mel_powers(y, n_fft, hop_length, banks)
    return power


class _Bank(NamedTuple):
    """Mel bands, (n_mels, bins), of each `every`-th frame."""

    bands: scipy.sparse.csr_array
    every: int = 1


def _mel_powers(
    y: Floats, n_fft: int, hop_length: int, banks: tuple[_Bank, ...]
) -> tuple[Floats, ...]:
    """Compute the mel spectrogram of each bank, (n_mels, frames)."""
    padded = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    banded = tuple(
        np.empty((bands.shape[0], len(frames[::every])), np.float32) for bands, every in banks
    )
    n_bins = max(bands.shape[1] for bands, _ in banks)
    most = max(every for _, every in banks)
    size = most * max(1, BLOCK // (n_fft * most))  # a block begins with a frame of every bank
    windowed = np.empty((size, n_fft), np.float32)
    for start in range(0, len(frames), size):
        block = frames[start : start + size]
        np.multiply(block, hann_window(n_fft), out=windowed[: len(block)])
        spectrum = scipy.fft.rfft(windowed[: len(block)], axis=1)[:, :n_bins]  # (frames, bins)
        power = spectrum.real**2
        power += spectrum.imag**2
        for (bands, every), bank in zip(banks, banded, strict=True):
            kept = power[::every, : bands.shape[1]]
            # a sparse product: few bins in a band, and the same bits whatever the number of threads
            bank[:, start // every : start // every + len(kept)] = bands @ kept.T
    return banded


def _log_mel_bands(params: SpectrogramsParams) -> scipy.sparse.csr_array:
    return _bands(params.sr, params.n_fft, params.n_mels, params.fmin, params.fmax)


def _mfcc_bands(params: SpectrogramsParams) -> scipy.sparse.csr_array:
    return _bands(params.sr, MFCC_N_FFT, MFCC_N_MELS, 0.0, params.sr / 2)


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
