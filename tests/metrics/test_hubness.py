"""Hubs counted by hand."""

import numpy as np
import pytest

from twinear.metrics.hubness import Hubness, hubness, k_occurrence
from twinear.metrics.ranking_metrics import Floats, others


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def star() -> Floats:
    """Everyone finds artist 0 nearest; artist 0 finds artist 1 nearest."""
    scores = np.zeros((5, 5))
    scores[:, 0] = 1
    scores[0, 1] = 1
    return scores


def test_a_star_has_one_hub() -> None:
    found = k_occurrence(star(), others(5), 1, rng())
    np.testing.assert_array_equal(found, [4, 1, 0, 0, 0])


def test_the_hubness_of_a_star_is_hand_counted() -> None:
    found = hubness(star(), rng(), k=1)
    # Occurrences 4 1 0 0 0: mean 1, squares 9 0 1 1 1, cubes 27 0 -1 -1 -1.
    assert found.k_occurrence_skew == pytest.approx((24 / 5) / (12 / 5) ** 1.5, abs=1e-12)
    assert (found.largest_hub, found.never_recommended) == (4 / 5, 3 / 5)


def test_a_ring_has_no_hub() -> None:
    ring = np.roll(np.eye(6), 1, axis=1)  # everyone finds the next artist nearest
    assert hubness(ring, rng(), k=1) == Hubness(
        k_occurrence_skew=0.0, largest_hub=1 / 6, never_recommended=0.0
    )


def test_k_is_capped_by_the_other_artists() -> None:
    assert hubness(rng(1).random((4, 4)), rng(), k=10).largest_hub == 3 / 4


def test_a_constant_score_has_no_hubs_to_speak_of() -> None:
    found = hubness(np.zeros((300, 300)), rng())
    assert abs(found.k_occurrence_skew) < 1
    assert found.largest_hub < 0.1
    assert found.never_recommended < 0.01
