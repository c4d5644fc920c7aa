"""Indexed clips -> their spectrograms, decoded and transformed by several processes.

The result has the same bits for any number of workers.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError, DataError
from twinear.base.files import sha256
from twinear.clips.clips import Clips
from twinear.clips.waveform import load_clip
from twinear.compute.pool import Progress, Workers, map_in_processes
from twinear.spectrograms.embedding_table import TABLE, vectors_of
from twinear.spectrograms.front_end import Floats, SpectrogramsParams, log_mel, mfcc_statistics
from twinear.spectrograms.spectrograms import COLUMNS, Spectrograms


def read_vectors(clips: Clips, data_folder: Path, params: SpectrogramsParams) -> Floats | None:
    """The vectors of these clips from the data folder's table, if `params` ask for them."""
    if params.vectors == "none":
        return None
    files, sha256s = (list(clips.table[column]) for column in ("file", "sha256"))
    return vectors_of(files, sha256s, data_folder / TABLE)


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
    features = map_in_processes(partial(_features, params=params), indexed, workers, crashed)
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
