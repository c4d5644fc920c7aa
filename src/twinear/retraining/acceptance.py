"""Whether new data resemble the last accepted ones; a broken export must not reach training.

The statistics come from the results of the first stages: schema, counts, the share of unusable
rows and clips, and two distributions as quantiles. The drift of a distribution is the mean distance
of its quantiles from the accepted ones (the Wasserstein distance of two quantile functions): of
popularity in powers of ten of an artist's share of the listeners, of durations in seconds. More
data is never a fault. Less, worse or different data is one, for a person to look at.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from twinear.artists.identity import read_artists
from twinear.base.errors import DataError
from twinear.base.files import require, write_json
from twinear.base.params import Params
from twinear.base.table import read_table
from twinear.clips.clips import Clips

QUANTILES = np.linspace(0, 1, 21)
DIGITS = 4


class AcceptanceParams(Params):
    """How far new data may be from the last accepted."""

    max_lost: float = Field(ge=0, le=1)
    max_unusable: float = Field(ge=0, le=1)
    max_popularity_drift: float = Field(ge=0)
    max_duration_drift: float = Field(ge=0)


@dataclass(frozen=True, kw_only=True)
class DataStatistics:
    """Statistics of a data folder; counts are after cleaning."""

    format: str  # of the listens
    columns: tuple[str, ...]  # of clips.csv
    artists: int
    listeners: int
    listens: int
    clips: int
    unusable_rows: float  # share of all rows
    unusable_clips: float  # share of all listed clips
    popularity: tuple[float, ...]  # quantiles of log10(listeners of an artist / all listeners)
    seconds: tuple[float, ...]  # quantiles of the clips' durations

    @property
    def counts(self) -> dict[str, int]:
        """The counts, which must not shrink much."""
        return {name: getattr(self, name) for name in ("artists", "listeners", "listens", "clips")}

    @property
    def unusable(self) -> dict[str, float]:
        """The shares, which must not grow much."""
        return {"rows": self.unusable_rows, "clips": self.unusable_clips}

    def write(self, path: Path) -> None:
        """Write JSON, to be committed."""
        write_json(path, self)


def read_accepted(path: Path) -> DataStatistics | None:
    """Read the statistics of the last accepted data; None where none were accepted yet.

    `DataError` if the file is not what `DataStatistics.write` wrote.
    """
    if not path.exists():
        return None
    try:
        return TypeAdapter(DataStatistics).validate_json(path.read_bytes())
    except ValidationError as error:
        found = f"is damaged ({error.errors()[0]['msg']})"
        raise DataError(path, found, remedy="restore it from git, or remove it") from error


def measure_data(data: Path, artifacts: Path, reports: Path) -> DataStatistics:
    """Compute the statistics from the results of the stages listens and clips."""
    listens, clips = (
        json.loads(require(path, "run 'dvc repro clips'").read_text(encoding="utf-8"))
        for path in (reports / "listens.json", reports / "clips.json")
    )
    artists = read_artists(artifacts / "listens" / "artists.csv", "run 'dvc repro listens'")
    return DataStatistics(
        format=listens["format"],
        columns=tuple(read_table(data / "clips.csv", (), "list every clip there").columns),
        artists=listens["artists"],
        listeners=listens["listeners"],
        listens=listens["kept"],
        clips=clips["used"],
        unusable_rows=_share(sum(listens["dropped"].values()), listens["rows"]),
        unusable_clips=_share(clips["listed"] - clips["used"], clips["listed"]),
        popularity=_quantiles(np.log10(artists["listeners"] / listens["listeners"])),
        seconds=_quantiles(Clips.read(artifacts / "clips.csv").table["seconds"]),
    )


def find_faults(
    now: DataStatistics, accepted: DataStatistics, params: AcceptanceParams
) -> list[str]:
    """Compare new data with the accepted ones; return a line for each fault."""
    faults = []
    if now.format != accepted.format:
        faults.append(f"listens are {now.format}, accepted were {accepted.format}")
    if lost := [column for column in accepted.columns if column not in now.columns]:
        faults.append(f"clips.csv has lost the columns {', '.join(lost)}")
    for name, before in accepted.counts.items():
        if now.counts[name] < before * (1 - params.max_lost):
            limit = f"more than {params.max_lost:.0%} are gone"
            faults.append(f"{now.counts[name]} {name}, accepted were {before}: {limit}")
    for name, share in accepted.unusable.items():
        if (found := now.unusable[name]) > share + params.max_unusable:
            faults.append(f"{found:.0%} of the {name} cannot be used, accepted were {share:.0%}")
    popularity, seconds = drift(now, accepted)
    if popularity > params.max_popularity_drift:
        limit = f"may be {params.max_popularity_drift:g}"
        faults.append(f"popularity has drifted by {popularity:.2f} powers of ten, {limit}")
    if seconds > params.max_duration_drift:
        limit = f"may be {params.max_duration_drift:g}"
        faults.append(f"durations have drifted by {seconds:.1f} s, {limit}")
    return faults


def drift(now: DataStatistics, accepted: DataStatistics) -> tuple[float, float]:
    """Compute how far popularity (powers of ten) and durations (seconds) have moved."""
    popularity = np.abs(np.subtract(now.popularity, accepted.popularity)).mean()
    seconds = np.abs(np.subtract(now.seconds, accepted.seconds)).mean()
    return float(popularity), float(seconds)


def _quantiles(values: "pd.Series[float]") -> tuple[float, ...]:
    quantiles = np.quantile(values.to_numpy(dtype=np.float64), QUANTILES)
    return tuple(round(float(value), DIGITS) for value in quantiles)


def _share(part: int, whole: int) -> float:
    return round(part / whole, DIGITS) if whole else 0.0
