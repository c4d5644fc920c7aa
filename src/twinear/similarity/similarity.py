"""The similarity of the most listened artists that have clips, from co-listening, in [0, 1].

This module knows the table and its files; the formulas are in `measures`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.artists.identity import read_artists, write_artists
from twinear.base.errors import DataError
from twinear.base.files import replacing, require


@dataclass(frozen=True, kw_only=True, eq=False)
class Similarity:
    """The similarity of every two artists.

    Parameters
    ----------
    artists
        artist (id), name, mbid, listeners, plays; most listeners first.
    matrix
        (artists, artists), float32 in [0, 1], diagonal 1; if asymmetric, the row is the query.
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
    def read(folder: Path, *, may_be_empty: bool = False) -> "Similarity":
        """Read a folder written by `write`.

        Parameters
        ----------
        may_be_empty
            Accept the similarity of a data folder without listens: that of no artist.

        Raises
        ------
        DataError
            Missing or damaged, or of no artist.
        """
        remedy = "run 'dvc repro similarity'"
        artists = read_artists(folder / "artists.csv", remedy, may_be_empty=may_be_empty)
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
