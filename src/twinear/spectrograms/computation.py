"""Indexed clips -> their spectrograms, decoded and transformed by several processes.

Clips may be embedded on the way by a pre-trained network, which this module does not know. A clip
is decoded once: the process that decodes it also cuts the network's windows, and the network runs
in the caller's process.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import tee
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError, DataError
from twinear.base.files import sha256
from twinear.clips.clips import Clips
from twinear.clips.decoding import REPLACE
from twinear.clips.spans import Spans
from twinear.clips.waveform import Waveform, decode
from twinear.compute.pool import Progress, Workers, map_in_processes
from twinear.spectrograms.embedding_table import EmbeddingTable
from twinear.spectrograms.front_end import (
    Floats,
    SpectrogramsParams,
    compute_features,
    mfcc_statistics,
    needed_seconds,
)
from twinear.spectrograms.spectrograms import COLUMNS, Spectrograms

Windows = Floats  # of one clip, as a network takes them, (windows, ...)


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingSource:
    """Where the embeddings of clips come from: a table, a network for what it lacks, or neither.

    Attributes
    ----------
    extractor
        The network, as a table names it; "" if it is unknown.
    table
        The embeddings of some clips, or of all.
    cut
        Cuts the windows of a clip; it is sent to other processes.
    spans
        What that takes of a clip; sent along.
    embed
        The windows of each clip to its vector, (n_dims,) or (n_dims, n_frames), in order; None to
        None.
    """

    extractor: str = ""
    table: EmbeddingTable | None = None
    cut: Callable[[Waveform], Windows] | None = None
    spans: Spans | None = None
    embed: Callable[[Iterable[Windows | None]], Iterator[Floats | None]] | None = None


NO_EMBEDDINGS = EmbeddingSource()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Features:
    values: npt.NDArray[np.float16] | None  # (n_mels, n_frames); None with embeddings: only
    mfcc_mean: Floats  # (n_mfcc,)
    mfcc_cov: Floats  # (n_mfcc, n_mfcc)
    windows: Windows | None  # None where no embedding is computed


def compute_spectrograms(
    clips: Clips,
    data_folder: Path,
    params: SpectrogramsParams,
    progress: Progress,
    workers: Workers,
    embeddings: EmbeddingSource = NO_EMBEDDINGS,
) -> Spectrograms:
    """Decode and transform every clip of the index; the same bits for any number of workers.

    Parameters
    ----------
    embeddings
        Those of every clip, where `params.embeddings` asks for them.

    Raises
    ------
    DataError
        A clip vanished or changed since it was indexed, or is so far above full scale that its
        embedding is not finite.
    """
    table, joined = clips.table, params.embeddings != "none"
    known: dict[str, Floats] = {}
    if joined and embeddings.table is not None:
        known = dict(zip(embeddings.table.clips, embeddings.table.vector, strict=True))
    to_embed = [joined and file not in known for file in table["file"]]
    if any(to_embed) and embeddings.embed is None:
        raise ValueError(f"params ask for embeddings ({params.embeddings}), and some are not given")
    log_mels = np.empty((len(table), params.n_mels, params.n_frames), np.float16)
    mfcc_mean = np.empty((len(table), params.n_mfcc), np.float32)
    mfcc_cov = np.empty((len(table), params.n_mfcc, params.n_mfcc), np.float32)
    vectors: list[Floats] = []  # (n_dims,) or (n_dims, n_frames)
    paths = [data_folder / file for file in table["file"]]
    indexed = zip(paths, table["sha256"], to_embed, strict=True)
    crashed: _Features | str = "crashes the decoder"
    compute = partial(_compute_features, params=params, cut=embeddings.cut, spans=embeddings.spans)
    features, same = tee(map_in_processes(compute, indexed, workers, crashed))
    windows = (None if isinstance(each, str) else each.windows for each in same)
    embedded = windows if embeddings.embed is None else embeddings.embed(windows)
    outcomes = zip(progress(paths), table["file"], features, embedded, strict=True)
    for row, (path, file, result, vector) in enumerate(outcomes):
        if isinstance(result, str):
            raise DataError(path, result, remedy="run 'dvc repro clips' to index the clips again")
        mfcc_mean[row], mfcc_cov[row] = result.mfcc_mean, result.mfcc_cov
        if result.values is not None:
            log_mels[row] = result.values
        if vector is not None and not np.isfinite(vector).all():
            found = "is too loud: its embedding is not finite"
            remedy = f"{REPLACE}, or set spectrograms.embeddings: none"
            raise DataError(path, found, remedy=remedy)
        if joined:
            vectors.append(known[file] if vector is None else vector)
    framed = np.empty((len(table), 0, 1), np.float32)
    if joined:
        framed = np.stack(vectors)
        framed = framed.reshape(*framed.shape[:2], -1)  # (clips, n_dims, n_frames)
    only = params.embeddings == "only"
    return Spectrograms(
        clips=table[COLUMNS],
        values=framed if only else log_mels,
        mfcc_mean=mfcc_mean,
        mfcc_cov=mfcc_cov,
        front=params,
        joined=np.empty((len(table), 0), np.float32) if only else framed.mean(axis=2),
        extractor=embeddings.extractor if joined else "",
    )


def _compute_features(
    clip: tuple[Path, str, bool],
    params: SpectrogramsParams,
    cut: Callable[[Waveform], Windows] | None,
    spans: Spans | None,
) -> _Features | str:
    """Transform a clip (path, SHA-256 when indexed, whether to cut windows).

    A failure is returned in words.
    """
    path, indexed_sha256, is_cut = clip

    def needed(seconds: float) -> list[tuple[float, float]]:
        of_windows = spans(seconds) if is_cut and spans is not None else ()
        return [*needed_seconds(seconds, params), *of_windows]

    if not path.is_file():
        return "vanished since it was indexed"
    if sha256(path) != indexed_sha256:
        return "changed since it was indexed"
    try:
        waveform = decode(path, params.max_seconds, needed).without_silence()
    except ClipError:
        return "can no longer be decoded"
    y = waveform.at(params.sr)
    values = None
    if params.embeddings == "only":
        mean, cov = mfcc_statistics(y, params)
    else:
        spectrogram, mean, cov = compute_features(y, params)
        values = spectrogram.astype(np.float16)
    return _Features(
        values=values,
        mfcc_mean=mean,
        mfcc_cov=cov,
        windows=cut(waveform) if is_cut and cut is not None else None,
    )
