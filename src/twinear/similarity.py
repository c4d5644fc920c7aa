"""Who is similar to whom, as listeners see it: co-listening as numbers in [0, 1].

With n[a] listeners of a, C[a, b] listeners of both, and p[a] plays of a, of which P[a, b] come
from listeners of b:

========================  =====================================================================
minimum                   C[a, b] / max(n[a], n[b])
asymmetric                C[a, b] / n[a]: of those who know a (the row, a query), the share that
                          knows b; it favours popular artists
plays_minimum             min(P[a, b] / p[a], P[b, a] / p[b])
cosine                    C[a, b] / sqrt(n[a] n[b])
========================  =====================================================================

All are then scaled by (S - min) / (max - min) over all pairs of two artists; the diagonal is 1.
The first three are those of N. Allen, "Assessing Music Similarity Through Deep Learning", 2019.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.sparse import csr_array

from twinear.artists import read_artists, write_artists
from twinear.errors import DataError
from twinear.files import replacing, require
from twinear.listens import Listens
from twinear.params import Params

Measure = Literal["minimum", "asymmetric", "plays_minimum", "cosine"]
Sparse: TypeAlias = csr_array[Any, tuple[int, int]]
Matrix: TypeAlias = npt.NDArray[np.float64]


class SimilarityParams(Params):
    """Which similarity, of the `top_artists` with most listeners that have clips."""

    measure: Measure
    top_artists: int = Field(ge=3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Similarity:
    """Similarity of every two artists.

    Parameters
    ----------
    artists
        artist (id), name, mbid, listeners, plays; most listeners first.
    matrix
        (artists, artists), float32 in [0, 1], diagonal 1; row = query where it is asymmetric.
    """

    artists: pd.DataFrame
    matrix: npt.NDArray[np.float32]

    def write(self, folder: Path) -> None:
        """Write artists.csv and similarity.npy."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            np.save(temporary / "similarity.npy", self.matrix, allow_pickle=False)

    @staticmethod
    def read(folder: Path) -> "Similarity":
        """Read what `write` wrote."""
        remedy = "run 'dvc repro similarity'"
        artists = read_artists(folder / "artists.csv", remedy)
        path = require(folder / "similarity.npy", remedy)
        try:
            matrix = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(path, f"is not an array ({error})", remedy=remedy) from error
        n = len(artists)
        if matrix.shape != (n, n) or matrix.dtype != np.float32:
            found = f"is {matrix.dtype} {matrix.shape}"
            raise DataError(path, found, expected=f"float32 {(n, n)}", remedy=remedy)
        return Similarity(artists=artists, matrix=matrix)


def compute_similarity(
    listens: Listens, with_clips: Collection[str], params: SimilarityParams
) -> Similarity:
    """Compute the similarity of the most listened artists that have clips.

    Raises
    ------
    DataError
        Fewer than three artists with both listens and clips, or all equally similar.
    """
    rows = np.flatnonzero(listens.artists["artist"].isin(list(with_clips)))[: params.top_artists]
    if len(rows) < 3:
        raise DataError(
            "similarity",
            f"{len(rows) or 'no'} artist{'s have' if len(rows) > 1 else ' has'} both "
            f"listens and clips ({len(listens.artists)} have listens, {len(with_clips)} clips)",
            expected="3 or more",
            remedy="name them in clips.csv as the listens do, or lower listens.min_listeners",
        )
    similarity = MEASURES[params.measure](listens.plays[:, rows])
    return Similarity(
        artists=listens.artists.iloc[rows].reset_index(drop=True), matrix=_scaled(similarity)
    )


def _minimum(plays: Sparse) -> Matrix:
    both = _listeners_of_both(plays)
    n = both.diagonal()
    return both / np.maximum(n[:, None], n)


def _asymmetric(plays: Sparse) -> Matrix:
    both = _listeners_of_both(plays)
    return both / both.diagonal()[:, None]


def _plays_minimum(plays: Sparse) -> Matrix:
    shared: Matrix = (plays.T @ (plays > 0)).toarray().astype(np.float64)  # P
    share = shared / shared.diagonal()[:, None]
    return np.minimum(share, share.T)


def _cosine(plays: Sparse) -> Matrix:
    both = _listeners_of_both(plays)
    n = both.diagonal()
    return both / np.sqrt(n[:, None] * n)


MEASURES: dict[Measure, Callable[[Sparse], Matrix]] = {
    "minimum": _minimum,
    "asymmetric": _asymmetric,
    "plays_minimum": _plays_minimum,
    "cosine": _cosine,
}


def _listeners_of_both(plays: Sparse) -> Matrix:
    """C, (artists, artists): listeners of both; on the diagonal, of the one."""
    played = (plays > 0).astype(np.int32)
    both: Matrix = (played.T @ played).toarray().astype(np.float64)
    return both


def _scaled(similarity: Matrix) -> npt.NDArray[np.float32]:
    """Scale so that the least similar pair of two artists is 0 and the most similar is 1."""
    np.fill_diagonal(similarity, np.nan)
    low, high = np.nanmin(similarity), np.nanmax(similarity)
    if low == high:
        raise DataError(
            "similarity",
            f"every two of {len(similarity)} artists are equally similar ({low:g})",
            expected="some listeners who share some of the artists",
            remedy="bring in more listens",
        )
    scaled = (similarity - low) / (high - low)
    np.fill_diagonal(scaled, 1)
    return scaled.astype(np.float32)
