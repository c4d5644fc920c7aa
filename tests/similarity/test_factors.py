"""Listener factors: groups of listeners come out, and artists that are held out do not enter."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from twinear.listens.listens import Listens
from twinear.similarity.factors import MIN_LISTENERS, listener_factors


def planted(n_groups: int = 3, per_group: int = 20, seed: int = 0) -> Listens:
    """Listeners of a group hear most artists of that group and few others."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), per_group)
    chance = np.where(group[:, None] == group, 0.6, 0.05)  # (listeners, artists)
    heard = (rng.random(chance.shape) < chance).astype(np.int64)
    heard[:MIN_LISTENERS] |= 1  # everyone is heard
    table = pd.DataFrame(
        {"artist": [f"{row:02}" for row in range(len(group))], "listeners": heard.sum(axis=0)}
    )
    return Listens(artists=table, plays=csr_array(heard))


def cosines(factors: np.ndarray) -> np.ndarray:
    unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def test_artists_of_one_group_of_listeners_have_like_factors() -> None:
    listens = planted()
    factors = listener_factors(listens, list(listens.artists["artist"]), [], 3)
    alike = cosines(factors)
    same = np.kron(np.eye(3, dtype=bool), np.ones((20, 20), bool))
    np.fill_diagonal(alike, np.nan)
    assert np.nanmin(alike[same]) > np.nanmax(alike[~same])


def test_listens_of_an_artist_that_is_held_out_change_nothing() -> None:
    listens = planted()
    held_out = ["07"]
    others = [artist for artist in listens.artists["artist"] if artist not in held_out]
    changed = listens.plays.toarray()
    changed[:, 7] = 1 - changed[:, 7]
    changed[0, 7] = 1
    table = listens.artists.assign(listeners=changed.sum(axis=0))
    other = Listens(artists=table, plays=csr_array(changed))
    first, second = (listener_factors(each, others, held_out, 4) for each in (listens, other))
    np.testing.assert_array_equal(first, second)


def test_all_factors_together_give_the_cosine_of_the_listeners() -> None:
    listens = planted(per_group=5)
    artists = list(listens.artists["artist"])
    heard = listens.plays.toarray().astype(float)
    heard /= np.linalg.norm(heard, axis=0)
    factors = listener_factors(listens, artists, [], 50)
    np.testing.assert_allclose(factors @ factors.T, heard.T @ heard, atol=1e-5)


def test_an_artist_without_listens_has_no_factors() -> None:
    factors = listener_factors(planted(), ["00", "somebody"], [], 2)
    assert (factors[1] == 0).all()
    assert (factors[0] != 0).any()


def test_an_artist_cannot_be_asked_for_and_held_out() -> None:
    with pytest.raises(ValueError, match="03 is held out"):
        listener_factors(planted(), ["03"], ["03"], 2)
