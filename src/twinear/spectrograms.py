"""Waveform -> log-mel spectrogram: the one front end of training and serving.

The spectrogram is librosa's `feature.melspectrogram` (periodic Hann window, centred frames, Slaney
mel bands), computed frame by frame without librosa's start-up and on as few frames as are kept.
Values are `1 + dB / top_db`, where dB is under the clip's loudest value: 1 is that, 0 is `top_db`
below or silence. Of a clip longer than `n_frames` as many are taken, in `n_windows` parts that are
spread over it evenly (one: its middle) and joined; a shorter one is repeated from its start.

A table of vectors made by another extractor may stand beside the log-mel (`vectors: joined`) or in
its place (`alone`); where they come from, this module does not know.

For the MFCC-Gaussian baseline (Mandel and Ellis, ISMIR 2005) the same waveform gives the mean and
the full covariance of librosa's first `n_mfcc` MFCCs, here of 2048 samples every 1024, 128 mel
bands up to half the sample rate. Both are independent of the recording level.
"""

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.fft
import scipy.sparse
from librosa.filters import get_window, mel
from pydantic import Field, ValidationInfo, field_validator

from twinear.clips import Clips
from twinear.errors import ClipError, DataError, ParamsError
from twinear.files import replacing, require, sha256
from twinear.params import Params, parse_params
from twinear.pool import Progress, Workers, spread
from twinear.vectors import TABLE, vectors_of
from twinear.waveform import load_clip

Floats = npt.NDArray[np.float32]

MFCC_N_FFT = 2048
MFCC_HOP_LENGTH = 1024
MFCC_N_MELS = 128
MFCC_TOP_DB = 80.0
BLOCK = 64  # frames transformed at a time: they stay in the processor's cache
RIDGE = 1e-3  # on the covariance's diagonal: a steady tone varies in no MFCC

HALF_ONE = 0x3C00  # the bits of 1.0 in float16; those of 0..1 run from 0 to here
COLUMNS = ["file", "artist", "name"]
FILES = ("params.json", "clips.csv", "spectrograms.npy", "mfcc.npz", "vectors.npy")
REMEDY = "run 'dvc repro spectrograms'"


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
    vectors: Literal["none", "joined", "alone"]

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrograms:
    """Every clip as the model and the baselines hear it, in the order of the index.

    Parameters
    ----------
    clips
        file, artist (id), name.
    values
        float16 (clips, n_mels, n_frames) in [0, 1]; with `front.vectors` alone the vectors
        themselves, float32 (clips, n_dims, n_vector_frames), one frame where a clip has one.
    mfcc_mean
        float32 (clips, n_mfcc).
    mfcc_cov
        float32 (clips, n_mfcc, n_mfcc), positive definite.
    front
        How all this was made.
    vectors
        float32 (clips, n_dims), joined to `values`: the mean over the extractor's frames; n_dims
        is 0 where none are.
    """

    clips: pd.DataFrame
    values: npt.NDArray[np.floating]
    mfcc_mean: Floats
    mfcc_cov: Floats
    front: SpectrogramsParams
    vectors: Floats

    def of(self, rows: npt.NDArray[np.int64]) -> "Spectrograms":
        """Those of some clips, in this order."""
        return Spectrograms(
            clips=self.clips.iloc[rows].reset_index(drop=True),
            values=self.values[rows],
            mfcc_mean=self.mfcc_mean[rows],
            mfcc_cov=self.mfcc_cov[rows],
            front=self.front,
            vectors=self.vectors[rows],
        )

    def write(self, folder: Path) -> None:
        """Write params.json, clips.csv, spectrograms.npy, mfcc.npz and vectors.npy."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            front = json.dumps(self.front.model_dump(mode="json"), indent=2)
            (temporary / "params.json").write_text(front + "\n", encoding="utf-8")
            self.clips.to_csv(temporary / "clips.csv", index=False, lineterminator="\n")
            np.save(temporary / "spectrograms.npy", self.values)
            np.savez(temporary / "mfcc.npz", mean=self.mfcc_mean, cov=self.mfcc_cov)
            np.save(temporary / "vectors.npy", self.vectors)

    @staticmethod
    def read(folder: Path) -> "Spectrograms":
        """Read and check what `write` wrote; `values` stay on disk until they are used."""
        for name in FILES:
            require(folder / name, REMEDY)
        try:
            front = json.loads((folder / "params.json").read_text(encoding="utf-8"))
            front = parse_params("spectrograms", SpectrogramsParams, front, folder / "params.json")
            clips = pd.read_csv(folder / "clips.csv", dtype=str, keep_default_na=False)
            values = np.load(folder / "spectrograms.npy", mmap_mode="r", allow_pickle=False)
            with np.load(folder / "mfcc.npz", allow_pickle=False) as mfcc:
                mean, cov = mfcc["mean"], mfcc["cov"]
            vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        except (ValueError, KeyError, EOFError, ParamsError) as error:
            raise DataError(folder, f"cannot be read ({error})", remedy=REMEDY) from None
        read = Spectrograms(
            clips=clips, values=values, mfcc_mean=mean, mfcc_cov=cov, front=front, vectors=vectors
        )
        _check(read, folder)
        return read


def read_vectors(clips: Clips, data_folder: Path, params: SpectrogramsParams) -> Floats | None:
    """The vectors of these clips from the data folder's table, if `params` ask for them."""
    if params.vectors == "none":
        return None
    files, sha256s = (list(clips.table[column]) for column in ("file", "sha256"))
    return vectors_of(files, sha256s, data_folder / TABLE)


def _check(read: Spectrograms, folder: Path) -> None:
    n, n_mfcc, alone = len(read.clips), read.mfcc_mean.shape[-1], read.front.vectors == "alone"
    n_dims = read.vectors.shape[-1] if read.front.vectors == "joined" else 0
    heard = read.values.shape[1:] if alone else (read.front.n_mels, read.front.n_frames)
    if list(read.clips.columns) != COLUMNS:
        raise DataError(folder / "clips.csv", "has other columns", expected=", ".join(COLUMNS))
    wanted: list[tuple[str, npt.NDArray[Any], Any, tuple[int, ...]]] = [
        ("spectrograms.npy", read.values, np.float32 if alone else np.float16, (n, *heard)),
        ("mfcc.npz", read.mfcc_mean, np.float32, (n, n_mfcc)),
        ("mfcc.npz", read.mfcc_cov, np.float32, (n, n_mfcc, n_mfcc)),
        ("vectors.npy", read.vectors, np.float32, (n, n_dims)),
    ]
    for name, array, dtype, shape in wanted:
        if array.dtype != dtype or array.shape != shape:
            found = f"{array.dtype} {array.shape}"
            raise DataError(
                folder / name, found, expected=f"{np.dtype(dtype)} {shape}", remedy=REMEDY
            )
    whole = all(np.isfinite(each).all() for each in (read.mfcc_mean, read.mfcc_cov, read.vectors))
    if not whole or read.values.ndim != 3 or not _in_range(read.values):
        expected = "finite numbers" if alone else "0 to 1"
        raise DataError(folder, "holds values out of range", expected=expected, remedy=REMEDY)


def _in_range(values: npt.NDArray[np.floating]) -> bool:
    if values.dtype == np.float16:  # a log-mel: no negative zeros, so the bits are ordered
        return bool(values.view(np.uint16).max() <= HALF_ONE)
    return bool(np.isfinite(values).all())


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
    power = _mel_power(
        y, params.sr, params.n_fft, params.hop_length, params.n_mels, params.fmin, params.fmax
    )[:, : params.n_frames]  # (n_mels, frames)
    loudest = power.max(initial=0.0)
    if loudest > 0:
        floor = 10 ** (-params.top_db / 10)
        db = 10 * np.log10(np.maximum(power / loudest, floor))
        again = np.arange(params.n_frames) % power.shape[1]  # from its start
        values[:] = np.clip(1 + db / params.top_db, 0, 1)[:, again]
    return values


def mfcc_statistics(y: Floats, params: SpectrogramsParams) -> tuple[Floats, Floats]:
    """Summarise the MFCCs of a waveform: mean, (n_mfcc,), and covariance, (n_mfcc, n_mfcc)."""
    y = _excerpt(y, params)
    power = _mel_power(
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
    """Take the windows of a long waveform, at a peak of 1: any level can then be squared."""
    if len(y) > params.n_frames * params.hop_length:
        parts = np.array_split(y, params.n_windows)
        frames = np.array_split(np.arange(params.n_frames), params.n_windows)
        sizes = [len(each) * params.hop_length for each in frames]
        y = np.concatenate([_middle(*each) for each in zip(parts, sizes, strict=True)])
    peak = max(y.max(initial=0.0), -y.min(initial=0.0))
    return y / peak if peak > 0 else y


def _middle(y: Floats, n: int) -> Floats:
    start = max(0, len(y) - n) // 2
    return y[start : start + n]


def _mel_power(
    y: Floats, sr: int, n_fft: int, hop_length: int, n_mels: int, fmin: float, fmax: float
) -> Floats:
    """`librosa.feature.melspectrogram`, (n_mels, 1 + n // hop_length)."""
    padded = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    bands = _bands(sr, n_fft, n_mels, fmin, fmax)
    banded = np.empty((n_mels, len(frames)), np.float32)
    for start in range(0, len(frames), BLOCK):
        block = slice(start, start + BLOCK)
        spectrum = scipy.fft.rfft(frames[block] * _window(n_fft), axis=1)  # (frames, bins)
        spectrum = spectrum[:, : bands.shape[1]]
        power = spectrum.real**2 + spectrum.imag**2
        # a sparse product: few bins in a band, and the same bits whatever the number of threads
        banded[:, block] = bands @ power.T
    return banded


@lru_cache
def _window(n_fft: int) -> Floats:
    window: Floats = get_window("hann", n_fft).astype(np.float32)
    return window


@lru_cache
def _bands(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> scipy.sparse.csr_array:
    """Mel bands, (n_mels, bins), without the bins above `fmax`."""
    bands = mel(sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    return scipy.sparse.csr_array(bands[:, : 1 + bands.any(axis=0).nonzero()[0].max(initial=0)])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Features:
    values: npt.NDArray[np.float16] | None  # (n_mels, n_frames); none where vectors stand alone
    mfcc_mean: Floats  # (n_mfcc,)
    mfcc_cov: Floats  # (n_mfcc, n_mfcc)


def compute_spectrograms(
    clips: Clips,
    data_folder: Path,
    params: SpectrogramsParams,
    progress: Progress,
    workers: Workers,
    vectors: Floats | None = None,
) -> Spectrograms:
    """Hear every clip of the index; the same bits for any number of workers.

    Parameters
    ----------
    vectors
        Of the clips of the index, (clips, n_dims) or (clips, n_dims, n_vector_frames), where
        `params.vectors` asks for them.

    Raises
    ------
    DataError
        A clip vanished or changed since it was indexed.
    """
    table = clips.table
    paths = [data_folder / file for file in table["file"]]
    n = len(table)
    values, joined = _room(n, params, vectors)
    mean = np.empty((n, params.n_mfcc), np.float32)
    cov = np.empty((n, params.n_mfcc, params.n_mfcc), np.float32)
    crashed: _Features | str = "crashes the decoder"
    indexed = zip(paths, table["sha256"], strict=True)
    features = spread(partial(_features, params=params), indexed, workers, crashed)
    for row, (path, found) in enumerate(zip(progress(paths), features, strict=True)):
        if isinstance(found, str):
            raise DataError(path, found, remedy="run 'dvc repro clips' to index the clips again")
        mean[row], cov[row] = found.mfcc_mean, found.mfcc_cov
        if found.values is not None:
            values[row] = found.values
    return Spectrograms(
        clips=table[COLUMNS],
        values=values,
        mfcc_mean=mean,
        mfcc_cov=cov,
        front=params,
        vectors=joined,
    )


def _room(
    n: int, params: SpectrogramsParams, vectors: Floats | None
) -> tuple[npt.NDArray[np.floating], Floats]:
    """`values`, still to be filled unless they are vectors, and the vectors joined to them."""
    if params.vectors == "none":
        framed = np.empty((n, 0, 1), np.float32)
    elif vectors is None:
        raise ValueError(f"no vectors to be {params.vectors}")
    else:
        framed = vectors.reshape(*vectors.shape[:2], -1)  # (clips, n_dims, n_vector_frames)
    if params.vectors == "alone":
        return framed, np.empty((n, 0), np.float32)
    return np.empty((n, params.n_mels, params.n_frames), np.float16), framed.mean(axis=2)


def _features(clip: tuple[Path, str], params: SpectrogramsParams) -> _Features | str:
    path, indexed = clip
    if not path.is_file():
        return "vanished since it was indexed"
    if sha256(path) != indexed:
        return "changed since it was indexed"
    try:
        y = load_clip(path, params.sr, params.max_seconds)
    except ClipError:
        return "can no longer be decoded"
    mean, cov = mfcc_statistics(y, params)
    values = None if params.vectors == "alone" else log_mel(y, params).astype(np.float16)
    return _Features(values=values, mfcc_mean=mean, mfcc_cov=cov)
