"""The deletion test: faithful explanations pass, others do not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.planted_catalogue import PLAIN
from tests.support.scorers import ALONE, FRONT, JOINED, clip_spectrograms, small_scorer
from twinear.base.errors import DataError
from twinear.catalogue.building import score_catalogue
from twinear.model.scorer import Scorer
from twinear.recommendation.faithfulness import compare_falls, deletion_test, nearest_pairs
from twinear.spectrograms.front_end import SpectrogramsParams

RANDOM = np.random.default_rng(0)
FALLS = RANDOM.normal(size=(200, 7))
NOISY = FALLS + 0.3 * RANDOM.normal(size=FALLS.shape)  # contributions that nearly say the falls


def fitted_scorer(front: SpectrogramsParams = FRONT, n_dims: int = 0, **changes: Any) -> Scorer:
    """A scorer whose axes are those of random clips."""
    scorer = small_scorer(front=front, n_dims=n_dims, statistics_units=32, **changes)
    branch, clips = scorer.net.statistics, clip_spectrograms(20, front, n_dims)
    if branch is not None:
        x, joined = (
            torch.from_numpy(np.asarray(each, np.float32)) for each in (clips.values, clips.joined)
        )
        branch.fit(branch.statistics(x, joined), torch.arange(20))
    return Scorer.from_net(scorer.net, front, scorer.model)


def all_pairs(n: int) -> np.ndarray:
    return np.argwhere(~np.eye(n, dtype=bool))


def test_contributions_that_say_the_falls_pass() -> None:
    test = compare_falls(NOISY, FALLS, np.arange(200), seed=1)
    assert test.top_minus_other.low > 1
    assert test.top_over_other.low > 0.8
    assert test.bottom.high < test.other.low < test.other.high < test.top.low
    assert test.top.value <= test.largest.value


def test_shuffled_contributions_are_found_out() -> None:
    shuffled = np.random.default_rng(2).permuted(NOISY, axis=1)
    test = compare_falls(shuffled, FALLS, np.arange(200), seed=1)
    assert test.top_minus_other.low < 0 < test.top_minus_other.high
    assert test.top_over_other.low < 0.5 < test.top_over_other.high


def test_opposite_contributions_are_worse_than_random_ones() -> None:
    test = compare_falls(-NOISY, FALLS, np.arange(200), seed=1)
    assert test.top_minus_other.high < -1
    assert test.top.high < test.bottom.low


def test_pairs_of_the_same_clip_are_one_draw() -> None:
    """Ten copies of every pair say no more than one."""
    once = compare_falls(NOISY, FALLS, np.arange(200), seed=1)
    queries = np.repeat(np.arange(200), 10)
    copies = compare_falls(NOISY[queries], FALLS[queries], queries, seed=1)
    assert copies.pairs == 2000
    assert copies.top_minus_other.low == pytest.approx(once.top_minus_other.low)
    assert copies.top_minus_other.high == pytest.approx(once.top_minus_other.high)


@pytest.mark.parametrize(("front", "n_dims"), [(FRONT, 0), (JOINED, 3)])
@pytest.mark.parametrize("branches", ["statistics", "both"])
def test_the_decomposition_passes_in_a_network(
    front: SpectrogramsParams, n_dims: int, branches: str
) -> None:
    scorer = fitted_scorer(front, n_dims, branches=branches)
    test = deletion_test(scorer, clip_spectrograms(20, front, n_dims), all_pairs(20), seed=1)
    assert test is not None
    assert test.pairs == 380
    assert test.top_minus_other.low > 0
    assert test.top_over_other.low > 0.6
    assert test.bottom.high < test.other.low


def test_pairs_name_rows_in_any_order() -> None:
    """Also where not all rows are in a pair: each pair alone has the mean of all of them."""
    scorer, clips = fitted_scorer(), clip_spectrograms(20)
    pairs = np.array([[7, 3], [3, 12], [18, 7]])
    whole = deletion_test(scorer, clips, pairs, seed=1)
    alone = [deletion_test(scorer, clips, pair[None], seed=1) for pair in pairs]
    assert whole is not None
    falls = [test.top.value for test in alone if test is not None]
    assert whole.top.value == pytest.approx(np.mean(falls))
    assert np.ptp(falls) > 0


@pytest.mark.parametrize(
    ("front", "n_dims", "changes"),
    [
        (FRONT, 0, {"head": "l1"}),
        (FRONT, 0, {"branches": "convolutions"}),
        (ALONE, 5, {"branches": "statistics"}),
    ],
)
def test_without_two_blocks_or_the_cosine_there_is_nothing_to_test(
    front: SpectrogramsParams, n_dims: int, changes: dict[str, Any]
) -> None:
    scorer = fitted_scorer(front, n_dims, **changes)
    clips = clip_spectrograms(3, front, n_dims)
    assert deletion_test(scorer, clips, all_pairs(3), seed=1) is None


def test_spectrograms_of_another_front_end_are_refused() -> None:
    other = FRONT.model_copy(update={"n_frames": 32})
    with pytest.raises(DataError, match=r"n_frames 32, .*n_frames 64"):
        deletion_test(fitted_scorer(), clip_spectrograms(3, other), all_pairs(3), seed=1)


def test_a_clip_is_paired_with_the_most_similar_one_of_another_artist() -> None:
    clips = clip_spectrograms(4)
    owners = ["b", "a", "b", "c"]
    clips = replace(clips, clips=clips.clips.assign(artist=owners))
    scorer = fitted_scorer()
    pairs = nearest_pairs(scorer, clips, score_catalogue(clips, scorer, PLAIN), [0, 1])
    embeddings = scorer.encode_spectrograms(clips)
    scores = scorer.score(embeddings, embeddings)
    assert [first for first, _ in pairs.tolist()] == [1, 0, 2]  # of a, then of b
    for first, second in pairs.tolist():
        others = [row for row in range(4) if owners[row] != owners[first]]
        assert second == max(others, key=lambda row: scores[first, row])
