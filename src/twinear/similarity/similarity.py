"""The similarity of the most listened artists that have clips, from co-listening, in [0, 1].

Of few artists it is an array of all pairs. From `similarity.dense_below` artists on it is a sparse
array of each artist's most similar artists, and memory is proportional to the artists. A pair that
is absent from it has similarity 0. Both kinds are read alike: `matrix[rows][:, columns]` selects a
block of the same kind, and `dense` makes an array of a block that is small enough.

This module knows the table and its files; the formulas are in `measures`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.artists.identity import read_artists, write_artists
from twinear.base.arrays import NOT_ARRAYS
from twinear.base.checksums import verify_checksums, write_checksums
from twinear.base.errors import DataError
from twinear.base.files import replacing, require
from twinear.base.text import one_line

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # takes .2 s to import

# (artists, artists); Any is a `scipy.sparse.csr_array`, which holds the diagonal too: what is right
# for arrays alone is not checked where the similarity is known to be one
SimilarityMatrix: TypeAlias = npt.NDArray[Any] | Any

REMEDY = "run 'dvc repro similarity'"
DENSE, SPARSE = "similarity.npy", "similarity.npz"


def dense(matrix: SimilarityMatrix) -> npt.NDArray[Any]:
    """Make an array of a block of similarities, with 0 for absent pairs.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> dense(csr_array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])[[0]][:, [1, 2]])
    array([[0.5, 0. ]])
    """
    return matrix if isinstance(matrix, np.ndarray) else np.asarray(matrix.toarray())


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
    matrix: SimilarityMatrix

    def write(self, folder: Path) -> None:
        """Write artists.csv and similarity.npy, or similarity.npz if sparse."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artists(self.artists, temporary / "artists.csv")
            if isinstance(self.matrix, np.ndarray):
                np.save(temporary / DENSE, self.matrix, allow_pickle=False)
            else:
                from scipy.sparse import save_npz

                save_npz(temporary / SPARSE, self.matrix)
            write_checksums(temporary)

    @staticmethod
    def file(folder: Path) -> Path:
        """Find the file of the matrix in a folder written by `write`."""
        path = folder / SPARSE
        return path if path.exists() else folder / DENSE

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
            Missing, changed since it was written, damaged, or of no artist.
        """
        artists = read_artists(folder / "artists.csv", REMEDY, may_be_empty=may_be_empty)
        path = require(Similarity.file(folder), REMEDY)
        verify_checksums(folder, [path.name], REMEDY)
        try:
            matrix = (
                _read_sparse(path) if path.name == SPARSE else np.load(path, allow_pickle=False)
            )
        except NOT_ARRAYS as error:
            raise DataError(
                path, f"is not an array ({one_line(str(error))})", remedy=REMEDY
            ) from error
        n = len(artists)
        if matrix.shape != (n, n) or matrix.dtype != np.float32:
            found = f"is {matrix.dtype} {matrix.shape}"
            raise DataError(path, found, expected=f"float32 {(n, n)}", remedy=REMEDY)
        return Similarity(artists=artists, matrix=matrix)


def _read_sparse(path: Path) -> "csr_array":
    """Read a sparse array in which every artist has itself; a ValueError if it is none."""
    from scipy.sparse import csr_array, load_npz

    with path.open("rb") as file:  # which stays open if it is damaged and scipy opened it
        matrix = csr_array(load_npz(file))
    matrix.check_format(full_check=True)
    if not (matrix.diagonal() == 1).all():
        raise ValueError("an artist's similarity with itself is not 1")
    return matrix
