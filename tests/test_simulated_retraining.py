"""The benchmark of simulated retrainings: what it does to the listens."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.simulated_retraining import fewer, in_errors, shuffled
from scipy.sparse import csr_array

from twinear.listens.listens import Listens


@pytest.fixture(scope="module")
def listens() -> Listens:
    """60 artists, the first with the most listeners."""
    rng = np.random.default_rng(1)
    plays = csr_array((rng.random((500, 60)) < np.linspace(0.5, 0.1, 60)) * 3)
    listeners = np.bincount(plays.indices, minlength=60)
    order = np.argsort(-listeners, kind="stable")
    ids = [f"a{number:02}" for number in range(60)]
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": ids})
    artists["listeners"], artists["plays"] = listeners[order], 3 * listeners[order]
    return Listens(artists=artists, plays=csr_array(plays[:, order]))


def test_shuffled_listens_are_the_same_listens_of_other_artists(listens: Listens) -> None:
    mixed = shuffled(listens, np.random.default_rng(2))
    assert abs(mixed.plays - listens.plays).sum() == 0
    assert list(mixed.artists["listeners"]) == list(listens.artists["listeners"])
    assert set(mixed.artists["artist"]) == set(listens.artists["artist"])
    assert (mixed.artists["artist"] != listens.artists["artist"]).mean() > 0.9


def test_fewer_listens_are_two_thirds_of_them_counted_again(listens: Listens) -> None:
    left = fewer(listens, np.random.default_rng(2))
    assert left.plays.nnz == pytest.approx(listens.plays.nnz * 2 / 3, rel=0.03)
    counted = np.bincount(left.plays.indices, minlength=60)
    assert list(left.artists["listeners"]) == list(counted)
    assert list(left.artists["plays"]) == list(3 * counted)
    assert (np.diff(counted) <= 0).all()
    assert np.diff(left.plays.indptr).min() > 0
    before = listens.artists.set_index("artist")["listeners"]
    after = left.artists.set_index("artist")["listeners"]
    assert (after <= before.reindex(after.index)).all()


def test_a_lead_is_counted_in_standard_errors() -> None:
    mean, errors = in_errors(np.array([0.1, 0.3, 0.1, 0.3, np.nan]))
    assert mean == pytest.approx(0.2)
    assert errors == pytest.approx(0.2 / (np.std([0.1, 0.3, 0.1, 0.3], ddof=1) / 2))
    assert in_errors(np.zeros(4)) == (0, 0)
