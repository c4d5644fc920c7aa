"""Fixed statistics of a clip's input: nothing here is learned.

A few hundred clips are too few to learn what to listen for, but enough to learn how to weigh it.
These statistics carry over from artist to artist: how much and how fast each band changes (not how
loud it is, which is the recording's), how the bands vary together, and the modulation spectrum.
They are computed from the network's own input, so that a scorer needs nothing beside it.

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
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

FLOOR_DB = 40.0
N_BANDS, N_COARSE = 40, 16
LAGS = (1, 4, 16)
PERCENTILES = (0.05, 0.25, 0.75, 0.95)
N_CEPSTRAL = 20
WINDOW_SECONDS = 6.0  # of the modulation spectrum
N_RATES, MIN_HZ, MAX_HZ = 16, 0.3, 16.0
EPSILON = 1e-6


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


def spectrogram_statistics(x: Tensor, frames_per_second: float, top_db: float) -> dict[str, Tensor]:
    """Summarise spectrograms by named blocks of statistics (clips, n).

    `x`, (clips, n_mels, n_frames) in [0, 1], is as `spectrograms.log_mel` makes it, of at least two
    frames; how many blocks, and how long, depends on its shape only. `frames_per_second` is
    `sr / hop_length`, `top_db` what the value 0 stands for, in decibels below 1.
    """
    bands = _means(_decibels(x, top_db), N_BANDS)  # (clips, bands, frames)
    cosines = dct(np.eye(bands.shape[1]), axis=0, norm="ortho")[:N_CEPSTRAL]
    cepstrum = x.new_tensor(cosines) @ bands
    change = bands.diff(dim=2)
    percentiles = torch.quantile(change, x.new_tensor(PERCENTILES), dim=2)
    return {
        "change": torch.cat([_change(bands, lag) for lag in LAGS if lag < bands.shape[2]], dim=1),
        "slope": percentiles.permute(1, 2, 0).flatten(1),
        "skew": _skew(bands),
        "bands": _upper(_log_matrix(_covariance(bands))),
        "cepstrum": _compressed(_upper(_covariance(cepstrum))),
        "movement": _compressed(_upper(_covariance(cepstrum.diff(dim=2)))),
        "modulation": _modulation(_means(bands, N_COARSE), frames_per_second),
    }


def embedding_statistics(x: Tensor) -> dict[str, Tensor]:
    """Summarise embeddings (clips, n_dims, n_frames): mean and, over several frames, deviation."""
    mean = {"embedding": x.mean(dim=2)}
    return mean if x.shape[2] == 1 else mean | {"embedding_deviation": x.std(dim=2)}


def _decibels(x: Tensor, top_db: float) -> Tensor:
    power = 10 ** ((x - 1) * (top_db / 10))  # of the clip's maximum
    mean = power.mean(dim=(1, 2), keepdim=True)
    return 10 * torch.log10(10 ** (-FLOOR_DB / 10) + power / mean)


def _means(x: Tensor, n: int) -> Tensor:
    """Average neighbouring bands to at most `n`."""
    edges = np.linspace(0, x.shape[1], min(n, x.shape[1]) + 1).astype(int)
    return torch.stack([x[:, a:b].mean(dim=1) for a, b in pairwise(edges)], dim=1)


def _change(x: Tensor, lag: int) -> Tensor:
    return ((x[:, :, lag:] - x[:, :, :-lag]).abs().mean(dim=2) + 0.1).log()


def _skew(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=2, keepdim=True)
    deviation = centred.square().mean(dim=2).sqrt() + 0.1
    return centred.pow(3).mean(dim=2) / deviation.pow(3)


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=2, keepdim=True)
    return centred @ centred.transpose(1, 2) / max(x.shape[2] - 1, 1)


def _log_matrix(x: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(x + torch.eye(x.shape[1], dtype=x.dtype, device=x.device))
    logarithms = values.clamp(min=EPSILON).log().unsqueeze(1)
    matrix: Tensor = (vectors * logarithms) @ vectors.transpose(1, 2)
    return matrix


def _upper(x: Tensor) -> Tensor:
    """The upper triangle of symmetric matrices, (clips, n (n + 1) / 2), keeping their norm."""
    rows, columns = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
    return x[:, rows, columns] * torch.where(rows == columns, 1.0, math.sqrt(2)).to(x.dtype)


def _compressed(x: Tensor) -> Tensor:
    return x.sign() * x.abs().log1p()


def _modulation(x: Tensor, frames_per_second: float) -> Tensor:
    size = min(round(WINDOW_SECONDS * frames_per_second), x.shape[2])
    windows = x.unfold(2, size, max(size // 2, 1))  # (clips, coarse, windows, size)
    centred = windows - windows.mean(dim=3, keepdim=True)
    hann = torch.hann_window(size, periodic=False, dtype=x.dtype, device=x.device)
    power = torch.fft.rfft(centred * hann).abs().square().mean(dim=2)  # (clips, coarse, rates)
    rates = np.fft.rfftfreq(size, 1 / frames_per_second)
    bounds = np.searchsorted(rates, np.geomspace(MIN_HZ, MAX_HZ, N_RATES + 1))
    inside = [(a, max(b, a + 1)) for a, b in pairwise(bounds) if a < len(rates)]
    return (torch.cat([power[:, :, a:b].mean(dim=2) for a, b in inside], dim=1) + 1e-3).log()
