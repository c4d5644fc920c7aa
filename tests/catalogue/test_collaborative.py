"""What listeners say of known artists, and of new ones that sound like them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from tests.support.planted_catalogue import EVERYTHING, PLAIN, planted
from twinear.base.errors import ParamsError
from twinear.catalogue.building import prepare
from twinear.catalogue.collaborative import (
    TrainingArtists,
    combine_listens,
    denoise,
    represent,
    sparse_colistening,
)
from twinear.catalogue.listener_factors import add_listener_factors
from twinear.listens.listens import Listens
from twinear.similarity.similarity import Similarity, SimilarityMatrix, dense
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


def listened(matrix: SimilarityMatrix, listeners: np.ndarray) -> TrainingArtists:
    ids = [f"a{i}" for i in range(matrix.shape[0])]
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": listeners})
    return TrainingArtists.from_split(
        Similarity(artists=artists.assign(plays=1), matrix=matrix), split_of(len(ids))
    )


def split_of(n_artists: int) -> Split:
    """Every third artist is for training, for test and for validation."""
    ids = [f"a{i}" for i in range(n_artists)]
    splits = ["train", "test", "validation"] * (n_artists // 3)
    return Split(artists=pd.DataFrame({"artist": ids, "name": ids, "split": splits}))


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


def heard(rng: np.random.Generator, n_artists: int = 12, n_listeners: int = 60) -> Listens:
    """Two tastes: even and odd artists have listeners of their own."""
    taste = rng.integers(0, 2, n_listeners)
    likes = np.where(taste[:, None] == np.arange(n_artists) % 2, 0.5, 0.05)
    plays = (rng.random((n_listeners, n_artists)) < likes).astype(np.int64)
    ids = [f"a{i}" for i in range(n_artists)]
    table = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": plays.sum(axis=0)})
    return Listens(artists=table, plays=csr_array(plays))


def changed(listens: Listens, artists: list[int]) -> Listens:
    """The same listens with others of some artists."""
    plays = listens.plays.toarray()
    plays[:, artists] = 1 - plays[:, artists]
    table = listens.artists.assign(listeners=plays.sum(axis=0))
    return Listens(artists=table, plays=csr_array(plays))


def test_listener_factors_do_not_see_the_listens_of_test_artists() -> None:
    rng = np.random.default_rng(2)
    listens, similarity = heard(rng), rng.random((9, 9), dtype=np.float32)
    known, split = listened(similarity, np.full(9, 9)), split_of(9)
    before = add_listener_factors(known, listens, split)
    after = add_listener_factors(known, changed(listens, [1, 4, 7]), split)
    assert np.array_equal(before.factors, after.factors)
    outside = add_listener_factors(known, changed(listens, [10]), split)
    assert not np.allclose(before.factors, outside.factors)
    cosine = before.factors @ before.factors.T  # a0, a3, a6, a2, a5, a8
    assert cosine[0, 2] > cosine[0, 1]


def test_a_calibration_sees_no_listens_of_validation_artists_in_its_factors() -> None:
    rng = np.random.default_rng(2)
    listens, similarity = heard(rng), rng.random((9, 9), dtype=np.float32)
    known, split, ids = (
        listened(similarity, np.full(9, 9)),
        split_of(9),
        pd.Series([f"a{i}" for i in range(9)]),
    )
    before, after = (
        add_listener_factors(known, each, split).locate(ids)
        for each in (listens, changed(listens, [2, 5, 8]))
    )
    assert not np.allclose(before.factors, after.factors)
    train = before.without_validation()
    assert np.array_equal(train.factors, after.without_validation().factors)
    assert train.rows.tolist() == [0, 3, 6]
    assert (np.linalg.norm(train.factors, axis=1) > 0).all()


def test_a_denoised_similarity_is_a_mixture_on_the_scale_of_the_similarity() -> None:
    some = planted(n_known=20).known
    different = ~np.eye(20, dtype=bool)
    plain, cosine = (denoise(some.similarity, some.factors, share) for share in (0.0, 1.0))
    assert np.array_equal(plain, some.similarity)
    assert cosine[different].std() == pytest.approx(plain[different].std(), rel=1e-4)
    assert cosine[different].min() == pytest.approx(0, abs=1e-6)
    half = denoise(some.similarity, some.factors, 0.5)
    np.testing.assert_allclose(half[different], (plain + cosine)[different] / 2, atol=1e-6)
    without = denoise(some.similarity, some.factors[:, :0], 0.5)
    assert np.array_equal(without, some.similarity)


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


# --- similarities of neighbours only ----------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("symmetric", [True, False])
def test_sparse_listens_are_combined_as_those_of_all_pairs(
    share: float, symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinear.catalogue.collaborative.PAIRS", 256)  # several blocks
    some = planted(n_known=40).known
    rng = np.random.default_rng(3)
    present = rng.random((40, 40)) < 0.3
    values = some.similarity * (present | present.T)
    if not symmetric:
        values = values * rng.uniform(0.5, 1, values.shape)
    np.fill_diagonal(values, 1)
    whole = replace(some, similarity=values.astype(np.float32))
    sparse = replace(some, similarity=csr_array(values.astype(np.float32)))
    for n_neighbours in (5, 39):
        expected, found = (combine_listens(each, share, n_neighbours) for each in (whole, sparse))
        for first in range(40):
            np.testing.assert_allclose(
                [found.similarity(first, second) for second in range(40)],
                [expected.similarity(first, second) for second in range(40)],
                atol=1e-5,
            )
        assert found.deviation == pytest.approx(expected.deviation, rel=1e-4)


def test_sparse_listens_without_factors_keep_all_neighbours_if_asked() -> None:
    some = planted(n_known=20).known
    some = replace(some, factors=some.factors[:, :0])
    sparse = replace(some, similarity=csr_array(some.similarity))
    expected, found = (combine_listens(each, 0.5, 0) for each in (some, sparse))
    assert np.array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)


def test_all_pairs_of_many_artists_are_not_denoised() -> None:
    some = planted(n_known=20).known
    sparse = replace(some, similarity=csr_array(some.similarity))
    with pytest.raises(ParamsError, match=r"collaborative_neighbours: found 0.*set it to"):
        combine_listens(sparse, 0.5, 0)


def test_sparse_similarities_are_selected_as_those_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    matrix, listeners = rng.random((9, 9), dtype=np.float32), rng.integers(1, 99, 9)
    ids = pd.Series(["zz", "a5", "a1", "a0", "a3"])
    whole, sparse = (listened(each, listeners) for each in (matrix, csr_array(matrix)))
    found = sparse.locate(ids).without_validation().similarity
    assert np.array_equal(dense(found), whole.locate(ids).without_validation().similarity)
