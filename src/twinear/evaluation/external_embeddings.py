"""A table of embeddings made elsewhere: a vector for each clip, or for each artist.

An `.npz` holds `clip` or `artist` (n,) and `vector` (n, n_dims), or (n, n_dims, n_frames), whose
mean over frames is taken; `.csv` and `.parquet` have a column `clip` or `artist`, all others are
numbers. A clip is named as in clips.csv: by `file`, or by `source`, what the file was called before
it was imported. Vectors of clips that are not asked for are left aside.
"""

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.evaluation.external_scores import match_artists, require_unique
from twinear.metrics.ranking_metrics import Floats, Ints
from twinear.ranking.baselines import l2
from twinear.ranking.systems import Lineup, score_cosine, standardise

Kind = Literal["clip", "artist"]
KINDS: tuple[Kind, ...] = ("clip", "artist")
FORMS = ".npz with clip or artist and vector, or .csv or .parquet with a column clip or artist"


@dataclass(frozen=True, kw_only=True, eq=False)
class Embeddings:
    """A vector for each clip or artist: `names` (n,), `vectors` (n, n_dims), all numbers."""

    kind: Kind
    names: list[str]
    vectors: Floats


def read_embeddings(path: Path) -> Embeddings:
    """Read a table of embeddings.

    Raises
    ------
    DataError
        Missing, another form, empty, ragged, a name twice, or a value that is not a number.
    """
    require(path, "name a table of embeddings")
    readers = {".npz": _read_npz, ".csv": _read_table, ".parquet": _read_table}
    if path.suffix.lower() not in readers:
        raise DataError(path, f"is a '{path.suffix}' file", expected=FORMS)
    kind, names, vectors = readers[path.suffix.lower()](path)
    if vectors.ndim == 3:
        vectors = vectors.mean(axis=2)
    if vectors.ndim != 2 or len(vectors) != len(names) or not vectors.size:
        found = f"vectors {vectors.shape} of {len(names)} {kind}s"
        raise DataError(path, found, expected=f"({len(names)}, n_dims)", remedy="one vector each")
    require_unique(names, path)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise DataError(
            path,
            f"the vector of '{names[bad[0]]}' holds a value that is no number",
            expected="finite numbers",
            remedy="make that vector again",
        )
    return Embeddings(kind=kind, names=names, vectors=vectors)


def score_embeddings(
    embeddings: Embeddings, lineup: Lineup, clips: Sequence[str], data: Path, path: Path
) -> tuple[Floats, Floats]:
    """Score the artists of a lineup by cosine and by minus the L2 distance, standardised both.

    Parameters
    ----------
    clips
        The files of the lineup's clips.
    data
        The data folder, whose clips.csv knows what files were called before.

    Raises
    ------
    DataError
        A clip or an artist without a vector.
    """
    vectors, artist_index = _line_up(embeddings, lineup, clips, data, path)
    known = np.ones(len(vectors), dtype=np.bool_)
    standard = standardise(vectors, known).astype(np.float32)
    return score_cosine(vectors, artist_index, known), l2(standard[:, :, None], artist_index)


def _line_up(
    embeddings: Embeddings, lineup: Lineup, clips: Sequence[str], data: Path, path: Path
) -> tuple[Floats, Ints]:
    if embeddings.kind == "clip":
        wanted = [[file, source] for file, source in zip(clips, _sources(clips, data), strict=True)]
        return embeddings.vectors[_rows(embeddings, wanted, path)], lineup.artist_index
    ids, names = list(lineup.artists["artist"]), set(embeddings.names)
    known = embeddings.names
    if not set(ids) <= names:  # named otherwise than by id
        inside = [each for each in known if _among(each, lineup.artists)]
        rows = match_artists(inside, lineup.artists, path)
        called = {ids[at]: each for each, at in zip(inside, rows, strict=True)}
        wanted = [[called.get(each, each)] for each in ids]
    else:
        wanted = [[each] for each in ids]
    return embeddings.vectors[_rows(embeddings, wanted, path)], np.arange(len(ids))


def _among(name: str, artists: pd.DataFrame) -> bool:
    try:
        return bool(match_artists([name], artists, Path()))
    except DataError:
        return False


def _rows(embeddings: Embeddings, wanted: list[list[str]], path: Path) -> list[int]:
    """The row of each wanted name, given in the ways it may be called."""
    row = {name: at for at, name in enumerate(embeddings.names)}
    found = [next((row[name] for name in names if name in row), None) for names in wanted]
    lacking = [names[0] for names, at in zip(wanted, found, strict=True) if at is None]
    if lacking:
        kind = embeddings.kind
        raise DataError(
            path,
            f"lacks {len(lacking)} of {len(wanted)} {kind}s, the first '{lacking[0]}'",
            expected=f"a vector for every {kind} of the artists with similarity",
            remedy=f"embed them too, and name each {kind} as the data folder does",
        )
    return [at for at in found if at is not None]


def _sources(clips: Sequence[str], data: Path) -> list[str]:
    """What each file was called before it was imported; itself where that is not known."""
    with (data / "clips.csv").open(encoding="utf-8-sig", newline="") as file:
        before = {row["file"]: row.get("source") or row["file"] for row in csv.DictReader(file)}
    return [before.get(each, each) for each in clips]


def _read_npz(path: Path) -> tuple[Kind, list[str], Floats]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            kind = _kind(arrays.files, path)
            if "vector" not in arrays.files:
                raise DataError(path, f"holds {', '.join(arrays.files)}", expected=FORMS)
            names = [str(each) for each in np.atleast_1d(arrays[kind])]
            return kind, names, arrays["vector"].astype(np.float64)
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise DataError(path, f"cannot be read ({reason})", expected=FORMS) from error


def _read_table(path: Path) -> tuple[Kind, list[str], Floats]:
    try:
        if path.suffix.lower() == ".csv":
            table = pd.read_csv(path, dtype=dict.fromkeys(KINDS, str), keep_default_na=True)
        else:
            table = pd.read_parquet(path)
        kind = _kind(list(table.columns), path)
        numbers = table.drop(columns=kind).to_numpy(dtype=np.float64)
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(path, f"cannot be read ({reason})", expected=FORMS) from error
    return kind, [str(each) for each in table[kind]], numbers


def _kind(columns: Sequence[str], path: Path) -> Kind:
    found = [each for each in KINDS if each in columns]
    if len(found) != 1:
        names = ", ".join(map(str, list(columns)[:5])) or "nothing"
        raise DataError(
            path,
            f"holds {names}",
            expected="one of clip, artist" if not found else "clip or artist, not both",
            remedy=FORMS,
        )
    return found[0]
