"""What the pipeline will say of listens and clips, told before they are imported.

The stages themselves are asked, as far as they need tables only: listens, similarity, split. Audio
is not decoded, so clips that turn out to be unusable are not foreseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from twinear.artists.clip_table import resolve
from twinear.base.errors import DataError, ParamsError
from twinear.base.params import PARAMS, read_params
from twinear.compute.pool import Workers
from twinear.listens.listens import (
    EmptyListensError,
    ListensParams,
    ListensReport,
    clean_listens,
)
from twinear.listens.readers.period import Period
from twinear.listens.rules import ERRORS
from twinear.similarity.computation import compute
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import open_listens
from twinear.split import SplitParams, split_artists

N_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What stops a stage: its name, and the line that it will print, with the remedy."""

    stage: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What listens and clips become, and what will stop the pipeline.

    Parameters
    ----------
    artists_with_clips, artists_with_both
        Number of artists with clips, and of those that the cleaned listens have too.
    without_listens, n_without_listens
        Names of some artists with clips and no listens, and how many there are.
    compared
        Number of artists whose similarity is computed, and how many of them are for testing; 0
        where a stage before stops.
    """

    listens: ListensReport
    artists_with_clips: int
    artists_with_both: int
    without_listens: list[str]
    n_without_listens: int
    compared: int
    test_artists: int
    problems: list[Problem]


@dataclass(frozen=True, kw_only=True)
class ForecastParams:
    """The sections of `params.yaml` that are asked."""

    listens: ListensParams
    similarity: SimilarityParams
    split: SplitParams


def read_forecast_params(path: Path = PARAMS) -> ForecastParams:
    """Read the sections of `params.yaml` that are asked."""
    return ForecastParams(
        listens=read_params("listens", ListensParams, path),
        similarity=read_params("similarity", SimilarityParams, path),
        split=read_params("split", SplitParams, path),
    )


def forecast(
    sources: Sequence[Path],
    clips: pd.DataFrame,
    params: ForecastParams,
    memory: int,
    workers: Workers,
) -> Forecast:
    """Read the listens once and ask the stages.

    Parameters
    ----------
    clips
        As `read_clip_table` gives it.
    memory
        Bytes to keep to.

    Raises
    ------
    DataError
        Listens that cannot be read at all.
    """
    problems: list[Problem] = []
    artists = pd.DataFrame({"artist": [], "name": [], "mbid": []}, dtype=str)
    n_compared = n_test = 0
    with TemporaryDirectory(prefix="twinear-") as temporary:
        folder = Path(temporary) / "listens"
        report = _clean(sources, params, folder, memory, problems)
        if not problems:
            parts = open_listens(folder, memory, workers, params.similarity.basket)
            artists = parts.artists
            with_clips = set(resolve(clips, artists)["artist"])
            try:  # neighbours of artists without clips stop nothing
                similarity, _, _ = compute(
                    parts, with_clips, params.similarity, memory, workers, of_all=False
                )
                n_compared = len(similarity.artists)
            except DataError as error:
                problems.append(Problem(stage="similarity", message=str(error)))
            else:
                try:
                    n_test = len(split_artists(similarity.artists, params.split).members("test"))
                except DataError as error:
                    problems.append(Problem(stage="split", message=str(error)))
    resolved = resolve(clips, artists).drop_duplicates("artist")
    has_listens = resolved["artist"].isin(artists["artist"])
    return Forecast(
        listens=report,
        artists_with_clips=len(resolved),
        artists_with_both=int(has_listens.sum()),
        without_listens=resolved["name"][~has_listens].head(N_EXAMPLES).to_list(),
        n_without_listens=int((~has_listens).sum()),
        compared=n_compared,
        test_artists=n_test,
        problems=problems,
    )


def _clean(
    sources: Sequence[Path],
    params: ForecastParams,
    folder: Path,
    memory: int,
    problems: list[Problem],
) -> ListensReport:
    """Clean the listens as the stage does, but count every row also where the stage would stop."""
    tolerant = params.listens.model_copy(update={"strict": False})
    gap = params.similarity.session_gap
    try:
        report = clean_listens(sources, tolerant, folder, memory, gap)
    except EmptyListensError as error:
        report = error.report
        problems.append(Problem(stage="listens", message=str(error)))
    except ParamsError as error:  # a period or sessions that these listens do not have
        problems.append(Problem(stage="listens", message=str(error)))
        tolerant = tolerant.model_copy(update={"window": Period(**{"from": "", "to": ""})})
        try:
            report = clean_listens(sources, tolerant, folder, memory)
        except EmptyListensError as other:
            report = other.report
            problems.append(Problem(stage="listens", message=str(other)))
    if params.listens.strict and (n_wrong := sum(report.dropped[rule] for rule in ERRORS)):
        message = f"{n_wrong} rows are wrong; fix them or set listens.strict to false"
        problems.append(Problem(stage="listens", message=message))
    return report


def format_forecast(forecast: Forecast) -> str:
    """Write a forecast for people: what was read, what was dropped, what will stop."""
    report = forecast.listens
    days = f", {report.first_day} to {report.last_day}" if report.first_day else ""
    dropped = [f"{n:,} {rule.replace('_', ' ')}" for rule, n in report.dropped.items() if n]
    lines = [
        "after cleaning",
        f"  {report.listeners:,} listeners, {report.artists:,} artists and {report.plays:,} plays "
        f"of {report.rows:,} rows{days}",
        f"  dropped: {', '.join(dropped) or 'nothing'}",
        f"  {forecast.artists_with_both:,} of {forecast.artists_with_clips:,} artists with clips "
        "have listens",
    ]
    if forecast.without_listens:
        more = forecast.n_without_listens - len(forecast.without_listens)
        shown = ", ".join(forecast.without_listens) + (f" and {more:,} more" if more else "")
        lines.append(f"  without listens: {shown}")
    lines.append("pipeline")
    for problem in forecast.problems:
        lines.append(f"  {problem.stage} will stop: {problem.message}")
    if not forecast.problems:
        lines.append(
            f"  nothing stops it before the audio is decoded: {forecast.compared:,} artists are "
            f"compared, {forecast.test_artists:,} of them for testing"
        )
    return "\n".join(lines)
