"""Fixed statistics of a clip's input: nothing here is learned.

A few hundred clips are too few to learn what to listen for, but enough to learn how to weigh it.
These statistics carry over from artist to artist: how much and how fast each band changes (not how
loud it is, which is the recording's), how the bands vary together, and the modulation spectrum.
They are computed from the network's own input, so that a scorer needs nothing beside it. The
compact form of the spectrograms (`storage`) holds them too, since it has no longer all frames.

First a spectrogram is brought to decibels relative to the clip's mean power, with a floor
`FLOOR_DB` below it, so that neither the recording's level nor the silence between notes counts.

- `change`: log mean absolute difference of frames `LAGS` apart, per band.
- `slope`: percentiles of the difference of neighbouring frames, per band.
- `skew`: skewness of each band over time.
- `bands`: matrix logarithm of the covariance of the bands (Arsigny, Fillard, Pennec and Ayache,
  "Log-Euclidean metrics for fast and simple calculus on diffusion tensors", MRM 56, 2006).
- `cepstrum`, `movement`: covariance of the cepstral coefficients (a discrete cosine transform of
  the bands, as MFCCs are) and of their differences, each element as sign times log(1 + size).
- `modulation`: log power of each sixteenth of the bands in `N_RATES` modulation rates between
  `MIN_HZ` and `MAX_HZ` (after the fluctuation patterns of Pampalk, "Computational models of music
  similarity and their application in music information retrieval", 2006).

The blocks are named where they are computed; `BLOCKS` holds plain words for each.

Torch tensors and NumPy arrays are taken alike, under the names that both libraries know: training
needs tensors, and a command that encodes one clip does without torch, which takes a second and a
half to import.
"""

import math
import sys
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.fft import dct

FLOOR_DB = 40.0
N_BANDS, N_COARSE = 40, 16
LAGS = (1, 4, 16)
PERCENTILES = (0.05, 0.25, 0.75, 0.95)
N_CEPSTRAL = 20
WINDOW_SECONDS = 6.0  # of the modulation spectrum
N_RATES, MIN_HZ, MAX_HZ = 16, 0.3, 16.0
EPSILON = 1e-6

Array = Any  # torch.Tensor or np.ndarray; a function returns what it is given


class BlockWords(NamedTuple):
    """Plain words for a block of statistics."""

    label: str  # a noun, for tables
    meaning: str  # what the block measures


BLOCKS = {
    "change": BlockWords("pace of change", "how much each band changes within short times"),
    "slope": BlockWords("punch", "how sharply each band rises and falls"),
    "skew": BlockWords("peaks and gaps", "whether bands are quiet with peaks or loud with gaps"),
    "bands": BlockWords("texture", "how much the bands vary, and which vary together"),
    "cepstrum": BlockWords("range of timbre", "how widely the shape of the spectrum varies"),
    "movement": BlockWords("movement of timbre", "how the spectrum's shape moves between frames"),
    "modulation": BlockWords("pulse", "how strongly the bands pulse, 0.3 to 16 times a second"),
    "embedding": BlockWords("pre-trained embedding", "the embedding of a pre-trained network"),
    "embedding_deviation": BlockWords(
        "embedding variation", "how much that embedding varies within the clip"
    ),
}


def spectrogram_statistics(x: Array, frames_per_second: float, top_db: float) -> dict[str, Array]:
    """Summarise spectrograms by named blocks of statistics (clips, n).

    `x`, (clips, n_mels, n_frames) in [0, 1], is as `spectrograms.log_mel` makes it, of at least two
    frames; how many blocks, and how long, depends on its shape only. `frames_per_second` is
    `sr / hop_length`, `top_db` what the value 0 stands for, in decibels below 1.
    """
    xp = _namespace(x)
    bands = _means(_decibels(x, top_db), N_BANDS)  # (clips, bands, frames)
    cepstrum = _like(x, dct(np.eye(bands.shape[1]), axis=0, norm="ortho")[:N_CEPSTRAL]) @ bands
    change = xp.diff(bands, axis=2)
    percentiles = xp.quantile(change, _like(x, PERCENTILES), axis=2)
    changes = [_change(bands, lag) for lag in LAGS if lag < bands.shape[2]]
    return {
        "change": xp.concatenate(changes, axis=1),
        "slope": xp.moveaxis(percentiles, 0, 2).reshape(len(x), len(PERCENTILES) * bands.shape[1]),
        "skew": _skew(bands),
        "bands": _upper(_log_matrix(_covariance(bands))),
        "cepstrum": _compressed(_upper(_covariance(cepstrum))),
        "movement": _compressed(_upper(_covariance(xp.diff(cepstrum, axis=2)))),
        "modulation": _modulation(_means(bands, N_COARSE), frames_per_second),
    }


def embedding_statistics(x: Array) -> dict[str, Array]:
    """Summarise embeddings (clips, n_dims, n_frames): mean and, over several frames, deviation."""
    blocks = {"embedding": x.mean(axis=2)}
    if x.shape[2] > 1:
        blocks["embedding_deviation"] = _namespace(x).std(x, axis=2, correction=1)
    return blocks


def _namespace(x: Array) -> Any:
    if isinstance(x, np.ndarray):
        return np
    return sys.modules["torch"]  # there already, as `x` is a tensor


def _like(x: Array, values: Any) -> Array:
    return _namespace(x).asarray(values, dtype=x.dtype, device=x.device)


def _decibels(x: Array, top_db: float) -> Array:
    power = 10 ** ((x - 1) * (top_db / 10))  # of the clip's maximum
    mean = power.mean(axis=(1, 2), keepdims=True)
    return 10 * _namespace(x).log10(10 ** (-FLOOR_DB / 10) + power / mean)


def _means(x: Array, n: int) -> Array:
    """Average neighbouring bands to at most `n`."""
    edges = np.linspace(0, x.shape[1], min(n, x.shape[1]) + 1).astype(int)
    return _namespace(x).stack([x[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)


def _change(x: Array, lag: int) -> Array:
    return _namespace(x).log(abs(x[:, :, lag:] - x[:, :, :-lag]).mean(axis=2) + 0.1)


def _skew(x: Array) -> Array:
    xp = _namespace(x)
    centred = x - x.mean(axis=2, keepdims=True)
    deviation = xp.sqrt(xp.square(centred).mean(axis=2)) + 0.1
    return (centred**3).mean(axis=2) / deviation**3


def _covariance(x: Array) -> Array:
    centred = x - x.mean(axis=2, keepdims=True)
    return centred @ centred.mT / max(x.shape[2] - 1, 1)


def _log_matrix(x: Array) -> Array:
    xp = _namespace(x)
    values, vectors = xp.linalg.eigh(x + _like(x, np.eye(x.shape[1])))
    logarithms = xp.log(xp.clip(values, EPSILON, None))[:, None]
    return (vectors * logarithms) @ vectors.mT


def _upper(x: Array) -> Array:
    """The upper triangle of symmetric matrices, (clips, n (n + 1) / 2), keeping their norm."""
    rows, columns = np.triu_indices(x.shape[1])
    return x[:, rows, columns] * _like(x, np.where(rows == columns, 1.0, math.sqrt(2)))


def _compressed(x: Array) -> Array:
    xp = _namespace(x)
    return xp.sign(x) * xp.log1p(abs(x))


def _modulation(x: Array, frames_per_second: float) -> Array:
    xp = _namespace(x)
    size = min(round(WINDOW_SECONDS * frames_per_second), x.shape[2])
    step = max(size // 2, 1)
    if xp is np:
        windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=2)[:, :, ::step]
        hann = np.hanning(size).astype(x.dtype)
    else:
        windows = x.unfold(2, size, step)  # (clips, coarse, windows, size)
        hann = xp.hann_window(size, periodic=False, dtype=x.dtype, device=x.device)
    centred = windows - windows.mean(axis=3, keepdims=True)
    power = xp.square(abs(xp.fft.rfft(centred * hann))).mean(axis=2)  # (clips, coarse, rates)
    rates = np.fft.rfftfreq(size, 1 / frames_per_second)
    bounds = np.searchsorted(rates, np.geomspace(MIN_HZ, MAX_HZ, N_RATES + 1))
    inside = [(a, max(b, a + 1)) for a, b in pairwise(bounds) if a < len(rates)]
    return xp.log(xp.concatenate([power[:, :, a:b].mean(axis=2) for a, b in inside], axis=1) + 1e-3)
