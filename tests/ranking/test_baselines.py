"""Baselines against their definitions, pair by pair."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from twinear.base.errors import DataError
from twinear.metrics.popularity import popularity_corrected
from twinear.metrics.ranking_metrics import Floats, Ints
from twinear.ranking import baselines
from twinear.ranking.baselines import (
    RIDGE,
    l2,
    mfcc,
    mutual_proximity,
    mutual_proximity_of_queries,
    popularity,
)

ARTIST_INDEX = np.array([0, 1, 1, 2, 3, 3, 3])  # the artist of each of seven clips


@pytest.fixture(params=[3, 512], ids=["many blocks", "one block"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "BLOCK", request.param)


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def mean_over_pairs(distance: Floats, artist_index: Ints) -> Floats:
    """The mean over clip pairs, one artist pair at a time."""
    artists = range(artist_index.max() + 1)
    return np.array(
        [
            [distance[np.ix_(artist_index == a, artist_index == b)].mean() for b in artists]
            for a in artists
        ]
    )


def divergence(p: tuple[Floats, Floats], q: tuple[Floats, Floats]) -> float:
    """KL(p, q) of two Gaussians (mean, covariance), by the textbook."""
    (mean, covariance), (other, its) = p, q
    inverse, apart = np.linalg.inv(its), other - mean
    log_ratio = np.linalg.slogdet(its)[1] - np.linalg.slogdet(covariance)[1]
    trace = np.trace(inverse @ covariance)
    return float((trace + apart @ inverse @ apart - len(mean) + log_ratio) / 2)


def test_popularity_is_the_same_for_every_query() -> None:
    np.testing.assert_array_equal(popularity([5, 2, 9]), [[5, 2, 9]] * 3)


@pytest.mark.usefixtures("_blocks")
def test_l2_is_minus_the_mean_distance_over_clip_pairs() -> None:
    spectrograms = rng().random((7, 4, 6)).astype(np.float16)  # (clips, n_mels, n_frames)
    flat = spectrograms.reshape(7, -1).astype(np.float64)
    expected = -mean_over_pairs(np.linalg.norm(flat[:, None] - flat, axis=2), ARTIST_INDEX)
    found = l2(spectrograms, ARTIST_INDEX)
    apart = ~np.eye(4, dtype=np.bool_)
    np.testing.assert_allclose(found[apart], expected[apart], rtol=1e-5)


def test_l2_by_hand() -> None:
    spectrograms = np.array([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 1.0]]])
    assert l2(spectrograms, np.array([0, 1, 0]))[0, 1] == pytest.approx(-(5 + 18**0.5) / 2)


@pytest.mark.usefixtures("_blocks")
def test_mfcc_is_minus_the_mean_symmetric_divergence_over_clip_pairs() -> None:
    means = 50 * rng().standard_normal((7, 3)) - 200
    factors = rng().standard_normal((7, 3, 9))
    covariances = factors @ factors.transpose(0, 2, 1)
    ridge = RIDGE * np.diag(np.diagonal(covariances, axis1=1, axis2=2).mean(axis=0))
    gaussians = [(mean, each + ridge) for mean, each in zip(means, covariances, strict=True)]
    both_ways = np.array(
        [[divergence(p, q) + divergence(q, p) for q in gaussians] for p in gaussians]
    )
    expected = -mean_over_pairs(both_ways, ARTIST_INDEX)
    np.testing.assert_allclose(
        mfcc(means, covariances, ARTIST_INDEX), expected, rtol=1e-9, atol=1e-9
    )


def test_mfcc_of_unit_gaussians_is_their_squared_distance() -> None:
    found = mfcc([[0.0], [3.0]], np.full((2, 1, 1), 1 / (1 + RIDGE)), np.array([0, 1]))
    assert found[0, 1] == pytest.approx(-9)


def test_mfcc_survives_a_clip_whose_frames_are_all_alike() -> None:
    covariances = np.stack([np.eye(3), np.zeros((3, 3))])
    assert np.isfinite(mfcc(np.zeros((2, 3)), covariances, np.array([0, 1]))).all()


def test_mutual_proximity_by_hand() -> None:
    """Count, for points at 0, 1, 3 and 7, the others that are farther from both."""
    points = np.array([0.0, 1.0, 3.0, 7.0])
    found = mutual_proximity(-np.abs(points[:, None] - points))
    # 0-1: 3 and 7 are farther from both. 0-3: 7. 1-3: 7, at 6 and 4. 3-7, four apart: nobody.
    expected = {(0, 1): 1, (0, 2): 0.5, (1, 2): 0.5, (0, 3): 0, (1, 3): 0, (2, 3): 0}
    for pair, value in expected.items():
        assert found[pair] == found[pair[::-1]] == value


def test_mutual_proximity_is_what_its_definition_counts() -> None:
    n = 9
    distance = rng().random((n, n))
    distance += distance.T
    found = mutual_proximity(-distance)
    for x in range(n):
        for y in set(range(n)) - {x}:
            third = [j for j in range(n) if j not in (x, y)]
            farther = [distance[x, j] > distance[x, y] < distance[y, j] for j in third]
            assert found[x, y] == pytest.approx(np.mean(farther))


def test_mutual_proximity_takes_a_hub_down() -> None:
    points = rng().standard_normal((60, 20))
    points[0] = points[1:].mean(axis=0)  # near to all
    scores = -np.linalg.norm(points[:, None] - points, axis=2)
    before, after = (
        np.sum(np.argsort(-each[1:], axis=1)[:, 1:6] == 0)
        for each in (scores, mutual_proximity(scores))
    )
    assert after < before / 2


def test_an_artist_without_clips_is_refused() -> None:
    with pytest.raises(DataError, match="artist 1: has no clip"):
        l2(np.zeros((2, 1, 1)), np.array([0, 2]))


@pytest.mark.usefixtures("_blocks")
def test_the_scores_of_queries_are_rows_of_those_of_all() -> None:
    spectrograms = rng().random((7, 4, 6)).astype(np.float16)
    means, queries = rng().normal(size=(7, 3)), np.array([1, 3])
    covariances = np.stack([np.cov(rng().normal(size=(3, 20))) for _ in range(7)])
    apart = queries[:, None] != np.arange(4)
    for every, some in (
        (l2(spectrograms, ARTIST_INDEX), l2(spectrograms, ARTIST_INDEX, queries)),
        (
            mfcc(means, covariances, ARTIST_INDEX),
            mfcc(means, covariances, ARTIST_INDEX, queries),
        ),
    ):
        np.testing.assert_allclose(some[apart], every[queries][apart], rtol=1e-5)
    np.testing.assert_array_equal(popularity([5, 2, 9], np.array([2])), [[5, 2, 9]])


def test_mutual_proximity_by_some_others_is_that_by_all_where_they_are_all() -> None:
    points = rng().normal(size=(20, 2))
    near = -np.linalg.norm(points[:, None] - points, axis=2)
    queries = np.array([3, 4, 17])
    expected = mutual_proximity(near)[queries]
    scores = near[queries].copy()
    np.fill_diagonal(near, np.inf)
    found = mutual_proximity_of_queries(scores, near[queries], near)
    apart = queries[:, None] != np.arange(20)
    np.testing.assert_allclose(found[apart], expected[apart])


def test_a_sparse_similarity_is_corrected_for_popularity_as_a_dense_one() -> None:
    similarity = rng().random((9, 9)) * (rng().random((9, 9)) < 0.5)
    similarity[4] = 0
    found = popularity_corrected(csr_array(similarity)).toarray()
    np.testing.assert_allclose(found, popularity_corrected(similarity), atol=1e-12)
