"""The clips of a data folder -> a table of their embeddings, by any encoder.

Clips are decoded and cut into windows in worker processes, and embedded here, by a GPU where the
encoder is on one. The table is written from time to time, so that a run that was stopped resumes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from pathlib import Path

import numpy as np

from twinear.artists.clip_table import read_clip_table
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.compute.pool import Progress, Workers, map_in_processes
from twinear.encoders.encoder import Encoder, Floats
from twinear.encoders.loading import WINDOWS
from twinear.encoders.windows import ClipWindows, load_windows
from twinear.spectrograms.embedding_table import EmbeddingTable

WRITE_EVERY = 500  # clips between two writings of the table


@dataclass(frozen=True, kw_only=True)
class EmbedParams:
    """`frames`: one vector a window, not one a clip. `replace`: another extractor's table."""

    frames: bool
    replace: bool


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What was embedded; `set_aside` maps a clip that cannot be used to the reason."""

    clips: int
    new: int
    shape: tuple[int, ...]
    extractor: str
    licence: str
    set_aside: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class _ClipVector:
    sha256: str
    vector: Floats  # (n_dims,) or (n_dims, n_frames)


def embed_clips(
    encoder: Encoder,
    data_folder: Path,
    into: Path,
    params: EmbedParams,
    progress: Progress,
    workers: Workers,
) -> EmbedReport:
    """Write the table of the embeddings of every clip of `clips.csv`.

    What `into` holds already by the same extractor is kept, unless a clip has changed. The table is
    written from time to time, and also on an interrupt, so that the next run can resume.
    `DataError` if there are no clips, none can be decoded, or `into` is of another extractor and
    not to be replaced.
    """
    files = sorted(set(read_clip_table(data_folder / "clips.csv")["file"]))
    rows = {} if params.replace else _read_unchanged(encoder, data_folder, into, params, files)
    todo = [file for file in files if file not in rows]
    n_kept = len(rows)
    set_aside: dict[str, str] = {}
    results = _embed(encoder, [data_folder / file for file in todo], params, workers)
    try:
        for n, (file, result) in enumerate(zip(progress(todo), results, strict=True), 1):
            if isinstance(result, str):
                set_aside[file] = result
                continue
            rows[file] = result
            if n % WRITE_EVERY == 0:
                _table(encoder, params, rows).write(into)
    finally:
        if rows:
            _table(encoder, params, rows).write(into)
    if not rows:
        reason = f"{todo[0]}: {set_aside[todo[0]]}" if todo else "it lists none"
        raise DataError(data_folder / "clips.csv", f"names no clip that can be decoded ({reason})")
    return EmbedReport(
        clips=len(rows),
        new=len(rows) - n_kept,
        shape=next(iter(rows.values())).vector.shape,
        extractor=_extractor(encoder, params),
        licence=encoder.licence,
        set_aside=set_aside,
    )


def _read_unchanged(
    encoder: Encoder, data_folder: Path, into: Path, params: EmbedParams, files: list[str]
) -> dict[str, _ClipVector]:
    """The rows of `into` whose clips are among the files and have not changed."""
    if not into.exists():
        return {}
    table = EmbeddingTable.read(into)
    if table.extractor != _extractor(encoder, params):
        raise DataError(
            into,
            f"holds vectors by {table.extractor or 'an unknown extractor'}",
            expected=_extractor(encoder, params),
            remedy="replace it with --replace, or name another file",
        )
    requested = set(files)
    return {
        file: _ClipVector(sha256=content, vector=vector)
        for file, content, vector in zip(table.clips, table.sha256, table.vector, strict=False)
        if file in requested
        and (data_folder / file).is_file()
        and sha256(data_folder / file) == content
    }


def _extractor(encoder: Encoder, params: EmbedParams) -> str:
    return encoder.name + (WINDOWS if params.frames else "")


def _table(encoder: Encoder, params: EmbedParams, rows: dict[str, _ClipVector]) -> EmbeddingTable:
    files = sorted(rows)
    return EmbeddingTable(
        clips=files,
        vector=np.stack([rows[file].vector for file in files]),
        extractor=_extractor(encoder, params),
        licence=encoder.licence,
        sha256=[rows[file].sha256 for file in files],
    )


def _embed(
    encoder: Encoder, paths: Iterable[Path], params: EmbedParams, workers: Workers
) -> Iterator[_ClipVector | str]:
    """Embed each clip, in order; a clip that cannot be used gives the reason."""
    cut = partial(encoder.cut, fixed=params.frames)
    load = partial(load_windows, sr=encoder.sr, cut=cut, spans=encoder.spans)
    crashed: ClipWindows | str = "crashes the decoder"
    loaded, same = tee(map_in_processes(load, paths, workers, crashed))
    windows = (None if isinstance(each, str) else each.windows for each in same)
    vectors = encoder.embed_clips(windows, frames=params.frames)
    for clip, vector in zip(loaded, vectors, strict=True):
        if isinstance(clip, str):
            yield clip
        elif vector is None or not np.isfinite(vector).all():
            yield "is too loud: its embedding is not finite"
        else:
            yield _ClipVector(sha256=clip.sha256, vector=vector)
