"""Which clips are usable, and why the others were set aside.

`index_clips` decodes each file once and keeps the usable ones. Of several clips with the same bytes
the first in the table is kept, also when they name different artists. This module does not know
how files are coded, nor what is done with the waveforms.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from twinear.base.errors import ClipError, DataError
from twinear.base.files import replacing, require, sha256
from twinear.base.params import Params
from twinear.clips.decoding import frames, mix
from twinear.clips.waveform import NOT_NUMBERS
from twinear.compute.pool import Progress, Workers, map_in_processes

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
    heard = map_in_processes(partial(_hear, params=params), paths, workers, crashed)
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
