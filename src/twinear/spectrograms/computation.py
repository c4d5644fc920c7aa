"""Indexed clips -> their spectrograms, decoded and transformed by several processes.

Clips may be embedded on the way by a pre-trained network, which this module does not know. A clip
is decoded once: the process that decodes it also cuts the network's windows, and the network runs
in the caller's process.

Many clips are computed and written shard by shard; what an interrupted run leaves is taken over by
the next one, if nothing that decides it has changed.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from twinear import clips as clips_package
from twinear import spectrograms as spectrograms_package
from twinear.base.errors import ClipError, DataError
from twinear.base.files import code_digest, sha256
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
from twinear.spectrograms.quantisation import quantise
from twinear.spectrograms.spectrograms import (
    COLUMNS,
    Compact,
    Spectrograms,
    StorageParams,
    join_shards,
)
from twinear.spectrograms.statistics import spectrogram_statistics

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
    # (n_mels, frames), float16 or compact; None with embeddings: only
    values: npt.NDArray[Any] | None
    mfcc_mean: Floats  # (n_mfcc,)
    mfcc_cov: Floats  # (n_mfcc, n_mfcc)
    statistics: Floats | None  # (n,); None in the full form
    windows: Windows | None  # None where no embedding is computed


def write_spectrograms(
    clips: Clips,
    data_folder: Path,
    params: SpectrogramsParams,
    storage: StorageParams,
    folder: Path,
    progress: Progress,
    workers: Workers,
    embeddings: EmbeddingSource = NO_EMBEDDINGS,
) -> None:
    """Compute the spectrograms of every clip of the index and write them to a folder.

    From `storage.shards_from` clips on they are written in shards, first to a hidden folder beside
    it. Shards that an interrupted call left there are not computed again, where the clips in them,
    all params and the code are the same.

    Raises
    ------
    DataError
        As `compute_spectrograms`.
    """
    table = clips.table
    if len(table) < storage.shards_from:
        made = compute_spectrograms(clips, data_folder, params, progress, workers, embeddings)
        made.write(folder)
        return
    work = folder.with_name(f".{folder.name}.shards")
    average_frames = storage.average_frames if storage.form == "compact" else 0
    settings = [params.model_dump_json(), str(average_frames), embeddings.extractor]
    settings.append(code_digest(spectrograms_package, clips_package))
    starts = range(0, len(table), storage.shard_clips)
    parts = [table.iloc[start : start + storage.shard_clips] for start in starts]
    shards = [work / _key(part, settings) for part in parts]
    for left in work.glob("*") if work.exists() else ():
        if left not in shards:  # of other clips or params, or not whole
            shutil.rmtree(left)
    missing = [(part, to) for part, to in zip(parts, shards, strict=True) if not to.exists()]
    bar = iter(progress(range(sum(len(part) for part, _ in missing))))
    for part, shard in missing:
        some = Clips(table=part.reset_index(drop=True))
        made = compute_spectrograms(
            some, data_folder, params, partial(_advance, bar), workers, embeddings, average_frames
        )
        made.write_shard(shard)
    list(bar)  # closes it
    join_shards(shards, table, folder)
    shutil.rmtree(work)


def _key(table: pd.DataFrame, settings: list[str]) -> str:
    """Name a shard by all that decides its content."""
    rows = table[[*COLUMNS, "sha256"]].to_csv(index=False)
    return hashlib.sha256("\n".join([*settings, rows]).encode()).hexdigest()[:32]


def _advance(bar: Iterator[int], items: Iterable[Path]) -> Iterator[Path]:
    """Iterate over some items of a longer bar."""
    for item in items:
        next(bar)
        yield item


def compute_spectrograms(
    clips: Clips,
    data_folder: Path,
    params: SpectrogramsParams,
    progress: Progress,
    workers: Workers,
    embeddings: EmbeddingSource = NO_EMBEDDINGS,
    average_frames: int = 0,
) -> Spectrograms:
    """Decode and transform every clip of the index; the same bits for any number of workers.

    Parameters
    ----------
    embeddings
        Those of every clip, where `params.embeddings` asks for them.
    average_frames
        Of the compact form; 0: the full form. With `params.embeddings` only there is but one form.

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
    log_mels: list[npt.NDArray[Any]] = []
    statistics: list[Floats] = []
    mfcc_mean = np.empty((len(table), params.n_mfcc), np.float32)
    mfcc_cov = np.empty((len(table), params.n_mfcc, params.n_mfcc), np.float32)
    vectors: list[Floats] = []  # (n_dims,) or (n_dims, n_frames)
    paths = [data_folder / file for file in table["file"]]
    indexed = zip(paths, table["sha256"], to_embed, strict=True)
    crashed: _Features | str = "crashes the decoder"
    compute = partial(
        _compute_features,
        params=params,
        cut=embeddings.cut,
        spans=embeddings.spans,
        average_frames=average_frames,
    )
    features, same = tee(map_in_processes(compute, indexed, workers, crashed))
    windows = (None if isinstance(each, str) else each.windows for each in same)
    embedded = windows if embeddings.embed is None else embeddings.embed(windows)
    outcomes = zip(progress(paths), table["file"], features, embedded, strict=True)
    for row, (path, file, result, vector) in enumerate(outcomes):
        if isinstance(result, str):
            raise DataError(path, result, remedy="run 'dvc repro clips' to index the clips again")
        mfcc_mean[row], mfcc_cov[row] = result.mfcc_mean, result.mfcc_cov
        if result.values is not None:
            log_mels.append(result.values)
        if result.statistics is not None:
            statistics.append(result.statistics)
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
        values=framed if only else np.stack(log_mels),
        mfcc_mean=mfcc_mean,
        mfcc_cov=mfcc_cov,
        front=params,
        joined=np.empty((len(table), 0), np.float32) if only else framed.mean(axis=2),
        extractor=embeddings.extractor if joined else "",
        compact=Compact(average_frames=average_frames, statistics=np.stack(statistics))
        if statistics
        else None,
    )


def _compute_features(
    clip: tuple[Path, str, bool],
    params: SpectrogramsParams,
    cut: Callable[[Waveform], Windows] | None,
    spans: Spans | None,
    average_frames: int,
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
    try:
        if sha256(path) != indexed_sha256:
            return "changed since it was indexed"
        waveform = decode(path, params.max_seconds, needed).without_silence()
    except ClipError:
        return "can no longer be decoded"
    except OSError as error:
        return f"can no longer be read ({error.strerror})"
    y = waveform.at(params.sr)
    values: npt.NDArray[Any] | None = None
    statistics = None
    if params.embeddings == "only":
        mean, cov = mfcc_statistics(y, params)
    else:
        spectrogram, mean, cov = compute_features(y, params)
        values = spectrogram.astype(np.float16)
        if average_frames:
            # of the rounded values, as in the full form and where a new clip is encoded
            full = values.astype(np.float32)
            frames_per_second = params.sr / params.hop_length
            with threadpool_limits(1, "blas"):  # another number gives other last digits
                blocks = spectrogram_statistics(full[None], frames_per_second, params.top_db)
            statistics = np.concatenate([block[0] for block in blocks.values()])
            values = quantise(full, average_frames)
    return _Features(
        values=values,
        mfcc_mean=mean,
        mfcc_cov=cov,
        statistics=statistics,
        windows=cut(waveform) if is_cut and cut is not None else None,
    )
