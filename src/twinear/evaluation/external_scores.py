"""A matrix of scores made elsewhere: read, checked, put in the order of the artists here.

An `.npz` holds `artists` (n,) and `scores` (n, n); a `.csv` has the artists as its header and as
its first column. An artist is named by its id, or by a name that only one artist has. The artists
may come in any order, which must be the same for rows and columns.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twinear.artists.identity import normalise_name
from twinear.base.arrays import NOT_ARRAYS, refuse_bombs
from twinear.base.delimited import find_separator
from twinear.base.errors import DataError, nearest
from twinear.base.files import require
from twinear.base.table import read_lines, split_fields
from twinear.metrics.ranking_metrics import Floats

FORMS = ".npz with artists (n,) and scores (n, n), or .csv with artists as header and first column"


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreMatrix:
    """Scores of all pairs of some artists."""

    artists: list[str]  # ids or names
    scores: Floats  # (artists, artists), a row for each query


def read_matrix(path: Path) -> ScoreMatrix:
    """Read a matrix of scores.

    Raises
    ------
    DataError
        Missing, another form, not square, an artist twice, rows in another order than columns.
    """
    require(path, "name a matrix of scores")
    readers = {".npz": _read_npz, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise DataError(path, f"is a '{path.suffix}' file", expected=FORMS)
    matrix = readers[path.suffix.lower()](path)
    n = len(matrix.artists)
    if matrix.scores.shape != (n, n):
        found = f"scores {matrix.scores.shape} of {n} artists"
        raise DataError(path, found, expected=f"scores {(n, n)}", remedy="export all pairs")
    require_unique(matrix.artists, path)
    return matrix


def read_matrices(files: Mapping[str, Path], artists: pd.DataFrame) -> dict[str, Floats]:
    """Read some matrices (name -> file) in the order of `artists`: name -> (artists, artists)."""
    return {name: align_matrix(read_matrix(path), artists, path) for name, path in files.items()}


def align_matrix(matrix: ScoreMatrix, artists: pd.DataFrame, path: Path) -> Floats:
    """Put the scores in the order of `artists`, (artists, artists); the diagonal may be NaN.

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


def artist_finder(artists: pd.DataFrame) -> Callable[[str], int | None]:
    """Make a function that finds an artist's row by id, or by a name that only one artist has.

    Examples
    --------
    >>> artists = pd.DataFrame({"artist": ["a", "b", "c"], "name": ["Air", "Eels", "Eels"]})
    >>> find = artist_finder(artists)
    >>> find("b"), find("AIR"), find("Eels")
    (1, 0, None)
    """
    by_id = {str(artist): row for row, artist in enumerate(artists["artist"])}
    names = [normalise_name(str(name)) for name in artists["name"]]
    count = Counter(names)
    by_name = {name: row for row, name in enumerate(names) if count[name] == 1}
    return lambda name: by_id.get(name, by_name.get(normalise_name(name)))


def match_artists(named: Sequence[str], artists: pd.DataFrame, path: Path) -> list[int]:
    """Find the row in `artists` of each artist, named by id or by an unambiguous name.

    Raises
    ------
    DataError
        An artist that is not there, or two that are the same.
    """
    find = artist_finder(artists)
    rows = []
    for name in named:
        row = find(name)
        if row is None:
            near = nearest(name, artists["artist"])
            remedy = f"did you mean '{near[0]}'?" if near else "use the ids of the artists"
            expected = f"one of the {len(artists)} artists with similarity and clips"
            raise DataError(path, f"unknown artist '{name}'", expected=expected, remedy=remedy)
        rows.append(row)
    require_unique([str(artists["artist"].iloc[row]) for row in rows], path)
    return rows


def require_unique(names: Sequence[str], path: Path) -> None:
    """Refuse a name that comes twice."""
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(path, f"'{name}' comes twice", expected="each artist once")


def _read_npz(path: Path) -> ScoreMatrix:
    try:
        refuse_bombs(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in ("artists", "scores") if name not in arrays.files]
            if missing:
                found = f"has no '{missing[0]}' but {', '.join(arrays.files) or 'nothing'}"
                raise DataError(path, found, expected=FORMS)
            artists = [str(artist) for artist in np.atleast_1d(arrays["artists"])]
            return ScoreMatrix(artists=artists, scores=arrays["scores"].astype(np.float64))
    except NOT_ARRAYS as error:
        reason = str(error).partition("\n")[0]
        raise DataError(path, f"cannot be read ({reason})", expected=FORMS) from error


def _read_csv(path: Path) -> ScoreMatrix:
    (top, first), *lines = read_lines(path, FORMS).lines or [(1, "")]
    separator = find_separator(first)
    header = split_fields(first, separator, path, top)
    artists, scores = header[1:], np.full((len(lines), len(header) - 1), np.nan)
    for at, (line, text) in enumerate(lines):
        place, row = f"{path}:{line}", split_fields(text, separator, path, line)
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
            scores[at] = [float(cell or "nan") for cell in row[1:]]
        except ValueError as error:
            raise DataError(place, str(error), expected="numbers") from None
    return ScoreMatrix(artists=artists, scores=scores)
