"""Popularity taken out of the similarity: what it alone explains is gone, the rest stays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import others


def similarity(seed: int, n: int = 9) -> np.ndarray:
    values = np.random.default_rng(seed).random((n, n))
    return (values + values.T) / 2


def test_what_popularity_alone_explains_becomes_nearly_equal() -> None:
    fame = np.linspace(1, 10, 200)
    corrected = popularity_corrected(np.outer(fame, fame))[others(200)]
    assert corrected.max() / corrected.min() < 1.25
    plain = np.outer(fame, fame)[others(200)]
    assert plain.max() / plain.min() > 50


def test_a_small_case_is_as_counted_by_hand() -> None:
    # means over three columns, the diagonal 0: 1, 2/3, 1
    corrected = popularity_corrected([[9, 1, 2], [1, 9, 1], [2, 1, 9]])
    expected = np.array([[0, 1.5, 2], [1.5, 0, 1.5], [2, 1.5, 0]]) / 2
    np.testing.assert_allclose(corrected, expected)


@given(st.integers(0, 2**32 - 1))
def test_it_is_symmetric_in_0_to_1_and_knows_no_labels(seed: int) -> None:
    values = similarity(seed)
    corrected = popularity_corrected(values)
    np.testing.assert_allclose(corrected, corrected.T)
    assert corrected.min() == 0
    assert corrected.max() == 1
    order = np.random.default_rng(seed).permutation(len(values))
    again = popularity_corrected(values[np.ix_(order, order)])
    np.testing.assert_allclose(again, corrected[np.ix_(order, order)])


def test_an_artist_similar_to_nobody_has_no_similarity_and_spoils_no_other() -> None:
    values = similarity(1)
    values[4] = values[:, 4] = 0
    corrected = popularity_corrected(values)
    assert not corrected[4].any()
    assert np.isfinite(corrected).all()
    assert not popularity_corrected(np.zeros((3, 3))).any()
