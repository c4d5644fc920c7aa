"""Indexed clips -> their spectrograms, decoded and transformed by several processes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError, DataError
from twinear.base.files import sha256
from twinear.clips.clips import Clips
from twinear.clips.waveform import load_waveform
from twinear.compute.pool import Progress, Workers, map_in_processes
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable, read_clip_embeddings
from twinear.spectrograms.front_end import Floats, SpectrogramsParams, log_mel, mfcc_statistics
from twinear.spectrograms.spectrograms import COLUMNS, Spectrograms


def read_embeddings(
    clips: Clips, data_folder: Path, params: SpectrogramsParams
) -> EmbeddingTable | None:
    """Read the embeddings of these clips from the data folder's table, if `params` ask for them."""
    if params.embeddings == "none":
        return None
    files, sha256s = (list(clips.table[column]) for column in ("file", "sha256"))
    return read_clip_embeddings(files, sha256s, data_folder / TABLE)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Features:
    values: npt.NDArray[np.float16] | None  # (n_mels, n_frames); None with embeddings: only
    mfcc_mean: Floats  # (n_mfcc,)
    mfcc_cov: Floats  # (n_mfcc, n_mfcc)


def compute_spectrograms(
    clips: Clips,
    data_folder: Path,
    params: SpectrogramsParams,
    progress: Progress,
    workers: Workers,
    embeddings: EmbeddingTable | None = None,
) -> Spectrograms:
    """Decode and transform every clip of the index; the same bits for any number of workers.

    Parameters
    ----------
    embeddings
        Of the clips of the index, in their order, where `params.embeddings` asks for them.

    Raises
    ------
    DataError
        A clip vanished or changed since it was indexed.
    """
    table = clips.table
    n = len(table)
    if params.embeddings == "none":
        framed = np.empty((n, 0, 1), np.float32)
    elif embeddings is None:
        raise ValueError(f"params ask for embeddings ({params.embeddings}), and none are given")
    else:
        vector = embeddings.vector
        framed = vector.reshape(*vector.shape[:2], -1)  # (clips, n_dims, n_frames)
    if params.embeddings == "only":
        values: npt.NDArray[np.floating] = framed
        joined = np.empty((n, 0), np.float32)
    else:
        values = np.empty((n, params.n_mels, params.n_frames), np.float16)  # filled below
        joined = framed.mean(axis=2)
    mfcc_mean = np.empty((n, params.n_mfcc), np.float32)
    mfcc_cov = np.empty((n, params.n_mfcc, params.n_mfcc), np.float32)
    paths = [data_folder / file for file in table["file"]]
    indexed = zip(paths, table["sha256"], strict=True)
    crashed: _Features | str = "crashes the decoder"
    compute = partial(_compute_features, params=params)
    features = map_in_processes(compute, indexed, workers, crashed)
    for row, (path, result) in enumerate(zip(progress(paths), features, strict=True)):
        if isinstance(result, str):
            raise DataError(path, result, remedy="run 'dvc repro clips' to index the clips again")
        mfcc_mean[row], mfcc_cov[row] = result.mfcc_mean, result.mfcc_cov
        if result.values is not None:
            values[row] = result.values
    return Spectrograms(
        clips=table[COLUMNS],
        values=values,
        mfcc_mean=mfcc_mean,
        mfcc_cov=mfcc_cov,
        front=params,
        joined=joined,
        extractor=embeddings.extractor if embeddings else "",
    )


def _compute_features(clip: tuple[Path, str], params: SpectrogramsParams) -> _Features | str:
    """Transform one clip (path, SHA-256 when indexed); a failure is returned in words."""
    path, indexed_sha256 = clip
    if not path.is_file():
        return "vanished since it was indexed"
    if sha256(path) != indexed_sha256:
        return "changed since it was indexed"
    try:
        y = load_waveform(path, params.sr, params.max_seconds)
    except ClipError:
        return "can no longer be decoded"
    mean, cov = mfcc_statistics(y, params)
    values = None if params.embeddings == "only" else log_mel(y, params).astype(np.float16)
    return _Features(values=values, mfcc_mean=mean, mfcc_cov=cov)
