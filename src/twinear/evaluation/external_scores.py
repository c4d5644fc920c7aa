"""A matrix of scores made elsewhere: read, checked, put in the order of the artists here.

An `.npz` holds `artists` (n,) and `scores` (n, n); a `.csv` has the artists as its header and again
as its first column. An artist is named by its id, or by a name that only one of them has. The
artists say where rows and columns belong, so that any order will do, but rows and columns must
have the same.
"""

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twinear.artists.identity import normalise_name
from twinear.base.errors import DataError, nearest
from twinear.base.files import require
from twinear.metrics.ranking_metrics import Floats

FORMS = ".npz with artists (n,) and scores (n, n), or .csv with artists as header and first column"


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreMatrix:
    """Scores of every two of some artists: (artists, artists), a row for each query."""

    artists: list[str]
    scores: Floats


def read_matrix(path: Path) -> ScoreMatrix:
    """Read a matrix of scores.

    Raises
    ------
    DataError
        Missing, another form, not square, an artist twice, rows in another order than columns.
    """
    require(path, "name a matrix of scores")
    if path.suffix.lower() == ".npz":
        matrix = _read_npz(path)
    elif path.suffix.lower() == ".csv":
        matrix = _read_csv(path)
    else:
        raise DataError(path, f"is a '{path.suffix}' file", expected=FORMS)
    n = len(matrix.artists)
    if matrix.scores.shape != (n, n):
        found = f"scores {matrix.scores.shape} of {n} artists"
        raise DataError(path, found, expected=f"scores {(n, n)}", remedy="export all pairs")
    require_unique(matrix.artists, path)
    return matrix


def align_matrix(matrix: ScoreMatrix, artists: pd.DataFrame, path: Path) -> Floats:
    """Put the scores in the order of `artists` (columns artist, name).

    Raises
    ------
    DataError
        An unknown artist, a missing one, or a score of two artists that is not a number.
    """
    rows = match_artists(matrix.artists, artists, path)
    missing = set(range(len(artists))) - set(rows)
    if missing or len(rows) != len(artists):
        first = artists["artist"].iloc[min(missing)]
        raise DataError(
            path,
            f"has {len(rows)} of {len(artists)} artists, lacks '{first}'",
            expected="all artists that have similarity and clips",
            remedy="export the scores of all of them",
        )
    order = np.argsort(rows)
    scores = matrix.scores[np.ix_(order, order)]
    bad = np.argwhere(~np.isfinite(scores) & ~np.eye(len(scores), dtype=np.bool_))
    if len(bad):
        query, other = (artists["artist"].iloc[int(at)] for at in bad[0])
        found = f"{scores[tuple(bad[0])]} for '{query}' and '{other}'"
        raise DataError(path, found, expected="finite numbers", remedy="score all pairs")
    return scores


def match_artists(named: Sequence[str], artists: pd.DataFrame, path: Path) -> list[int]:
    """The row in `artists` of each artist named by id, or by a name that only one of them has.

    Raises
    ------
    DataError
        An artist that is not there, or two that are the same.
    """
    by_id = {str(artist): at for at, artist in enumerate(artists["artist"])}
    by_name: dict[str, list[int]] = {}
    for at, name in enumerate(artists["name"]):
        by_name.setdefault(normalise_name(str(name)), []).append(at)
    rows = []
    for each in named:
        namesakes = by_name.get(normalise_name(each), [])
        found = by_id.get(each, namesakes[0] if len(namesakes) == 1 else None)
        if found is None:
            near = nearest(each, by_id)
            remedy = f"did you mean '{near[0]}'?" if near else "use the ids of the artists"
            expected = f"one of the {len(artists)} artists with similarity and clips"
            raise DataError(path, f"unknown artist '{each}'", expected=expected, remedy=remedy)
        rows.append(found)
    require_unique([str(artists["artist"].iloc[at]) for at in rows], path)
    return rows


def require_unique(names: Sequence[str], path: Path) -> None:
    """Refuse a name that comes twice."""
    seen: set[str] = set()
    for each in names:
        if each in seen:
            raise DataError(path, f"'{each}' comes twice", expected="each once")
        seen.add(each)


def _read_npz(path: Path) -> ScoreMatrix:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            lacking = [each for each in ("artists", "scores") if each not in arrays.files]
            if lacking:
                found = f"has no '{lacking[0]}' but {', '.join(arrays.files) or 'nothing'}"
                raise DataError(path, found, expected=FORMS)
            artists = [str(each) for each in np.atleast_1d(arrays["artists"])]
            return ScoreMatrix(artists=artists, scores=arrays["scores"].astype(np.float64))
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise DataError(path, f"cannot be read ({reason})", expected=FORMS) from error


def _read_csv(path: Path) -> ScoreMatrix:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is not a CSV table in UTF-8 ({error})", expected=FORMS) from None
    artists, scores = header[1:], np.full((len(rows), len(header) - 1), np.nan)
    for at, row in enumerate(rows):
        place = f"{path}:{at + 2}"
        if len(row) != len(header):
            raise DataError(place, f"{len(row)} fields", expected=f"{len(header)} as in the header")
        if at < len(artists) and row[0] != artists[at]:
            raise DataError(
                place,
                f"row of '{row[0]}'",
                expected=f"'{artists[at]}', as the header has it",
                remedy="put rows and columns in the same order",
            )
        try:
            scores[at] = [float(each or "nan") for each in row[1:]]
        except ValueError as error:
            raise DataError(place, str(error), expected="numbers") from None
    return ScoreMatrix(artists=artists, scores=scores)
