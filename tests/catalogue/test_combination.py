"""What enters beside the sound: hubs, the company of known artists, popularity, calibration."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import skew, spearmanr

from twinear.catalogue.calibration import calibrate
from twinear.catalogue.collaborative import KnownArtists, TrainingArtists
from twinear.catalogue.combination import CombinationParams, combine, undo_standardisation
from twinear.catalogue.csls import Floats
from twinear.similarity.similarity import Similarity
from twinear.split import Split

N = 40


def params(**changes: float) -> CombinationParams:
    nothing = {
        "csls_weight": 0.0,
        "collaborative_weight": 0.0,
        "collaborative_inverse_temperature": 1.0,
    }
    return CombinationParams(**{**nothing, "popularity_weight": 0.0, **changes})


def sounds(n: int = N, seed: int = 0) -> Floats:
    values = np.random.default_rng(seed).normal(-1, 1, (n, n))
    return expit((values + values.T) / 2).astype(np.float32)


def known(n: int = 25, n_validation: int = 8, seed: int = 0) -> KnownArtists:
    """Of `N` artists, some at scattered rows."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (n, n)) ** 3
    return KnownArtists(
        rows=rng.permutation(N)[:n],
        similarity=(values + values.T) / 2,
        listeners=rng.integers(2, 1000, n),
        validation=np.arange(n) >= n - n_validation,
    )


def others(n: int) -> np.ndarray:
    return ~np.eye(n, dtype=bool)


def test_with_nothing_added_the_sound_comes_back() -> None:
    for some in (None, known()):
        combined = combine(sounds(), params(), some)
        np.testing.assert_allclose(
            undo_standardisation(combined, sounds(), some), sounds(), atol=1e-6
        )


def test_combined_scores_are_in_deviations_of_the_sound_of_the_known() -> None:
    some = known()
    combined = combine(sounds(), params(), some)
    among = combined[np.ix_(some.rows, some.rows)][others(25)]
    assert among.mean() == pytest.approx(0, abs=1e-5)
    assert among.std() == pytest.approx(1, abs=1e-5)


def test_a_planted_hub_is_taken_down() -> None:
    planted = logit(sounds())
    planted[:, 7] += 1.5  # sounds like everyone
    planted[7] += 1.5

    def occurrence(weight: float) -> np.ndarray:
        """How often each artist is among the five nearest of another."""
        combined = combine(expit(planted), params(csls_weight=weight), None)
        np.fill_diagonal(combined, -np.inf)
        return np.bincount(np.argsort(-combined, axis=1)[:, :5].ravel(), minlength=N)

    assert occurrence(0.0)[7] > 0.8 * N
    assert occurrence(0.5)[7] < 0.6 * N
    assert skew(occurrence(1.0)) < skew(occurrence(0.5)) < skew(occurrence(0.0))


def test_without_popularity_scores_are_symmetric() -> None:
    combined = combine(sounds(), params(csls_weight=0.5, collaborative_weight=2.0), known())
    np.testing.assert_allclose(combined, combined.T, atol=1e-5)


def test_the_company_of_two_known_artists_is_their_similarity() -> None:
    some, flat = known(), np.full((N, N), 0.3, np.float32)  # sound says nothing
    among = combine(flat, params(collaborative_weight=1.0), some)[np.ix_(some.rows, some.rows)]
    apart = some.similarity[others(25)]
    np.testing.assert_allclose(among[others(25)], apart / apart.std(), rtol=1e-5)


def test_a_new_artist_that_sounds_like_a_known_one_gets_its_company() -> None:
    some = known()
    new = int(np.setdiff1d(np.arange(N), some.rows)[0])
    like = int(some.rows[3])
    sound = np.full((N, N), 0.2, np.float32)
    sound[new, like] = sound[like, new] = 0.9
    combined = combine(
        sound, params(collaborative_weight=1.0, collaborative_inverse_temperature=50.0), some
    )
    company = combined - combine(sound, params(), some)
    rest = np.delete(some.rows, 3)
    np.testing.assert_allclose(company[new, rest], company[like, rest], rtol=1e-4)


def test_two_new_artists_get_the_company_that_those_they_sound_like_keep() -> None:
    some = known()
    first, second = np.setdiff1d(np.arange(N), some.rows)[:2]
    sound = np.full((N, N), 0.2, np.float32)
    for new, like in ((first, some.rows[3]), (second, some.rows[5])):
        sound[new, like] = sound[like, new] = 0.9
    combined = combine(
        sound, params(collaborative_weight=1.0, collaborative_inverse_temperature=50.0), some
    )
    expected = combined[some.rows[3], some.rows[5]]
    assert combined[first, second] == pytest.approx(expected, rel=1e-4)


def test_popularity_raises_popular_known_candidates_only() -> None:
    some = known()
    raised = combine(sounds(), params(popularity_weight=1.0), some) - combine(
        sounds(), params(), some
    )
    unknown = np.setdiff1d(np.arange(N), some.rows)
    assert not raised[:, unknown].any()
    assert np.ptp(raised, axis=0).max() < 1e-5  # the same for every query
    of_known = raised[0, some.rows]
    assert np.array_equal(np.argsort(of_known), np.argsort(some.listeners))
    assert of_known.mean() == pytest.approx(0, abs=1e-5)
    assert of_known.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_known_artists_survive(n: int) -> None:
    few = known(n=n, n_validation=0)
    everything = params(csls_weight=1.0, collaborative_weight=2.0, popularity_weight=1.0)
    combined = combine(sounds(), everything, few)
    assert np.isfinite(combined).all()
    assert np.isfinite(undo_standardisation(combined, sounds(), few)).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_artists_survive(n: int) -> None:
    combined = combine(sounds(n), params(csls_weight=1.0), None)
    assert np.isfinite(undo_standardisation(combined, sounds(n), None)).all()


def test_sound_that_is_the_same_for_all_survives() -> None:
    for level in (0.0, 0.5, 1.0):
        same = np.full((N, N), level, np.float32)
        combined = combine(same, params(csls_weight=1.0, collaborative_weight=1.0), known())
        assert np.isfinite(combined).all()


# --- who may be known -------------------------------------------------------------------------


def listened(matrix: np.ndarray, listeners: np.ndarray) -> TrainingArtists:
    ids = [f"a{i}" for i in range(len(matrix))]
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": listeners})
    splits = ["train", "test", "validation"] * (len(ids) // 3)
    table = pd.DataFrame({"artist": ids, "name": ids, "split": splits})
    return TrainingArtists.from_split(
        Similarity(artists=artists.assign(plays=1), matrix=matrix), Split(artists=table)
    )


def test_listens_of_test_artists_are_not_there_to_be_used() -> None:
    rng = np.random.default_rng(1)
    matrix, listeners = rng.random((9, 9), dtype=np.float32), rng.integers(1, 99, 9)
    before = listened(matrix, listeners)
    assert before.artists == ["a0", "a3", "a6", "a2", "a5", "a8"]
    assert before.validation.tolist() == [False] * 3 + [True] * 3
    assert np.array_equal(before.listeners, listeners[[0, 3, 6, 2, 5, 8]])
    test = [1, 4, 7]
    matrix[test], matrix[:, test], listeners[test] = 0.123, 0.456, 10**6
    after = listened(matrix, listeners)
    assert np.array_equal(after.similarity, before.similarity)
    assert np.array_equal(after.listeners, before.listeners)


def test_known_artists_without_clips_are_left_out() -> None:
    rng = np.random.default_rng(1)
    every = listened(rng.random((9, 9), dtype=np.float32), rng.integers(1, 99, 9))
    found = every.locate(pd.Series(["zz", "a5", "a1", "a0", "a3"]))
    assert found.rows.tolist() == [3, 4, 1]
    assert found.validation.tolist() == [False, False, True]
    kept = [0, 1, 4]
    assert np.array_equal(found.similarity, every.similarity[np.ix_(kept, kept)])
    train = found.select(~found.validation)
    assert train.rows.tolist() == [3, 4]
    assert np.array_equal(train.similarity, found.similarity[:2, :2])


# --- calibration ------------------------------------------------------------------------------


@given(scale=st.floats(0.1, 8), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_calibrated_scores_keep_the_order_and_lie_between_0_and_1(scale: float, seed: int) -> None:
    """Also beyond all that the validation artists have shown."""
    weights = params(csls_weight=0.5, collaborative_weight=scale)
    calibrated = calibrate(sounds(), known(seed=seed), weights)
    scores = combine(sounds(seed=seed + 1), weights, known(seed=seed))
    after = calibrated(scores)
    assert after.dtype == np.float32
    assert 0 <= after.min() <= after.max() <= 1
    order = np.argsort(scores.ravel())
    steps, rises = np.diff(scores.ravel()[order]), np.diff(after.ravel()[order])
    assert rises.min() >= 0
    assert rises[steps > 1e-3 * np.ptp(scores)].min() > 0


def test_similarity_that_follows_the_sound_is_what_calibrated_scores_say() -> None:
    sound = sounds(n=200)
    similarity = (logit(sound.astype(float)) + 6) ** 2 / 144
    some = KnownArtists(
        rows=np.arange(100),
        similarity=similarity[:100, :100],
        listeners=np.full(100, 5),
        validation=np.arange(100) >= 60,
    )
    scores = calibrate(sound, some, params())(combine(sound, params(), some))
    unknown = np.ix_(np.arange(100, 200), np.arange(100, 200))
    error = np.abs(scores[unknown] - similarity[unknown])[others(100)]
    assert error.mean() < 0.005
    assert np.quantile(error, 0.99) < 0.03


def test_noise_calibrates_to_the_mean_similarity() -> None:
    some = known(n=40, n_validation=20)
    scores = calibrate(sounds(), some, params())(combine(sounds(), params(), some))
    among = scores[np.ix_(some.rows, some.rows)][others(40)]
    assert among.mean() == pytest.approx(some.similarity[others(40)].mean(), abs=0.05)
    assert among.std() < 0.08


def test_the_listens_of_a_validation_query_do_not_calibrate_its_own_scores_upwards() -> None:
    """Were they used, company would be the truth and the curve a straight line up to it."""
    some = known(n=40, n_validation=20)
    weights = params(collaborative_weight=3.0)
    calibrated = calibrate(sounds(), some, weights)(combine(sounds(), weights, some))
    among = calibrated[np.ix_(some.rows, some.rows)]
    train = np.ix_(~some.validation, ~some.validation)
    apart = others(20)
    assert spearmanr(among[train][apart], some.similarity[train][apart]).statistic > 0.5
    assert among[train][apart].max() < 0.6 < some.similarity[train][apart].max()
