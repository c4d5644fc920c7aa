"""What audio we have of whom, and how a file becomes a waveform.

`clips.csv` beside the audio says which file is of which artist; `index_clips` hears each file
once, keeps the usable ones and says why it set the others aside. A waveform is mono
(the mean of the channels), without DC offset, resampled as librosa does it (soxr, HQ; coarser
would save less than a millisecond of a clip's thirty). This module does not know how files are
coded, nor what is done with the waveforms.

Of several clips with the same bytes the first in the
table is kept, also when they name different artists.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import soxr
from pydantic import Field

from twinear.artists import artist_id, normalise_name
from twinear.decoding import REPLACE, frames, mix
from twinear.errors import ClipError, DataError, nearest
from twinear.files import replacing, require, sha256
from twinear.params import Params
from twinear.pool import Progress, Workers, spread

COLUMNS = {
    "file": str,
    "artist": str,
    "name": str,
    "title": str,
    "seconds": float,
    "sr": int,
    "channels": int,
    "sha256": str,
}

ROOM_SECONDS = 32  # of the first buffer: a clip and a little more

NONE_MERGED: Mapping[str, str] = MappingProxyType({})
NOT_NUMBERS = "holds samples that are not numbers"


class ClipsParams(Params):
    """Which clips are usable.

    Parameters
    ----------
    min_seconds
        Shorter clips are set aside.
    min_dbfs
        Clips of a lower RMS level, in dB under full scale, are set aside as silent.
    max_bad_fraction
        More clips set aside than this share of the table is an error.
    """

    min_seconds: float = Field(gt=0)
    min_dbfs: float = Field(lt=0)
    max_bad_fraction: float = Field(ge=0, le=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """The usable clips, sorted by artist and file.

    Parameters
    ----------
    table
        file (under the data folder), artist (id), name, title, seconds, sr, channels, sha256.
    """

    table: pd.DataFrame

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        with replacing(path) as temporary:
            self.table.to_csv(temporary, index=False, lineterminator="\n")

    @staticmethod
    def read(path: Path) -> "Clips":
        """Read and check what `write` wrote."""
        remedy = "run 'dvc repro clips'"
        try:
            table = pd.read_csv(
                require(path, remedy), dtype=COLUMNS, keep_default_na=False, encoding="utf-8"
            )
        except ValueError as error:
            raise DataError(path, f"is not an index of clips ({error})", remedy=remedy) from None
        if list(table.columns) != list(COLUMNS) or table.empty:
            raise DataError(
                path, "is not an index of clips", expected=", ".join(COLUMNS), remedy=remedy
            )
        return Clips(table=table)


@dataclass(frozen=True, kw_only=True)
class ClipsReport:
    """What became of the clips of the table; `set_aside` maps a reason to places and findings."""

    listed: int
    used: int
    seconds: float
    artists: int
    clips_per_artist: dict[str, float]
    set_aside: dict[str, list[dict[str, str]]]


def read_clip_table(path: Path, redirects: Mapping[str, str] = NONE_MERGED) -> pd.DataFrame:
    """Read `clips.csv`: which file is of which artist.

    Parameters
    ----------
    redirects
        Merged MusicBrainz ids and those that are meant.

    Returns
    -------
    DataFrame
        file (relative to the table's folder), artist (name), mbid and title ("" where unknown),
        id (`artist_id`), line (of the file). In the order of the table.

    Raises
    ------
    DataError
        Missing or empty file, a missing column, a row without file or artist, a file outside
        the folder.
    """
    require(path, "name every clip and its artist there; 'twinear import' writes it")
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _require_columns(path, reader.fieldnames or [])
            for row in reader:
                place = f"{path}:{reader.line_num}"
                rows.append(_checked_row(row, place, reader.line_num, redirects))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not a CSV table in UTF-8 ({error})") from None
    if not rows:
        raise DataError(path, "names no clip", expected="one row for each clip")
    return pd.DataFrame(rows)


def _require_columns(path: Path, columns: Any) -> None:
    for column in ("file", "artist"):
        if column not in columns:
            near = nearest(column, columns)
            raise DataError(
                f"{path}:1",
                f"has no column '{column}'",
                expected="file, artist and, if known, mbid and title",
                remedy=f"rename '{near[0]}'?" if near else "add it",
            )


def _checked_row(
    row: dict[str | Any, str | Any], place: str, line: int, redirects: Mapping[str, str]
) -> dict[str, object]:
    if None in row:
        remedy = "put fields that hold commas in double quotes"
        raise DataError(place, "has more fields than the header", remedy=remedy)
    file, name, mbid, title = (
        (row.get(column) or "").strip() for column in ("file", "artist", "mbid", "title")
    )
    if not file or not name:
        raise DataError(place, f"has no {'artist' if file else 'file'}", remedy="fill it in")
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise DataError(place, f"file '{file}'", expected="a path under the table's folder")
    mbid = redirects.get(mbid.lower(), mbid)
    identity = artist_id(mbid, name)
    return {
        "file": file,
        "artist": name,
        "mbid": mbid.lower() if mbid.lower() == identity else "",
        "title": title,
        "id": identity,
        "line": line,
    }


def resolve(table: pd.DataFrame, artists: pd.DataFrame) -> pd.DataFrame:
    """Give each clip of the table the id and the name of its artist among `artists`.

    An artist is found by its MusicBrainz id, else by its normalised name, unless both sides have
    an id and they differ: those are namesakes. An artist that is not among `artists` stays, under
    its own id and the first name the table gives it.

    Parameters
    ----------
    table
        As `read_clip_table` gives it.
    artists
        artist, name, mbid; of several with one name the first is meant.

    Returns
    -------
    DataFrame
        file, artist (id), name, title, line.
    """
    own = table[table["mbid"] != ""]
    nameless = artists[artists["mbid"] == ""]  # known to the listens by name alone
    by_mbid = dict(zip(artists["mbid"], artists["artist"], strict=True))
    by_name = _first([*artists["name"], *own["artist"]], [*artists["artist"], *own["id"]])
    by_name_alone = _first(nameless["name"], nameless["artist"])

    def whose(row: Any) -> Any:
        known = by_name_alone if row.mbid else by_name
        found = by_mbid.get(row.mbid) if row.mbid else None
        return found or known.get(normalise_name(row.artist), row.id)

    ids = [whose(row) for row in table.itertuples()]
    names = dict(zip(reversed(ids), reversed(list(table["artist"])), strict=True))
    names |= dict(zip(artists["artist"], artists["name"], strict=True))
    resolved = table[["file", "title", "line"]].assign(artist=ids, name=[names[i] for i in ids])
    return resolved[["file", "artist", "name", "title", "line"]]


def _first(names: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Normalised name -> the first id that bears it."""
    found: dict[str, str] = {}
    for name, artist in zip(names, ids, strict=True):
        found.setdefault(normalise_name(name), artist)
    return found


@np.errstate(over="ignore", invalid="ignore")
def load_clip(path: Path, sr: int, max_seconds: float = math.inf) -> npt.NDArray[np.float32]:
    """Decode an audio file to mono at `sr`, without DC offset.

    Parameters
    ----------
    max_seconds
        No more is decoded, counted from the beginning: it bounds time and memory.

    Returns
    -------
    y
        (n,), full scale 1.

    Raises
    ------
    ClipError
        Not readable as audio, no audio stream, no samples, or samples that are not numbers.
    """
    y = np.empty(0, np.float32)
    n = native_sr = 0
    for frame in frames(path):
        native_sr = frame.sample_rate
        if n >= max_seconds * native_sr:
            break
        if n + frame.samples > len(y):
            most = math.ceil(min(max_seconds, ROOM_SECONDS + 2 * n / native_sr) * native_sr)
            room = np.empty(max(most, n) + frame.samples, np.float32)
            room[:n] = y[:n]
            y = room
        mix(frame, y[n : n + frame.samples])
        n += frame.samples
    y = y[: int(min(n, max_seconds * native_sr))]
    offset = y.mean()
    if not np.isfinite(offset):
        raise ClipError(path, NOT_NUMBERS, remedy=REPLACE)
    y -= offset
    return y if sr == native_sr else soxr.resample(y, native_sr, sr, quality="HQ")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one hearing of a usable file tells."""

    seconds: float
    sr: int
    channels: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a clip is set aside: a reason to count by, and what was found."""

    reason: str
    found: str


def index_clips(
    table: pd.DataFrame,
    data_folder: Path,
    params: ClipsParams,
    progress: Progress,
    workers: Workers,
) -> tuple[Clips, ClipsReport]:
    """Hear every clip of the resolved table; keep the usable ones.

    Parameters
    ----------
    table
        As `resolve` gives it.
    data_folder
        Where `clips.csv` and the files are.

    Raises
    ------
    DataError
        Too large a share of the clips is set aside, or all are.
    """
    paths = [data_folder / file for file in table["file"]]
    crashed: Heard | Fault = Fault(reason="unreadable", found="crashes the decoder")
    heard = spread(partial(_hear, params=params), paths, workers, crashed)
    outcomes = [outcome for _, outcome in zip(progress(paths), heard, strict=True)]
    outcomes = _without_duplicates(paths, outcomes)
    used = [isinstance(outcome, Heard) for outcome in outcomes]
    place = data_folder / "clips.csv"
    set_aside = _set_aside(place, table["line"], outcomes)
    _require_enough(place, set_aside, used, params)
    facts = [asdict(outcome) for outcome in outcomes if isinstance(outcome, Heard)]
    kept = table[used].reset_index(drop=True).join(pd.DataFrame(facts))
    kept = kept.sort_values(["artist", "file"], ignore_index=True)[list(COLUMNS)]
    return Clips(table=kept), _report(kept, set_aside, len(table))


@np.errstate(over="ignore", invalid="ignore")
def _hear(path: Path, params: ClipsParams) -> Heard | Fault:
    if not path.is_file():
        return Fault(reason="missing", found=f"no file {path}")
    n = sr = channels = 0
    total = squares = 0.0
    try:
        for frame in frames(path):
            y = np.empty(frame.samples, np.float32)
            mix(frame, y)
            n += len(y)
            sr, channels = frame.sample_rate, frame.layout.nb_channels
            total += float(y.sum())
            squares += float(np.square(y).sum())
    except ClipError as error:
        return Fault(reason="unreadable", found=str(error))
    if not math.isfinite(squares):
        return Fault(reason="unreadable", found=f"{path}: {NOT_NUMBERS}")
    dbfs = 10 * math.log10(max(squares / n - (total / n) ** 2, 1e-20))
    if n < params.min_seconds * sr:
        return Fault(reason="short", found=f"{path}: {n / sr:.2f} s")
    if dbfs < params.min_dbfs:
        return Fault(reason="silent", found=f"{path}: {dbfs:.0f} dBFS")
    return Heard(seconds=round(n / sr, 3), sr=sr, channels=channels, sha256=sha256(path))


def _without_duplicates(paths: list[Path], outcomes: list[Heard | Fault]) -> list[Heard | Fault]:
    first: dict[str, Path] = {}
    unique: list[Heard | Fault] = []
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, Heard) and first.setdefault(outcome.sha256, path) is not path:
            same = first[outcome.sha256]
            outcome = Fault(reason="duplicate", found=f"{path}: the same bytes as {same}")
        unique.append(outcome)
    return unique


def _set_aside(
    place: Path, lines: Iterable[int], outcomes: list[Heard | Fault]
) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for line, outcome in zip(lines, outcomes, strict=True):
        if isinstance(outcome, Fault):
            entry = {"place": f"{place}:{line}", "found": outcome.found}
            found.setdefault(outcome.reason, []).append(entry)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def _require_enough(
    place: Path, set_aside: dict[str, list[dict[str, str]]], used: list[bool], params: ClipsParams
) -> None:
    bad = len(used) - sum(used)
    if bad <= params.max_bad_fraction * len(used) and any(used):
        return
    reason, entries = next(iter(set_aside.items()))
    raise DataError(
        place,
        f"{bad} of {len(used)} clips cannot be used, {len(entries)} of them {reason} "
        f"({entries[0]['place']}: {entries[0]['found']})",
        expected=f"at most {params.max_bad_fraction:.0%}",
        remedy="mend them or raise clips.max_bad_fraction",
    )


def _report(
    kept: pd.DataFrame, set_aside: dict[str, list[dict[str, str]]], listed: int
) -> ClipsReport:
    each = kept.groupby("artist").size()
    return ClipsReport(
        listed=listed,
        used=len(kept),
        seconds=round(float(kept["seconds"].sum()), 1),
        artists=len(each),
        clips_per_artist={
            "min": int(each.min()),
            "median": float(each.median()),
            "max": int(each.max()),
        },
        set_aside=set_aside,
    )
