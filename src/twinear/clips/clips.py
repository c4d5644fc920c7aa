"""Which clips are usable, and why the others were set aside.

`index_clips` decodes each file once, a long one in part, and keeps the usable ones. Of several
clips with the same bytes the first in the table is kept, also when they name different artists.
This module does not know how files are coded, nor what is done with the waveforms.
"""

import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from twinear.base.errors import ClipError, DataError
from twinear.base.files import replacing, require, sha256
from twinear.base.params import Params
from twinear.clips.decoding import REPLACE, compressed_seconds, frames, mix
from twinear.clips.roots import audio_roots, locate
from twinear.clips.waveform import NOT_NUMBERS, Waveform, decode
from twinear.compute.pool import Progress, Workers, map_in_processes

if TYPE_CHECKING:  # slow to import, and a single clip is judged without
    import pandas as pd

EXAMINED_SECONDS = 60.0  # decoded of a longer recording, unless they are silent
COLUMNS = {
    "file": str,
    "artist": str,
    "name": str,
    "title": str,
    "source": str,
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
        In seconds; shorter clips are set aside.
    min_dbfs
        Clips of a lower RMS level, in dB under full scale, are set aside as silent.
    max_bad_fraction
        More clips set aside than this share of the table is an error.
    source_column
        The column of clips.csv that says where a clip comes from (`spectrograms.sources`).
    """

    min_seconds: float = Field(gt=0)
    min_dbfs: float = Field(lt=0)
    max_bad_fraction: float = Field(ge=0, le=1)
    source_column: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """The usable clips, sorted by artist and file.

    Parameters
    ----------
    table
        file (under the data folder), artist (id), name, title, source, seconds, sr, channels,
        sha256.
    """

    table: "pd.DataFrame"

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        with replacing(path) as temporary:
            self.table.to_csv(temporary, index=False, lineterminator="\n")

    @staticmethod
    def read(path: Path) -> "Clips":
        """Read and check what `write` wrote."""
        import pandas as pd

        remedy = "run 'dvc repro clips'"
        try:
            table = pd.read_csv(require(path, remedy), dtype=COLUMNS, keep_default_na=False)
        except ValueError as error:
            raise DataError(path, f"is not an index of clips ({error})", remedy=remedy) from None
        if list(table.columns) != list(COLUMNS) or table.empty:
            columns = ", ".join(COLUMNS)
            raise DataError(path, "is not an index of clips", expected=columns, remedy=remedy)
        return Clips(table=table)


@dataclass(frozen=True, kw_only=True)
class ClipsReport:
    """How many clips are used; `set_aside` maps a reason to places and findings."""

    listed: int
    used: int
    seconds: float
    artists: int
    clips_per_artist: dict[str, float]
    set_aside: dict[str, list[dict[str, str]]]


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """What decoding a usable file showed."""

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
    table: "pd.DataFrame",
    data_folder: Path,
    params: ClipsParams,
    progress: Progress,
    workers: Workers,
) -> tuple[Clips, ClipsReport]:
    """Decode every clip of the resolved table; keep the usable ones.

    Parameters
    ----------
    table
        As `resolve` gives it.
    data_folder
        Where `clips.csv` and the files are.

    Raises
    ------
    DataError
        Too large a share of the clips is set aside, or all are; or a file is a link to somewhere
        else, see `roots`.
    """
    import pandas as pd

    paths = [data_folder / file for file in table["file"]]
    place, roots = data_folder / "clips.csv", audio_roots(data_folder)
    for path, line in zip(paths, table["line"], strict=True):
        if path.exists() and locate(path, roots) is None:
            raise DataError(
                f"{place}:{line}",
                f"file '{path.relative_to(data_folder)}' is a link to {path.resolve()}",
                expected="a file in the data folder, or DVC's own link into its cache",
                remedy="put the file itself there: 'twinear import' copies it",
            )
    crashed: AudioFacts | Fault = Fault(reason="unreadable", found="crashes the decoder")
    examined = map_in_processes(partial(examine_clip, params=params), paths, workers, crashed)
    outcomes = [outcome for _, outcome in zip(progress(paths), examined, strict=True)]
    first: dict[str, Path] = {}  # SHA-256 -> the first file of that content
    for row, (path, outcome) in enumerate(zip(paths, outcomes, strict=True)):
        if isinstance(outcome, AudioFacts) and first.setdefault(outcome.sha256, path) is not path:
            same = first[outcome.sha256]
            outcomes[row] = Fault(reason="duplicate", found=f"{path}: the same bytes as {same}")
    set_aside: dict[str, list[dict[str, str]]] = {}
    for line, outcome in zip(table["line"], outcomes, strict=True):
        if isinstance(outcome, Fault):
            entry = {"place": f"{place}:{line}", "found": outcome.found}
            set_aside.setdefault(outcome.reason, []).append(entry)
    set_aside = dict(sorted(set_aside.items(), key=lambda item: -len(item[1])))
    facts = [asdict(outcome) for outcome in outcomes if isinstance(outcome, AudioFacts)]
    bad = len(outcomes) - len(facts)
    if bad > params.max_bad_fraction * len(outcomes) or not facts:
        reason, entries = next(iter(set_aside.items()))
        raise DataError(
            place,
            f"{bad} of {len(outcomes)} clips cannot be used, {len(entries)} of them {reason} "
            f"({entries[0]['place']}: {entries[0]['found']})",
            expected=f"at most {params.max_bad_fraction:.0%}",
            remedy="fix them or raise clips.max_bad_fraction",
        )
    used = [isinstance(outcome, AudioFacts) for outcome in outcomes]
    index = table[used].reset_index(drop=True).join(pd.DataFrame(facts))
    index = index.sort_values(["artist", "file"], ignore_index=True)[list(COLUMNS)]
    per_artist = index.groupby("artist").size()
    report = ClipsReport(
        listed=len(table),
        used=len(index),
        seconds=round(float(index["seconds"].sum()), 1),
        artists=len(per_artist),
        clips_per_artist={
            "min": int(per_artist.min()),
            "median": float(per_artist.median()),
            "max": int(per_artist.max()),
        },
        set_aside=set_aside,
    )
    return Clips(table=index), report


def examine_clip(path: Path, params: ClipsParams) -> AudioFacts | Fault:
    """Decode one file, without holding more than a frame of it.

    Of a long recording the beginning tells whether it can be used, unless that is silent.
    """
    if not path.is_file():
        return Fault(reason="missing", found=f"no file {path}")
    undecoded = compressed_seconds(path)
    limits = [EXAMINED_SECONDS] if undecoded > EXAMINED_SECONDS + 1 else []
    try:
        for limit in [*limits, math.inf]:
            measured = _measure(path, limit)
            seconds = undecoded if limit == EXAMINED_SECONDS else measured.seconds
            fault = _judge(seconds, measured.power, params)
            if fault is None:
                break
    except ClipError as error:
        return Fault(reason="unreadable", found=str(error))
    if not math.isfinite(measured.power):
        return Fault(reason="unreadable", found=f"{path}: {NOT_NUMBERS}")
    if fault:
        return Fault(reason=fault.reason, found=f"{path}: {fault.found}")
    try:
        digest = sha256(path)
    except OSError as error:  # it was there
        return Fault(reason="unreadable", found=f"{path}: {error.strerror}")
    sr, channels = measured.sr, measured.channels
    return AudioFacts(seconds=round(seconds, 3), sr=sr, channels=channels, sha256=digest)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What was decoded of a file."""

    seconds: float
    sr: int
    channels: int
    power: float  # mean, without the DC offset; not finite if a sample is no number


@np.errstate(over="ignore", invalid="ignore")
def _measure(path: Path, max_seconds: float) -> _Measured:
    n = sr = channels = 0
    total = squares = 0.0
    for frame in frames(path):
        if sr and n >= max_seconds * sr:
            break
        y = np.empty(frame.samples, np.float32)
        mix(frame, y)
        n += len(y)
        sr, channels = frame.sample_rate, frame.layout.nb_channels
        total += float(y.sum())
        squares += float(np.square(y).sum())
    power = squares / n - (total / n) ** 2 if math.isfinite(squares) else math.inf
    return _Measured(seconds=n / sr, sr=sr, channels=channels, power=power)


def _judge(seconds: float, power: float, params: ClipsParams) -> Fault | None:
    """Judge a clip by its duration and its mean power without the DC offset."""
    dbfs = 10 * math.log10(max(power, 1e-20))  # finite for digital silence
    if seconds < params.min_seconds:
        return Fault(reason="short", found=f"{seconds:.2f} s")
    if dbfs < params.min_dbfs:
        return Fault(reason="silent", found=f"{dbfs:.0f} dBFS")
    return None


def decode_usable(path: Path, params: ClipsParams, max_seconds: float = math.inf) -> Waveform:
    """Decode an audio file as `decode` does, and refuse what the index would set aside.

    Raises
    ------
    ClipError
        No file, not readable as audio, samples that are not numbers, too short, or silent.
    """
    if not path.is_file():
        raise ClipError(path, "is no file", remedy="name an audio file")
    waveform = decode(path, max_seconds)
    power = float(np.square(waveform.y, dtype=np.float64).mean())
    if fault := _judge(waveform.seconds, power, params):
        expected = f"at least {params.min_seconds:g} s and {params.min_dbfs:g} dBFS"
        found = f"is {fault.reason} ({fault.found})"
        raise ClipError(path, found, expected=expected, remedy=REPLACE)
    return waveform
