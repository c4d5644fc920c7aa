"""Similarities of neighbours only: those of all pairs where all are kept, and 0 where not."""

from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.sparse import csr_array, load_npz, save_npz

from tests.conftest import PARAMS
from tests.similarity.test_similarity import listens
from tests.support.checksums import forget_checksums
from twinear.base.errors import DataError, ParamsError
from twinear.base.params import read_params
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import Measure, SimilarityParams
from twinear.similarity.similarity import Similarity, dense

N_ARTISTS = 25


def plays(share: float = 0.1, n_listeners: int = 30) -> npt.NDArray[np.int64]:
    """Count plays at random; the artists have ever fewer listeners, as in `Listens`."""
    rng = np.random.default_rng(5)
    heard = rng.random((n_listeners, N_ARTISTS)) < np.linspace(3 * share, share, N_ARTISTS)
    heard[rng.integers(0, n_listeners, N_ARTISTS), np.arange(N_ARTISTS)] = True
    counted = heard * rng.integers(1, 30, heard.shape)
    return counted[:, np.argsort(-heard.sum(axis=0), kind="stable")]


def compared(
    counts: npt.NDArray[np.int64], measure: Measure, neighbours: int, dense_below: int = 0
) -> Similarity:
    changes = {"measure": measure, "neighbours": neighbours, "dense_below": dense_below}
    params = read_params("similarity", SimilarityParams, PARAMS).model_copy(update=changes)
    everyone = listens(counts)
    return compute_similarity(everyone, list(everyone.artists["artist"]), params)


@pytest.mark.parametrize("measure", get_args(Measure))
@pytest.mark.parametrize("share", [0.1, 0.6])  # of 0.6 every two artists share a listener
def test_with_all_neighbours_it_is_the_similarity_of_all_pairs(
    measure: Measure, share: float
) -> None:
    counts = plays(share)
    sparse, whole = (compared(counts, measure, N_ARTISTS, below) for below in (0, N_ARTISTS + 1))
    assert isinstance(sparse.matrix, csr_array)
    assert isinstance(whole.matrix, np.ndarray)
    assert sparse.matrix.dtype == whole.matrix.dtype == np.float32
    np.testing.assert_allclose(dense(sparse.matrix), whole.matrix, atol=1e-5)
    assert list(sparse.artists["artist"]) == list(whole.artists["artist"])


@pytest.mark.parametrize("measure", ["minimum", "asymmetric"])
def test_a_pair_is_kept_if_one_of_the_two_is_a_neighbour_of_the_other(measure: Measure) -> None:
    counts = plays()
    whole = dense(compared(counts, measure, 3, N_ARTISTS + 1).matrix)
    few = dense(compared(counts, measure, 3).matrix)
    kept = few > 0
    assert np.array_equal(kept, kept.T)
    apart = np.where(np.eye(N_ARTISTS, dtype=bool), 0, whole)
    assert kept.sum() - N_ARTISTS <= 6 * N_ARTISTS < np.count_nonzero(apart)
    clearly = apart > np.sort(apart, axis=1)[:, [-4]]  # among three, whatever the ties
    assert kept[clearly].all()
    np.testing.assert_allclose(few[kept], whole[kept], rtol=1e-5)


def test_an_artist_without_neighbours_is_similar_to_itself_alone(tmp_path: Path) -> None:
    counts = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 7]])
    compared(counts, "minimum", 2).write(tmp_path / "s")
    read = dense(Similarity.read(tmp_path / "s").matrix)
    assert read[3].tolist() == read[:, 3].tolist() == [0, 0, 0, 1]


def test_a_sparse_similarity_survives_writing(tmp_path: Path) -> None:
    written = compared(plays(), "minimum", 3)
    written.write(tmp_path / "s")
    read = Similarity.read(tmp_path / "s")
    pd.testing.assert_frame_equal(read.artists, written.artists)
    assert isinstance(read.matrix, csr_array)
    assert np.array_equal(dense(read.matrix), dense(written.matrix))
    compared(plays(), "minimum", 3, N_ARTISTS + 1).write(tmp_path / "s")
    assert isinstance(Similarity.read(tmp_path / "s").matrix, np.ndarray)


def test_damaged_neighbours_are_refused(tmp_path: Path) -> None:
    compared(plays(), "minimum", 3).write(tmp_path / "s")
    forget_checksums(tmp_path / "s")
    path = tmp_path / "s/similarity.npz"
    matrix = csr_array(load_npz(path))
    save_npz(path, matrix.astype(np.float64))
    with pytest.raises(DataError, match=r"npz: is float64 .*expected float32.*dvc repro"):
        Similarity.read(tmp_path / "s")
    for broken in ("row", "itself"):
        changed = matrix.copy()
        if broken == "row":
            changed.indices[0] = N_ARTISTS
        else:
            changed.setdiag(0)
        save_npz(path, changed)
        with pytest.raises(DataError, match=r"npz: is not an array.*dvc repro similarity"):
            Similarity.read(tmp_path / "s")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"npz: is not an array"):
        Similarity.read(tmp_path / "s")


def test_too_many_artists_need_neighbours() -> None:
    with pytest.raises(ParamsError, match=r"similarity\.neighbours: found 0 with 25 artists"):
        compared(plays(), "minimum", 0)


def test_artists_that_are_all_equally_similar_are_an_error_too() -> None:
    with pytest.raises(DataError, match=r"3 artists are equally similar \(1\)"):
        compared(np.ones((4, 3), np.int64), "minimum", 9)
    with pytest.raises(DataError, match=r"equally similar \(0\)"):
        compared(np.eye(3, dtype=np.int64), "minimum", 9)
