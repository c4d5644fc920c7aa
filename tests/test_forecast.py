"""Before an import: what the stages will say of listens and clips, in their own words."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import PARAMS
from tests.support.dumps import listens_params
from twinear.artists.clip_table import read_clip_table
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.forecast import Forecast, ForecastParams, forecast
from twinear.similarity.measures import SimilarityParams
from twinear.split import SplitParams

MEMORY = 2**31
NAMES = [f"Band {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


def foresee(folder: Path, rows: list[str], clips: list[str], **changes: object) -> Forecast:
    """Forecast for a table of listens and the artists of some clips."""
    table = folder / "plays.csv"
    table.write_text("\n".join(["listener,artist,plays", *rows]), encoding="utf-8")
    params = ForecastParams(
        listens=listens_params(**changes),
        similarity=read_params("similarity", SimilarityParams, PARAMS),
        split=read_params("split", SplitParams, PARAMS),
    )
    return forecast([table], clip_table(folder, clips), params, MEMORY, 1)


def clip_table(folder: Path, artists: list[str]) -> pd.DataFrame:
    path = folder / "clips.csv"
    lines = [f"{number}.mp3,{name}" for number, name in enumerate(artists)]
    path.write_text("\n".join(["file,artist", *lines]), encoding="utf-8")
    return read_clip_table(path)


def shared_taste(names: list[str]) -> list[str]:
    """Rows in which neighbours in the list share listeners."""
    return [
        f"u{listener},{name},{1 + (at + listener) % 3}"
        for listener in range(len(names))
        for at, name in enumerate(names)
        if (at - listener) % len(names) < 4
    ]


def test_good_data_has_no_problem_and_its_artists_are_counted(tmp_path: Path) -> None:
    told = foresee(tmp_path, shared_taste(NAMES), [*NAMES[:25], "BAND A", "Nobody's"])
    assert told.problems == []
    assert (told.listens.rows, told.listens.listeners, told.listens.artists) == (104, 26, 26)
    assert (told.artists_with_clips, told.artists_with_both) == (26, 25)
    assert told.without_listens == ["Nobody's"]
    assert (told.compared, told.test_artists) == (25, 5)


@pytest.mark.parametrize(
    ("rows", "clips", "changes", "stage", "message"),
    [
        (shared_taste(NAMES), NAMES, {"require_mbid": True}, "listens", "require_mbid to false"),
        (shared_taste(NAMES), ["X", "Y"], {}, "similarity", "0? ?no artist.* both listens"),
        (["u1,Band A,1", "u2,Band B,1", "u3,Band C,1"], NAMES, {}, "similarity", "equally similar"),
        (shared_taste(NAMES[:8]), NAMES[:8], {}, "split", "change split in params"),
        (["u1,Band A,none", *shared_taste(NAMES)], NAMES, {"strict": True}, "listens", "strict"),
    ],
)
def test_what_will_stop_the_pipeline_is_told_with_its_remedy(
    tmp_path: Path,
    rows: list[str],
    clips: list[str],
    changes: dict[str, object],
    stage: str,
    message: str,
) -> None:
    (problem,) = foresee(tmp_path, rows, clips, **changes).problems
    assert problem.stage == stage
    assert re.search(message, problem.message)


def test_listens_that_the_rules_drop_are_still_counted(tmp_path: Path) -> None:
    told = foresee(tmp_path, shared_taste(NAMES), NAMES, require_mbid=True)
    assert told.listens.rows == told.listens.dropped["without_mbid"] == 104
    assert (told.artists_with_both, told.compared) == (0, 0)


def test_listens_that_cannot_be_read_stop_the_forecast(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"plays\.csv.*column"):
        foresee(tmp_path, ["u1,Band A,1"], NAMES, columns={**COLUMNS, "artist": "performer"})


COLUMNS = {"listener": "listener", "artist": "artist", "mbid": "mbid", "plays": "plays"}
