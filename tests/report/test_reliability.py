"""Reliability: bins hold every pair once; the error is 0 only for scores taken at their word."""

import numpy as np
import pytest

from twinear.report.reliability import calibration_error, reliability


def test_scores_that_are_the_similarity_lie_on_the_line() -> None:
    similarity = np.random.default_rng(1).random((30, 30))
    bins = reliability(similarity, similarity)
    np.testing.assert_allclose(bins["score"], bins["similarity"])
    assert bins["pairs"].sum() == 30 * 29 // 2
    assert calibration_error(bins) == 0


def test_a_small_case_is_as_counted_by_hand() -> None:
    scores = [[1, 0.75, 0.1], [0.75, 1, 0.71], [0.1, 0.71, 1]]
    similarity = [[0, 0.5, 0.3], [0.3, 0, 0.6], [0.3, 0.6, 0]]  # two directions of the first pair
    bins = reliability(scores, similarity)
    np.testing.assert_allclose(bins["score"], [0.1, 0.73])
    np.testing.assert_allclose(bins["similarity"], [0.3, 0.5])
    assert list(bins["pairs"]) == [1, 2]
    assert calibration_error(bins) == pytest.approx((0.2 + 2 * 0.23) / 3)


def test_scores_at_the_ends_have_a_bin() -> None:
    bins = reliability([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.zeros((3, 3)))
    assert list(bins["pairs"]) == [2, 1]
