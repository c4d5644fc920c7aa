"""Whether new data look like the last accepted ones; a broken export must not reach training.

Figures come from what the first stages made of the data: their schema, counts, the share that
could not be used, and two distributions as quantiles. The drift of a distribution is the mean
distance of its quantiles from the accepted ones (the Wasserstein distance of two quantile
functions): of popularity in powers of ten of an artist's share of the listeners, of durations in
seconds. More data is never a fault; less, worse or other data is one, for a person to look at.
"""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from twinear.artists.identity import read_artists
from twinear.base.errors import DataError
from twinear.base.files import require, write_text
from twinear.base.params import Params
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
class Figures:
    """What some data look like.

    Parameters
    ----------
    format, columns
        Of the listens, and of clips.csv.
    artists, listeners, listens, clips
        What is left after cleaning.
    unusable_rows, unusable_clips
        Shares of what there was.
    popularity
        Quantiles of log10(listeners of an artist / all listeners).
    seconds
        Quantiles of the clips' durations.
    """

    format: str
    columns: tuple[str, ...]
    artists: int
    listeners: int
    listens: int
    clips: int
    unusable_rows: float
    unusable_clips: float
    popularity: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def counts(self) -> dict[str, int]:
        """What may grow and hardly shrink."""
        return {name: getattr(self, name) for name in ("artists", "listeners", "listens", "clips")}

    @property
    def unusable(self) -> dict[str, float]:
        """Shares that may shrink and hardly grow."""
        return {"rows": self.unusable_rows, "clips": self.unusable_clips}

    def write(self, path: Path) -> None:
        """Write JSON, to be committed."""
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False))


def read_accepted(path: Path) -> Figures | None:
    """The figures of the last accepted data; None where none were accepted yet.

    Raises
    ------
    DataError
        The file is not what `Figures.write` wrote.
    """
    if not path.exists():
        return None
    try:
        return TypeAdapter(Figures).validate_json(path.read_bytes())
    except ValidationError as error:
        found = f"is damaged ({error.errors()[0]['msg']})"
        raise DataError(path, found, remedy="take it from git, or remove it") from error


def measure_data(data: Path, artifacts: Path, reports: Path) -> Figures:
    """Measure what the stages listens and clips made of the data."""
    listens, clips = (_read(reports / f"{name}.json") for name in ("listens", "clips"))
    artists = read_artists(artifacts / "listens" / "artists.csv", "run 'dvc repro listens'")
    table = Clips.read(artifacts / "clips.csv").table
    return Figures(
        format=listens["format"],
        columns=tuple(_header(data / "clips.csv")),
        artists=listens["artists"],
        listeners=listens["listeners"],
        listens=listens["kept"],
        clips=clips["used"],
        unusable_rows=_share(sum(listens["dropped"].values()), listens["rows"]),
        unusable_clips=_share(clips["listed"] - clips["used"], clips["listed"]),
        popularity=_quantiles(np.log10(artists["listeners"] / listens["listeners"])),
        seconds=_quantiles(table["seconds"]),
    )


def find_faults(now: Figures, accepted: Figures, params: AcceptanceParams) -> list[str]:
    """Say what is wrong with new data beside the accepted ones; empty if nothing is."""
    return [
        *_schema_faults(now, accepted),
        *_count_faults(now, accepted, params.max_lost),
        *_unusable_faults(now, accepted, params.max_unusable),
        *_drift_faults(now, accepted, params),
    ]


def _schema_faults(now: Figures, accepted: Figures) -> list[str]:
    faults = []
    if now.format != accepted.format:
        faults.append(f"listens are {now.format}, accepted were {accepted.format}")
    if lost := [each for each in accepted.columns if each not in now.columns]:
        faults.append(f"clips.csv has lost the columns {', '.join(lost)}")
    return faults


def _count_faults(now: Figures, accepted: Figures, most: float) -> list[str]:
    return [
        f"{now.counts[name]} {name}, accepted were {before}: more than {most:.0%} are gone"
        for name, before in accepted.counts.items()
        if now.counts[name] < before * (1 - most)
    ]


def _unusable_faults(now: Figures, accepted: Figures, most: float) -> list[str]:
    return [
        f"{now.unusable[name]:.0%} of the {name} cannot be used, accepted were {before:.0%}"
        for name, before in accepted.unusable.items()
        if now.unusable[name] > before + most
    ]


def _drift_faults(now: Figures, accepted: Figures, params: AcceptanceParams) -> list[str]:
    popularity, seconds = drift(now, accepted)
    faults = []
    if popularity > params.max_popularity_drift:
        most = params.max_popularity_drift
        faults.append(f"popularity has drifted by {popularity:.2f} powers of ten, may be {most:g}")
    if seconds > params.max_duration_drift:
        most = params.max_duration_drift
        faults.append(f"durations have drifted by {seconds:.1f} s, may be {most:g}")
    return faults


def drift(now: Figures, accepted: Figures) -> tuple[float, float]:
    """How far popularity (powers of ten) and durations (seconds) have moved."""
    pairs = ((now.popularity, accepted.popularity), (now.seconds, accepted.seconds))
    popularity, seconds = (float(np.mean(np.abs(np.subtract(*each)))) for each in pairs)
    return popularity, seconds


def _quantiles(values: "pd.Series[float]") -> tuple[float, ...]:
    found: npt.NDArray[np.float64] = np.quantile(values.to_numpy(dtype=np.float64), QUANTILES)
    return tuple(round(float(each), DIGITS) for each in found)


def _share(part: int, whole: int) -> float:
    return round(part / whole, DIGITS) if whole else 0.0


def _header(path: Path) -> list[str]:
    with require(path, "name every clip there").open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def _read(path: Path) -> Any:
    return json.loads(require(path, "run 'dvc repro clips'").read_text(encoding="utf-8"))
