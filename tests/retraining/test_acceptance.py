"""New data beside the last accepted ones: what may change, and what blocks, with its reason."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PARAMS
from tests.support.retraining import plant_pipeline, read_json
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.retraining.acceptance import (
    QUANTILES,
    AcceptanceParams,
    DataStatistics,
    find_faults,
    measure_data,
    read_accepted,
)

LIMITS = read_params("acceptance", AcceptanceParams, PARAMS)
ACCEPTED = DataStatistics(
    format="table",
    columns=("file", "artist", "mbid"),
    artists=100,
    listeners=1000,
    listens=20000,
    clips=300,
    unusable_rows=0.05,
    unusable_clips=0.0,
    popularity=tuple(-3 + 2 * float(q) for q in QUANTILES),
    seconds=tuple(29 + float(q) for q in QUANTILES),
)


def moved(values: tuple[float, ...], by: float) -> tuple[float, ...]:
    return tuple(value + by for value in values)


def test_more_and_slightly_other_data_are_taken() -> None:
    more = replace(
        ACCEPTED,
        columns=("file", "artist", "mbid", "title"),
        artists=150,
        listeners=5000,
        listens=100_000,
        clips=280,
        unusable_rows=0.1,
        popularity=moved(ACCEPTED.popularity, -0.1),
        seconds=moved(ACCEPTED.seconds, 0.5),
    )
    assert find_faults(more, ACCEPTED, LIMITS) == []


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another format": ({"format": "hetrec"}, "listens are hetrec, accepted were table"),
    "a lost column": ({"columns": ("file", "artist")}, "clips.csv has lost the columns mbid"),
    "artists gone": ({"artists": 60}, "60 artists, accepted were 100: more than 20% are gone"),
    "broken rows": ({"unusable_rows": 0.4}, "40% of the rows cannot be used, accepted were 5%"),
    "other popularity": (
        {"popularity": moved(ACCEPTED.popularity, -0.5)},
        "popularity has drifted by 0.50 powers of ten, may be 0.2",
    ),
    "cut clips": (
        {"seconds": moved(ACCEPTED.seconds, -15)},
        "durations have drifted by 15.0 s, may be 3",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_named_with_its_figures(case: str) -> None:
    changes, message = FAULTS[case]
    assert find_faults(replace(ACCEPTED, **changes), ACCEPTED, LIMITS) == [message]


def test_the_statistics_of_a_pipeline_are_measured_and_read_again(tmp_path: Path) -> None:
    folders, reports = plant_pipeline(tmp_path), tmp_path / "reports"
    statistics = measure_data(folders.data, folders.artifacts, reports)
    counts = {name: read_json(reports / f"{name}.json") for name in ("listens", "clips")}
    assert statistics.columns == ("file", "artist", "mbid")
    assert statistics.counts["artists"] == counts["listens"]["artists"]
    assert statistics.counts["clips"] == counts["clips"]["used"]
    assert 0 < statistics.unusable_rows < 0.2
    share = 9 / counts["listens"]["listeners"]
    assert statistics.popularity == pytest.approx([math.log10(share)] * len(QUANTILES), abs=1e-3)
    assert statistics.seconds == (30,) * len(QUANTILES)
    statistics.write(tmp_path / "accepted.json")
    assert read_accepted(tmp_path / "accepted.json") == statistics
    assert find_faults(statistics, statistics, LIMITS) == []


def test_nothing_was_accepted_yet_or_the_record_is_damaged(tmp_path: Path) -> None:
    assert read_accepted(tmp_path / "accepted.json") is None
    (tmp_path / "accepted.json").write_text('{"format": "table"}')
    with pytest.raises(DataError, match=r"accepted\.json: is damaged \(Field required\)"):
        read_accepted(tmp_path / "accepted.json")
