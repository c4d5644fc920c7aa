"""The calibration curve: it rises strictly, recovers what was planted, and survives any pairs."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit

from twinear.catalogue.calibration import SLOPES, Calibration, fit_calibration
from twinear.report.reliability import calibration_error, reliability

Doubles = npt.NDArray[np.float64]

N_PAIRS = 4000


def planted(seed: int = 0) -> tuple[Doubles, Doubles, Doubles]:
    """Skewed totals, their expected similarity, and similarities that scatter around it."""
    rng = np.random.default_rng(seed)
    totals = rng.gamma(2.0, 2.0, N_PAIRS) - 3.0
    expected = expit(1.8 * np.arcsinh((totals - 1.0) / 3.0) - 2.5)
    return totals, expected, rng.beta(4 * expected, 4 * (1 - expected))


def assert_strictly_rising(calibration: Calibration, totals: Doubles) -> None:
    """In (0, 1), within the totals and five deviations beyond them."""
    margin = 5 * calibration.deviation
    grid = np.linspace(totals.min() - margin, totals.max() + margin, 2001)
    similarity = calibration.apply(grid)
    assert similarity.dtype == np.float64
    assert similarity[0] > 0
    assert similarity[-1] < 1
    assert np.diff(similarity).min() > 0


@given(
    pairs=st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            arrays.arrays(np.float64, n, elements=st.floats(-100, 100, width=32)),
            arrays.arrays(np.float64, n, elements=st.floats(0, 1) | st.sampled_from([0.0, 1.0])),
        )
    )
)
def test_a_higher_total_always_gets_a_higher_similarity(pairs: tuple[Doubles, Doubles]) -> None:
    totals, similarity = pairs
    assert_strictly_rising(fit_calibration(totals, similarity), totals)


def test_totals_that_differ_in_single_precision_differ_after_calibration() -> None:
    totals, _, similarity = planted()
    calibration = fit_calibration(totals, similarity)
    steps = np.arange(-500, 500, dtype=np.int32)
    for total in (-2.5, 0.7, 5.0, 30.0):
        near = np.sort((np.float32(total).view(np.int32) + steps).view(np.float32))
        assert np.diff(calibration.apply(near)).min() > 0


def test_a_planted_curve_is_recovered() -> None:
    totals, expected, similarity = planted()
    for seen, largest in ((expected, 0.01), (similarity, 0.04)):
        # another mean and deviation than those of the totals were planted, so not exactly
        error = np.abs(fit_calibration(totals, seen).apply(totals) - expected)
        assert error.max() < largest
        assert error.mean() < largest / 5


def test_a_curve_of_its_own_family_is_recovered_exactly() -> None:
    totals, _, _ = planted()
    truth = Calibration(
        mean=float(totals.mean()), deviation=float(totals.std()), slope=2.0, intercept=-3.0
    )
    fitted = fit_calibration(totals, truth.apply(totals))
    assert fitted.slope == pytest.approx(2.0, rel=0.01)
    assert fitted.intercept == pytest.approx(-3.0, rel=0.01)


def test_unit_and_origin_of_the_totals_do_not_matter() -> None:
    totals, _, similarity = planted()
    first = fit_calibration(totals, similarity).apply(totals)
    other = fit_calibration(7 * totals + 40, similarity).apply(7 * totals + 40)
    np.testing.assert_allclose(first, other, rtol=1e-6)


def test_calibrated_scores_have_the_mean_of_the_similarity() -> None:
    totals, _, similarity = planted()
    calibrated = fit_calibration(totals, similarity).apply(totals)
    assert calibrated.mean() == pytest.approx(similarity.mean(), abs=2e-4)  # Laplace's two pairs


def test_calibration_makes_pairs_it_has_not_seen_more_reliable() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 2.0, (60, 60)) - 3.0
    totals = (values + values.T) / 2
    expected = expit(1.8 * np.arcsinh((totals - 1.0) / 3.0) - 2.5)
    drawn = rng.beta(4 * expected, 4 * (1 - expected))
    similarity = (np.triu(drawn) + np.triu(drawn, 1).T).astype(np.float64)
    seen = np.triu_indices(30, 1)
    calibrated = fit_calibration(totals[seen], similarity[seen]).apply(totals)
    new = slice(30, 60)

    def error(scores: Doubles) -> float:
        return calibration_error(reliability(scores[new, new], similarity[new, new]))

    assert error(calibrated) < 0.03
    assert error(expit(totals)) > 0.2


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_one_pair_says_little(level: float) -> None:
    calibration = fit_calibration([2.5], [level])
    assert calibration.apply(2.5) == pytest.approx((level + 1) / 3)
    assert_strictly_rising(calibration, np.array([2.5]))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_constant_similarity_is_what_all_scores_say(level: float) -> None:
    totals, _, _ = planted()
    calibration = fit_calibration(totals, np.full(N_PAIRS, level))
    assert calibration.slope == pytest.approx(SLOPES[0])
    assert np.abs(calibration.apply(totals) - level).max() < 0.01
    assert_strictly_rising(calibration, totals)


def test_constant_totals_get_the_mean_similarity() -> None:
    _, _, similarity = planted()
    calibration = fit_calibration(np.full(N_PAIRS, 0.1, np.float32), similarity)
    assert calibration.apply(np.float32(0.1)) == pytest.approx(similarity.mean(), abs=1e-3)
    assert_strictly_rising(calibration, np.array([-3.0, 3.0]))


def test_totals_that_separate_0_from_1_do_not_end_in_ties() -> None:
    totals = np.linspace(-4, 4, N_PAIRS)
    calibration = fit_calibration(totals, (totals > 0.5).astype(np.float64))
    assert calibration.slope == SLOPES[1]
    assert calibration.apply(-0.5) < 0.2
    assert calibration.apply(1.5) > 0.8
    assert_strictly_rising(calibration, totals)


def test_totals_that_fall_with_similarity_still_rise_a_little() -> None:
    totals, _, similarity = planted()
    calibration = fit_calibration(-totals, similarity)
    assert calibration.slope == pytest.approx(SLOPES[0])
    assert_strictly_rising(calibration, -totals)


def test_without_pairs_a_total_of_0_is_a_half() -> None:
    calibration = fit_calibration([], [])
    assert calibration.apply(0.0) == 0.5
    assert_strictly_rising(calibration, np.array([-9.0, 9.0]))


def test_totals_without_bound_stay_between_0_and_1() -> None:
    totals, _, similarity = planted()
    far = fit_calibration(totals, similarity).apply([-1e300, -1e30, 1e30, 1e300])
    assert 0 < far[0] <= far[1] < far[2] <= far[3] < 1


def test_a_calibration_survives_json() -> None:
    totals, _, similarity = planted()
    calibration = fit_calibration(totals, similarity)
    again = Calibration(**json.loads(json.dumps(asdict(calibration))))
    assert again == calibration
    assert np.array_equal(again.apply(totals), calibration.apply(totals))


def test_a_calibration_is_applied_without_slow_imports() -> None:
    code = (
        "import sys; from twinear.catalogue.calibration import Calibration;"
        "Calibration(mean=0.0, deviation=1.0, slope=1.0, intercept=0.0).apply([0.5]);"
        "slow = {'pandas', 'sklearn', 'torch', 'scipy.optimize', 'scipy.stats'};"
        "print(*(slow & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
