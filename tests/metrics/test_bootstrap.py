"""Intervals that can be known beforehand."""

import numpy as np
import pytest

from twinear.metrics.bootstrap import band, bootstrap, resamples


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_resample_draws_as_many_queries_as_there_are() -> None:
    drawn = resamples(7, 50, rng())
    assert drawn.shape == (50, 7)
    assert (drawn.sum(axis=1) == 7).all()


def test_the_interval_of_many_queries_is_that_of_the_normal_distribution() -> None:
    values = rng(1).standard_normal((2000, 1))
    (found,) = bootstrap(values, resamples(2000, 4000, rng()), 0.95)
    error = 1.96 * values.std() / 2000**0.5
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert found.low == pytest.approx(values.mean() - error, abs=error / 10)
    assert found.high == pytest.approx(values.mean() + error, abs=error / 10)


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    values, drawn = rng(1).random((30, 1)), resamples(30, 500, rng())
    (narrow,), (wide,) = (bootstrap(values, drawn, confidence) for confidence in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_queries_that_are_all_alike_leave_no_doubt() -> None:
    (found,) = bootstrap(np.full((9, 1), 0.25), resamples(9, 20, rng()), 0.95)
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_undefined_queries_count_for_nothing() -> None:
    values = np.array([[0.5], [np.nan], [0.5], [np.nan]])
    (found,) = bootstrap(values, resamples(4, 200, rng()), 0.95)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_a_constant_lead_has_no_width_though_the_systems_vary() -> None:
    values = rng(1).random((40, 1))
    lead = (values + 0.1) - values
    (found,) = bootstrap(lead, resamples(40, 300, rng()), 0.95)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_the_band_holds_the_middle_of_the_rankings() -> None:
    rankings = np.tile(np.arange(101.0)[:, None], (1, 3))  # 101 rankings of three queries
    found = band(rankings, 0.9)
    assert (found.value, found.low, found.high) == pytest.approx((50, 5, 95))
