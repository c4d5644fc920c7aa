"""Candidates by sound and by listeners, and the nearest artists of many, beside brute force."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.planted_catalogue import COSINE, EVERYTHING, MEAN, Planted, planted
from twinear.base.errors import DataError
from twinear.catalogue import candidates
from twinear.catalogue.building import define_scoring
from twinear.catalogue.candidates import (
    CandidateIndex,
    RepresentedArtists,
    list_represented,
)
from twinear.catalogue.collaborative import sparse_colistening
from twinear.catalogue.encoded import EncodedArtists, plain_artists
from twinear.catalogue.head import L1Head
from twinear.catalogue.nearest import nearest_by_blocks, prepare_by_search, represent_by_search
from twinear.catalogue.rerank import rerank
from twinear.catalogue.scoring import Scoring, pool_clips
from twinear.catalogue.search.exact import ExactSearch

N, N_KNOWN = 200, 120
PARAMS = EVERYTHING.model_copy(update={"collaborative_artists": 8})


def scored(some: Planted) -> Scoring:
    known = sparse_colistening(some.known.rows, some.known.similarity)
    return define_scoring(some.artists, some.head, PARAMS, known)


def sound_of_all(scoring: Scoring, artists: EncodedArtists) -> np.ndarray:
    return scoring.sound(scoring.siamese(artists, artists))


# --- lists ------------------------------------------------------------------------------------


def drawn_weights(n_known: int, n_new: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of artists that are all known, then of new ones that some known ones stand for."""
    rng = np.random.default_rng(seed)
    representatives = np.full((n_known + n_new, k), -1, np.int32)
    weights = np.zeros((n_known + n_new, k), np.float32)
    representatives[:n_known, 0], weights[:n_known, 0] = np.arange(n_known), 1
    for row in range(n_known, n_known + n_new):
        representatives[row] = rng.permutation(n_known)[:k]
        weights[row] = rng.dirichlet(np.ones(k))
    return representatives, weights


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 2**16))
def test_the_largest_by_listeners_are_those_of_the_whole_table(
    n_known: int, n_new: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    representatives, weights = drawn_weights(n_known, n_new, min(3, n_known), seed)
    inherited = np.where(rng.random(n_known) < 0.5, rng.random(n_known), 0).astype(np.float32)
    gathered = np.where(representatives >= 0, inherited[representatives], 0)
    expected = (gathered * weights).sum(axis=1)
    lists = list_represented(representatives, weights, n_known)
    found = lists.largest(inherited, 5)
    assert len(found) == min(5, np.count_nonzero(expected))
    np.testing.assert_allclose(
        np.sort(expected[found]), np.sort(expected)[len(expected) - len(found) :], rtol=1e-5
    )
    allowed = rng.random(n_known + n_new) < 0.5
    assert allowed[lists.largest(inherited, 5, allowed)].all()


def test_a_list_has_the_largest_weights_first_and_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "LONGEST_LIST", 3)
    representatives, weights = drawn_weights(4, 30, 2, seed=1)
    lists = list_represented(representatives, weights, 4)
    for known in range(4):
        mine = slice(lists.offsets[known], lists.offsets[known + 1])
        of_known = np.where(representatives == known, weights, 0).sum(axis=1)
        assert lists.weights[mine].tolist() == np.sort(of_known)[::-1][:3].tolist()
        assert of_known[lists.artists[mine]].tolist() == lists.weights[mine].tolist()


def test_lists_are_read_as_they_were_written(tmp_path: Path) -> None:
    lists = list_represented(*drawn_weights(4, 30, 2, seed=1), 4)
    lists.write(tmp_path)
    read = RepresentedArtists.read(tmp_path)
    for name in ("offsets", "artists", "weights"):
        assert np.array_equal(getattr(read, name), getattr(lists, name))


def test_damaged_lists_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    list_represented(*drawn_weights(4, 30, 2, seed=1), 4).write(tmp_path)
    path = tmp_path / "represented_weights.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"represented_weights\.npy.*dvc repro catalogue"):
        RepresentedArtists.read(tmp_path)
    np.save(path, np.ones(3, np.float32))
    with pytest.raises(DataError, match=r"lists of 64 artists.*dvc repro catalogue"):
        RepresentedArtists.read(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"represented_weights\.npy: is missing.*dvc repro"):
        RepresentedArtists.read(tmp_path)


# --- exact scores of given pairs --------------------------------------------------------------


@pytest.mark.parametrize(
    ("pooling", "power"), [("pairs", 1.0), ("pairs", 0.5), ("pairs", 8.0), ("mean", 1.0)]
)
def test_reranked_scores_are_those_of_all_clips(pooling: str, power: float) -> None:
    some = planted(N, N_KNOWN)
    scoring = scored(some)
    changes = {"pooling": pooling, "pooling_power": power}
    scoring = replace(scoring, params=PARAMS.model_copy(update=changes))
    rows = np.random.default_rng(0).integers(-1, N, (50, 7))
    queries = some.artists.select(np.arange(100, 150))
    every = scoring.siamese(queries, some.artists)
    expected = np.where(rows < 0, 0, np.take_along_axis(every, rows, axis=1))
    np.testing.assert_allclose(rerank(scoring, queries, some.artists, rows), expected, atol=1e-6)


def test_another_head_than_the_cosine_is_refused() -> None:
    some = planted(N, N_KNOWN)
    scoring = replace(scored(some), head=L1Head(weight=(1.0,) * 12, bias=0.0))
    with pytest.raises(TypeError, match="L1Head"):
        rerank(scoring, some.artists, some.artists, np.zeros((N, 1), np.int64))


def test_the_inner_products_of_pooled_embeddings_order_as_mean_embeddings_score() -> None:
    """So an index finds the best of all by sound; over clip pairs it almost does."""
    some = planted(N, N_KNOWN)
    scoring = replace(scored(some), params=MEAN)
    search = ExactSearch(vectors=pool_clips(some.artists, "mean"))
    found = search.search(pool_clips(some.artists), 20).rows
    scores = scoring.siamese(some.artists, some.artists)
    best = -np.sort(-scores, axis=1)[:, :20]
    np.testing.assert_allclose(np.take_along_axis(scores, found, axis=1), best, atol=1e-6)


# --- the nearest ------------------------------------------------------------------------------


def test_the_nearest_by_blocks_are_those_of_all_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinear.catalogue.nearest.BLOCK", 64)
    some = planted(N, N_KNOWN)
    scoring = scored(some)
    sound = sound_of_all(scoring, some.artists)
    np.fill_diagonal(sound, -np.inf)
    search, rows = ExactSearch(vectors=pool_clips(some.artists)), np.arange(N)[::-1]
    # among so few artists the fifth nearest is always among the 14 by pooled embeddings
    for block, nearest in nearest_by_blocks(scoring, some.artists, rows, search, 5):
        expected = -np.sort(-sound[rows[block]], axis=1)[:, :5]
        np.testing.assert_allclose(nearest.sound, expected, atol=1e-5)
        found = np.take_along_axis(sound[rows[block]], nearest.positions, axis=1)
        np.testing.assert_allclose(found, nearest.sound, atol=1e-5)


def test_places_are_empty_where_there_are_fewer_artists() -> None:
    some = planted(4, 3)
    search = ExactSearch(vectors=pool_clips(some.artists))
    [(_, nearest)] = nearest_by_blocks(scored(some), some.artists, np.arange(4), search, 6)
    assert (nearest.positions[:, :3] >= 0).all()
    assert (nearest.positions[:, 3:] == -1).all()
    assert np.isneginf(nearest.sound[:, 3:]).all()


@pytest.fixture(scope="module")
def some() -> Planted:
    return planted(N, N_KNOWN)


def exact_searches(some: Planted) -> tuple[ExactSearch, ExactSearch]:
    pooled = pool_clips(some.artists)
    return ExactSearch(vectors=pooled), ExactSearch(vectors=pooled[some.known.rows])


def test_artists_prepared_by_search_are_those_prepared_exactly(some: Planted) -> None:
    from twinear.catalogue.building import complete_artists

    scoring = scored(some)
    exact = complete_artists(some.artists, scoring)
    found = prepare_by_search(scoring, some.artists, *exact_searches(some))
    np.testing.assert_allclose(found.nearness, exact.nearness, atol=1e-5)
    assert np.array_equal(found.representatives, exact.representatives)
    np.testing.assert_allclose(found.weights, exact.weights, atol=1e-5)


def test_an_artist_of_the_catalogue_as_new_clips_is_represented_as_the_others(
    some: Planted,
) -> None:
    scoring = scored(some)
    new = np.setdiff1d(np.arange(N), some.known.rows)
    asked = some.artists.select(new[:1])
    others = np.setdiff1d(np.arange(N), new[:1])
    left = some.artists.select(others)
    assert scoring.colistening is not None
    moved = replace(scoring.colistening, rows=np.searchsorted(others, some.known.rows))
    scoring, pooled = replace(scoring, colistening=moved), pool_clips(left)
    found = represent_by_search(
        scoring,
        left,
        asked,
        ExactSearch(vectors=pooled),
        ExactSearch(vectors=pooled[moved.rows]),
    )
    whole = prepare_by_search(scored(some), some.artists, *exact_searches(some))
    assert found.representatives[0].tolist() == whole.representatives[new[0]].tolist()
    np.testing.assert_allclose(found.weights[0], whole.weights[new[0]], atol=1e-5)
    np.testing.assert_allclose(found.nearness, whole.nearness[new[:1]], atol=1e-5)


def test_without_listens_nobody_stands_for_an_artist(some: Planted) -> None:
    scoring = define_scoring(some.artists, COSINE, PARAMS, None)
    search = ExactSearch(vectors=pool_clips(some.artists))
    prepared = prepare_by_search(scoring, some.artists, search, None)
    assert (prepared.representatives == -1).all()
    assert not prepared.weights.any()
    new = represent_by_search(scoring, some.artists, some.artists.select([3]), search, None)
    assert not new.weights.any()


# --- both lists -------------------------------------------------------------------------------


def index_of(some: Planted, scoring: Scoring) -> tuple[EncodedArtists, CandidateIndex]:
    by_sound, known_by_sound = exact_searches(some)
    prepared = prepare_by_search(scoring, some.artists, by_sound, known_by_sound)
    artists = replace(
        some.artists,
        nearness=prepared.nearness,
        representatives=prepared.representatives,
        weights=prepared.weights,
    )
    return artists, CandidateIndex(
        by_sound=by_sound,
        known_by_sound=known_by_sound,
        represented=list_represented(prepared.representatives, prepared.weights, N_KNOWN),
    )


def test_few_artists_are_all_candidates(some: Planted) -> None:
    scoring = scored(some)
    artists, index = index_of(some, scoring)
    allowed = np.arange(N) % 3 == 0
    found = index.find(artists.select([1]), scoring.colistening, 10, allowed)
    assert found.tolist() == np.flatnonzero(allowed).tolist()


@pytest.fixture
def few_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "SCORED_ALL", 10)
    monkeypatch.setattr(candidates, "BY_SOUND", 10)
    monkeypatch.setattr(candidates, "BY_LISTENERS", 10)


@pytest.mark.usefixtures("few_found")
def test_candidates_hold_the_best_by_sound_and_the_best_by_listeners(some: Planted) -> None:
    scoring = scored(some)
    artists, index = index_of(some, scoring)
    for row in range(0, N, 17):
        query, allowed = artists.select([row]), np.arange(N) != row
        found = index.find(query, scoring.colistening, 5, allowed)
        parts = scoring.score(query, artists)
        for values in (parts.sound[0], parts.colistening[0]):
            best = np.argsort(-np.where(allowed, values, -np.inf))[:5]
            assert np.isin(best, found).all()
        assert allowed[found].all()
        assert (np.diff(found) > 0).all()
        assert len(found) <= 35


@pytest.mark.usefixtures("few_found")
def test_candidates_keep_to_the_filter(some: Planted) -> None:
    scoring = scored(some)
    artists, index = index_of(some, scoring)
    allowed = np.random.default_rng(0).random(N) < 0.4
    for row in range(0, N, 17):
        query = artists.select([row])
        found = index.find(query, scoring.colistening, 5, allowed)
        assert allowed[found].all()
        totals = np.where(allowed, scoring.score(query, artists).total[0], -np.inf)
        assert np.isin(np.argmax(totals), found)


@pytest.mark.usefixtures("few_found")
def test_without_listens_candidates_are_found_by_sound(some: Planted) -> None:
    search = ExactSearch(vectors=pool_clips(some.artists))
    index = CandidateIndex(by_sound=search, known_by_sound=None, represented=None)
    query = plain_artists(np.array([0, 2]), some.artists.embeddings[:2])
    found = index.find(query, None, 5, np.ones(N, dtype=bool))
    assert set(found) == set(search.search(pool_clips(query), 20).rows[0])
