"""What listeners say of known artists, and of new ones that sound like them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.support.planted_catalogue import EVERYTHING, PLAIN, planted
from twinear.catalogue.building import prepare
from twinear.catalogue.collaborative import TrainingArtists, represent, sparse_colistening
from twinear.similarity.similarity import Similarity
from twinear.split import Split

ONLY_LISTENS = PLAIN.model_copy(update={"collaborative_weight": 1.0})


def test_the_colistening_of_two_known_artists_is_their_similarity() -> None:
    some = planted()
    scoring, encoded = prepare(some.artists, some.head, ONLY_LISTENS, some.known)
    known = encoded.select(some.known.rows)
    found = scoring.score(known, known).colistening
    apart = ~np.eye(len(known), dtype=bool)
    expected = some.known.similarity[apart] / some.known.similarity[apart].std()
    np.testing.assert_allclose(found[apart], expected, rtol=1e-4, atol=1e-6)


def test_a_new_artist_that_sounds_like_a_known_one_inherits_its_listeners() -> None:
    some = planted()
    new = np.setdiff1d(np.arange(60), some.known.rows)[:2]
    like = some.known.rows[[3, 5]]
    params = ONLY_LISTENS.model_copy(update={"collaborative_inverse_temperature": 50.0})
    twins = replace(some.artists, embeddings=some.artists.embeddings.copy())
    for one, other in zip(new, like, strict=True):
        first, last = twins.clip_offsets[[one, one + 1]]
        twins.embeddings[first:last] = twins.embeddings[twins.clip_offsets[other]]
    # a power so high that the one equal clip decides
    params = params.model_copy(update={"pooling_power": 40.0})
    scoring, encoded = prepare(twins, some.head, params, some.known)
    found = scoring.score(encoded, encoded).colistening
    rest = np.setdiff1d(some.known.rows, like)
    np.testing.assert_allclose(found[new[0], rest], found[like[0], rest], atol=0.02)
    assert found[new[0], new[1]] == pytest.approx(found[like[0], like[1]], abs=0.02)


def test_fewer_representatives_are_the_nearest_ones_and_count_in_full() -> None:
    sound = np.random.default_rng(0).normal(size=(5, 30)).astype(np.float32)
    known = np.arange(3, 30, 2)
    every, weights = represent(sound, known, 1.25, n=0)
    few, shares = represent(sound, known, 1.25, n=4)
    assert np.array_equal(few, every[:, :4])
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    expected = weights[:, :4] / weights[:, :4].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-5)


def test_a_known_artist_stands_for_itself_alone() -> None:
    some = planted()
    _, encoded = prepare(some.artists, some.head, EVERYTHING, some.known)
    for position, row in enumerate(some.known.rows):
        assert encoded.representatives[row, 0] == position
        assert encoded.weights[row].tolist() == [1.0] + [0.0] * (len(encoded.weights[row]) - 1)


def test_a_similarity_is_kept_if_it_is_among_the_largest_of_either_artist() -> None:
    similarity = np.random.default_rng(2).random((20, 20))
    similarity = (similarity + similarity.T) / 2
    kept = sparse_colistening(np.arange(20), similarity, n_neighbours=3)
    found = np.array([[kept.similarity(a, b) for b in range(20)] for a in range(20)])
    apart = np.where(np.eye(20, dtype=bool), 0, similarity)
    large = apart >= np.sort(apart, axis=1)[:, [-3]]
    np.testing.assert_allclose(found, np.where(large | large.T, apart, 0), rtol=1e-6)
    assert kept.deviation == sparse_colistening(np.arange(20), similarity).deviation


def test_popularity_raises_popular_known_candidates_only() -> None:
    some = planted()
    params = PLAIN.model_copy(update={"popularity_weight": 1.0})
    scoring, encoded = prepare(some.artists, some.head, params, some.known)
    raised = scoring.score(encoded, encoded).popularity
    unknown = np.setdiff1d(np.arange(60), some.known.rows)
    assert not raised[:, unknown].any()
    of_known = raised[0, some.known.rows]
    assert np.array_equal(np.argsort(of_known), np.argsort(some.known.listeners))
    assert of_known.std() == pytest.approx(1, abs=1e-5)


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
