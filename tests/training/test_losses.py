"""What is minimised: by hand for few artists, least where scores order artists as listens do."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import expit
from torch import Tensor

from twinear.metrics.ranking_metrics import others, query_ndcg, rank_truth
from twinear.similarity.similarity import dense
from twinear.training.losses import (
    OBJECTIVES,
    ObjectiveName,
    approx_ndcg,
    by_artist,
    calibration,
    listwise,
    mse,
    without_popularity,
)

TARGET = torch.tensor([[9.0, 0.6, 0.2], [0.6, 9.0, 0.0], [0.2, 0.0, 9.0]]).double()
LOGITS = torch.tensor([[7.0, 1.0, -1.0], [1.0, 7.0, 0.5], [-1.0, 0.5, 7.0]]).double()
ONE_EACH = torch.arange(3)


def symmetric(n: int, seed: int) -> Tensor:
    values = torch.rand(n, n, generator=torch.Generator().manual_seed(seed)).double()
    return (values + values.T) / 2


def test_mse_of_three_artists_by_hand() -> None:
    pairs = [(1.0, 0.6), (-1.0, 0.2), (0.5, 0.0)]  # each twice
    expected = sum((1 / (1 + math.exp(-logit)) - target) ** 2 for logit, target in pairs) / 3
    assert mse(LOGITS, ONE_EACH, TARGET).item() == pytest.approx(expected)


def test_mse_leaves_out_pairs_of_clips_of_one_artist() -> None:
    """Two clips of one artist, one of another: two pairs, there and back."""
    logits = torch.tensor([[0.0, 50.0, 1.0], [50.0, 0.0, 2.0], [1.0, 2.0, 0.0]])
    target = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    expected = ((1 / (1 + math.exp(-1)) - 0.5) ** 2 + (1 / (1 + math.exp(-2)) - 0.5) ** 2) / 2
    assert mse(logits, torch.tensor([0, 0, 1]), target).item() == pytest.approx(expected)


def test_listwise_of_three_artists_by_hand() -> None:
    first = -(0.6 * 1 + 0.2 * -1) / 0.8 + math.log(math.exp(1) + math.exp(-1))
    second = -1 + math.log(math.exp(1) + math.exp(0.5))
    third = 1 + math.log(math.exp(-1) + math.exp(0.5))
    expected = (first + second + third) / 3
    assert listwise(LOGITS, ONE_EACH, TARGET).item() == pytest.approx(expected)


def test_approx_ndcg_of_three_artists_by_hand() -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def discounted(gain: float, rank: float) -> float:
        return gain / math.log2(1 + rank)

    first = discounted(0.6, 1 + sigmoid(-2)) + discounted(0.2, 1 + sigmoid(2))
    second, third = discounted(0.6, 1 + sigmoid(-0.5)), discounted(0.2, 1 + sigmoid(1.5))
    ideal = discounted(0.6, 1) + discounted(0.2, 2), 0.6, 0.2
    shares = [a / b for a, b in zip((first, second, third), ideal, strict=True)]
    expected = 1 - sum(shares) / 3
    assert approx_ndcg(LOGITS, ONE_EACH, TARGET).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_clips_have_with_their_own_artist_does_not_matter(name: ObjectiveName) -> None:
    other, diagonal = LOGITS.clone().fill_diagonal_(-3), TARGET.clone().fill_diagonal_(0)
    objective = OBJECTIVES[name]
    assert objective(other, ONE_EACH, diagonal) == objective(LOGITS, ONE_EACH, TARGET)


@pytest.mark.parametrize("name", ["listwise", "approx_ndcg"])
def test_artists_similar_to_none_are_left_out(name: ObjectiveName) -> None:
    target = torch.zeros(4, 4).double()
    target[:3, :3] = TARGET
    logits = torch.full((4, 4), -1e6).double()  # out of the way of the others
    logits[:3, :3] = LOGITS
    objective = OBJECTIVES[name]
    expected = objective(LOGITS, ONE_EACH, TARGET)
    torch.testing.assert_close(objective(logits, torch.arange(4), target), expected)


@pytest.mark.parametrize("name", ["listwise", "approx_ndcg"])
def test_without_any_similarity_there_is_nothing_to_learn(name: ObjectiveName) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = OBJECTIVES[name](logits, ONE_EACH, torch.eye(3).double())
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_listwise_is_least_where_the_logit_is_the_logarithm_of_the_similarity() -> None:
    target = symmetric(6, 1) + 0.05
    best = target.log().requires_grad_()
    loss = listwise(best, torch.arange(6), target)
    loss.backward()
    assert best.grad is not None
    torch.testing.assert_close(best.grad, torch.zeros(6, 6).double(), rtol=0, atol=1e-9)
    for seed in range(5):
        other = target.log() + symmetric(6, seed + 10)
        assert listwise(other, torch.arange(6), target) > loss


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_right_order_costs_less_than_the_wrong_one(name: ObjectiveName) -> None:
    target = symmetric(6, 1)
    right = torch.logit(target.clamp(0.01, 0.99))
    objective = OBJECTIVES[name]
    assert objective(right, torch.arange(6), target) < objective(-right, torch.arange(6), target)


@given(n=st.integers(2, 9), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_approx_ndcg_is_one_minus_ndcg_where_scores_are_far_apart(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    target = symmetric(n, seed)
    orders = generator.permuted(np.tile(np.arange(n), (n, 1)), axis=1)
    logits = torch.from_numpy(100.0 * orders)
    truth = rank_truth(target.numpy(), others(n), 10, generator)
    exact = query_ndcg(truth, logits.numpy(), n, generator).mean()
    loss = approx_ndcg(logits, torch.arange(n), target)
    assert loss.item() == pytest.approx(1 - exact, abs=1e-6)


def test_several_clips_of_an_artist_are_averaged() -> None:
    scores = torch.tensor([[0.0, 0.2, 0.4], [0.2, 0.0, 0.8], [0.4, 0.8, 0.0]])
    mean = by_artist(scores, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(mean, torch.tensor([[0.1, 0.6], [0.6, 0.0]]))


@pytest.mark.parametrize("name", ["listwise", "approx_ndcg"])
def test_a_clip_given_twice_changes_nothing(name: ObjectiveName) -> None:
    artist_index, again = ONE_EACH, torch.tensor([0, 1, 2, 1])
    objective = OBJECTIVES[name]
    twice = objective(LOGITS[again][:, again], artist_index[again], TARGET)
    torch.testing.assert_close(twice, objective(LOGITS, artist_index, TARGET))


# --- popularity -------------------------------------------------------------------------------


def test_no_correction_leaves_every_similarity_what_it_is() -> None:
    target = 0.4 * symmetric(6, 1).numpy()
    apart = ~np.eye(6, dtype=bool)
    assert np.array_equal(without_popularity(target, 0.0)[apart], target[apart])


def test_similarity_that_is_all_popularity_becomes_the_same_for_all() -> None:
    """Of rank one but for the diagonal, so that no artist has a say over its own mean."""
    popularity = np.repeat([0.1, 0.5, 1.0], 200)
    corrected = without_popularity(np.outer(popularity, popularity), 1.0)
    apart = corrected[~np.eye(600, dtype=bool)]
    assert np.ptp(apart) < 0.01 * apart.max()


@given(strength=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_corrected_similarity_is_symmetric_and_as_large_as_before(
    strength: float, seed: int
) -> None:
    target = 0.8 * symmetric(7, seed).numpy()
    np.fill_diagonal(target, 1)
    corrected = without_popularity(target, strength)
    np.testing.assert_allclose(corrected, corrected.T)
    assert corrected.min() >= 0
    assert corrected.max() == pytest.approx(target[~np.eye(7, dtype=bool)].max())


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_sparse_similarity_is_corrected_as_a_dense_one(strength: float) -> None:
    target = symmetric(7, 3).numpy()
    target[target < 0.4] = 0
    np.fill_diagonal(target, 1)
    found = without_popularity(csr_array(target), strength)
    np.testing.assert_allclose(dense(found), without_popularity(target, strength), atol=1e-6)
    assert isinstance(found, csr_array)
    assert found.nnz == np.count_nonzero(target) - 7


def test_artists_similar_to_none_survive_the_correction() -> None:
    target = np.eye(5)
    target[0, 1] = target[1, 0] = 0.3
    for similarity in (target, np.eye(5)):
        assert np.isfinite(without_popularity(similarity, 1.0)).all()
    assert without_popularity(target, 1.0)[0, 1] == pytest.approx(0.3)


# --- calibration ------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.3, -2.0), (4.0, 1.0), (25.0, -20.0)])
def test_a_planted_slope_and_shift_are_found(slope: float, shift: float) -> None:
    logits = np.random.default_rng(1).normal(0.5, 1 / slope, 4000)
    found = calibration(logits, expit(slope * logits + shift))
    assert found == pytest.approx((slope, shift), rel=0.02, abs=0.02)


def test_noise_about_the_similarity_does_not_lead_astray() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1, 20000)
    similarity = np.clip(expit(1.5 * logits - 1) + rng.normal(0, 0.1, 20000), 0, 1)
    assert calibration(logits, similarity) == pytest.approx((1.5, -1), abs=0.1)


@pytest.mark.parametrize(
    ("logits", "similarity", "level"),
    [
        (np.full(50, 3.0), np.linspace(0, 0.4, 50), 0.2),
        (np.full(50, 1e5), np.full(50, 0.7), 0.7),
        (np.linspace(-9, 9, 50), np.zeros(50), 0.0),
        (np.linspace(-9, 9, 50), np.ones(50), 1.0),
        (np.linspace(-9, 9, 50), np.linspace(0.6, 0.4, 50), 0.5),  # the wrong way round
    ],
    ids=["equal logits", "equal and large", "no similarity", "all alike", "upside down"],
)
def test_what_cannot_be_calibrated_ends_at_the_mean_and_upright(
    logits: np.ndarray, similarity: np.ndarray, level: float
) -> None:
    slope, shift = calibration(logits, similarity)
    assert slope > 0
    assert np.isfinite(shift)
    assert expit(slope * logits + shift).mean() == pytest.approx(level, abs=0.02)
