"""Metrics by hand, their laws, ties, and NDCG against scikit-learn's."""

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import ndcg_score

from twinear.base.errors import DataError
from twinear.metrics.ranking_metrics import (
    METRICS,
    TOP,
    Bools,
    Floats,
    Truth,
    others,
    query_metrics,
    query_ndcg,
    rank_truth,
    ranked,
    table_ndcg,
    top_ranked,
)

EXACT = 1e-12
SQUARE = arrays(np.int64, (6, 6), elements=st.integers(0, 9)).map(lambda each: each / 9)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def truth_of(similarity: Floats, candidates: Bools | None = None, n_relevant: int = 2) -> Truth:
    if candidates is None:
        candidates = others(len(similarity))
    return rank_truth(similarity, candidates, n_relevant, rng())


def one_query(similarity: list[float], scores: list[float], n_relevant: int) -> dict[str, float]:
    """Metrics of a single query whose candidates are all of the artists given."""
    candidates = np.ones((1, len(similarity)), dtype=np.bool_)
    truth = truth_of(np.array([similarity]), candidates, n_relevant)
    found = query_metrics(truth, np.array([scores]), rng(1))
    return {metric: float(values[0]) for metric, values in found.items()}


def distinct(n: int, seed: int = 0) -> Floats:
    """A table without ties: every value of 1 .. n * n once, shuffled, over n * n."""
    values = rng(seed).permutation(n * n).reshape(n, n) + 1.0
    return np.asarray(values / (n * n))


# Candidates A to F. By similarity A B C D E F; by score B A D F C E.
SIMILARITY = [0.9, 0.8, 0.5, 0.3, 0.2, 0.0]
SCORES = [0.7, 0.9, 0.2, 0.6, 0.1, 0.4]


def test_the_hand_counted_ranking_has_its_frozen_values() -> None:
    found = one_query(SIMILARITY, SCORES, n_relevant=3)
    # Top 3: ABC and BAD share A, B; the longest common block is one artist, and nothing beside it.
    assert found["unordered@3"] == pytest.approx(2 / 3, abs=EXACT)
    assert found["edit@3"] == pytest.approx(1 / 3, abs=EXACT)
    # Top 5: ABCDE and BADFC share A, B, C, D.
    assert found["unordered@5"] == pytest.approx(4 / 5, abs=EXACT)
    assert found["edit@5"] == pytest.approx(0.4, abs=EXACT)
    # n is capped at the six candidates.
    assert found["unordered@10"] == found["unordered@25"] == 1
    assert found["edit@10"] == found["edit@25"] == pytest.approx(0.5, abs=EXACT)
    # Gains .8 .9 .3 0 .5 .2 against .9 .8 .5 .3 .2 0, discounts 1 / log2(2 .. 7).
    assert found["ndcg@10"] == found["ndcg@200"] == pytest.approx(0.9576575626683612, abs=EXACT)
    assert found["recall@10"] == found["recall@25"] == 1
    # Relevant A, B, C stand at ranks 2, 1, 5: (1/1 + 2/2 + 3/5) / 3.
    assert found["map"] == pytest.approx(13 / 15, abs=EXACT)
    assert found["mrr"] == 1 / 2
    # Rank differences 1 1 2 1 1 2, squares sum to 12: 1 - 6 * 12 / (6 * 35).
    assert found["spearman"] == pytest.approx(1 - 72 / 210, abs=EXACT)


def test_recall_counts_the_relevant_among_the_first_n() -> None:
    similarity = np.linspace(1, 0.1, 30)
    scores = np.concatenate([np.zeros(1), np.linspace(1, 0.1, 29)])  # the best comes last
    found = one_query(list(similarity), list(scores), n_relevant=4)
    assert found["recall@10"] == found["recall@25"] == 3 / 4
    assert found["mrr"] == 1 / 30


def test_metrics_come_in_the_order_of_their_names() -> None:
    assert tuple(query_metrics(truth_of(distinct(5)), distinct(5, 1), rng())) == METRICS


def test_edit_is_what_difflib_finds() -> None:
    n = 40
    similarity, scores = distinct(n), distinct(n) + distinct(n, 1) / 4
    found = query_metrics(truth_of(similarity), scores, rng())
    best, ranking = (ranked(each, others(n), rng()) for each in (similarity, scores))
    for top in TOP:
        expected = [
            SequenceMatcher(None, list(a[:top]), list(b[:top])).ratio()
            for a, b in zip(best, ranking, strict=True)
        ]
        np.testing.assert_allclose(found[f"edit@{top}"], expected, atol=EXACT)


@given(SQUARE, SQUARE, arrays(np.bool_, (6, 6)), st.integers(1, 8))
def test_the_first_of_a_ranking_are_found_without_sorting_the_rest(
    similarity: Floats, scores: Floats, candidates: Bools, n: int
) -> None:
    candidates[~candidates.any(axis=1), 0] = True
    whole = ranked(scores, candidates, rng())[:, :n]
    assert top_ranked(scores, candidates, n, rng())[:, :n].tolist() == whole.tolist()
    by_truth = query_ndcg(rank_truth(similarity, candidates, 3, rng(1)), scores, n, rng())
    found = table_ndcg(similarity, scores, candidates, n, rng())
    np.testing.assert_array_equal(found, by_truth)


@pytest.mark.parametrize("n", [10, 200])
def test_ndcg_is_scikit_learns_where_nothing_is_tied(n: int) -> None:
    artists = 250
    similarity, scores = distinct(artists), distinct(artists, 1)
    found = query_metrics(truth_of(similarity), scores, rng())[f"ndcg@{n}"]
    apart = others(artists)
    rows = [each[apart].reshape(artists, artists - 1) for each in (similarity, scores)]
    for query in range(0, artists, 25):
        true, score = (each[query : query + 1] for each in rows)
        assert found[query] == pytest.approx(ndcg_score(true, score, k=n), abs=EXACT)


@given(SQUARE)
def test_a_perfect_ranking_scores_one(scores: Floats) -> None:
    similarity = scores + distinct(6) / 100  # no ties, none zero
    found = query_metrics(truth_of(similarity), similarity, rng(1))
    for metric, values in found.items():
        np.testing.assert_allclose(values, 1, atol=EXACT, err_msg=metric)


@given(SQUARE, SQUARE)
def test_every_metric_stays_in_its_range(similarity: Floats, scores: Floats) -> None:
    for metric, values in query_metrics(truth_of(similarity), scores, rng(1)).items():
        low = -1 if metric == "spearman" else 0
        assert np.nanmin(values, initial=1) >= low - EXACT
        assert np.nanmax(values, initial=0) <= 1 + EXACT


@given(SQUARE, SQUARE)
def test_a_monotone_transform_of_the_scores_changes_nothing(
    similarity: Floats, scores: Floats
) -> None:
    truth = truth_of(similarity)
    before = query_metrics(truth, scores, rng(1))
    after = query_metrics(truth, np.exp(3 * scores) - 7, rng(1))
    for metric in METRICS:
        np.testing.assert_array_equal(before[metric], after[metric])


@given(st.permutations(range(8)))
def test_relabelling_changes_nothing_without_ties(order: list[int]) -> None:
    similarity, scores = distinct(8), distinct(8, 1)
    before = query_metrics(truth_of(similarity), scores, rng(1))
    square = np.ix_(order, order)
    after = query_metrics(truth_of(similarity[square]), scores[square], rng(2))
    for metric in METRICS:
        np.testing.assert_allclose(before[metric][order], after[metric], atol=EXACT)


def test_only_candidates_count() -> None:
    n = 12
    similarity, scores = distinct(n), distinct(n, 1)
    kept = [0, 2, 3, 7, 8, 11]
    candidates = others(n) & np.isin(np.arange(n), kept)[None, :]
    found = query_metrics(truth_of(similarity, candidates), scores, rng(1))
    square = np.ix_(kept, kept)
    alone = query_metrics(truth_of(similarity[square]), scores[square], rng(2))
    for metric in METRICS:
        np.testing.assert_allclose(found[metric][kept], alone[metric], atol=EXACT)


def test_what_is_no_candidate_may_be_undefined() -> None:
    scores = distinct(5, 1)
    np.fill_diagonal(scores, np.nan)
    assert np.isfinite(query_metrics(truth_of(distinct(5)), scores, rng())["mrr"]).all()


def test_queries_need_not_be_among_the_artists_of_the_table() -> None:
    similarity, scores = distinct(9)[:4], distinct(9, 1)[:4]
    found = query_metrics(truth_of(similarity, np.ones((4, 9), dtype=np.bool_)), scores, rng())
    assert all(values.shape == (4,) for values in found.values())


def test_tied_truth_and_tied_scores_in_the_same_order_are_ranked_by_chance() -> None:
    queries, n = 4000, 20
    candidates = np.ones((queries, n), dtype=np.bool_)
    constant = np.ones((queries, n))
    found = query_metrics(truth_of(constant, candidates), constant, rng(1))
    assert found["unordered@5"].mean() == pytest.approx(5 / 20, abs=0.01)
    assert found["mrr"].mean() == pytest.approx((1 / np.arange(1, 21)).mean(), abs=0.01)


def test_a_constant_score_ranks_by_chance_whatever_the_order_of_the_table() -> None:
    queries, n = 4000, 20
    similarity = np.tile(np.linspace(1, 0, n), (queries, 1))  # the table is sorted by similarity
    truth = truth_of(similarity, np.ones((queries, n), dtype=np.bool_))
    found = query_metrics(truth, np.full((queries, n), 0.5), rng(1))
    assert found["unordered@10"].mean() == pytest.approx(0.5, abs=0.01)
    assert found["mrr"].mean() == pytest.approx((1 / np.arange(1, 21)).mean(), abs=0.01)
    assert (found["spearman"] == 0).all()


def test_ties_are_broken_alike_for_the_same_seed() -> None:
    truth, constant = truth_of(np.ones((6, 6))), np.zeros((6, 6))
    first, again = (query_metrics(truth, constant, rng(3)) for _ in range(2))
    for metric in METRICS:
        np.testing.assert_array_equal(first[metric], again[metric])


def test_a_query_similar_to_nobody_has_no_share_of_it() -> None:
    similarity = distinct(6)
    similarity[2] = 0
    found = query_metrics(truth_of(similarity), distinct(6, 1), rng())
    lacking = {metric for metric in METRICS if np.isnan(found[metric][2])}
    assert lacking == {"ndcg@10", "ndcg@200", "recall@10", "recall@25", "map", "mrr", "spearman"}
    assert all(np.isfinite(np.delete(values, 2)).all() for values in found.values())


def test_an_artist_with_no_similarity_is_never_relevant() -> None:
    found = one_query([0.9, 0.0, 0.0], [0.5, 0.9, 0.1], n_relevant=2)
    assert found["map"] == found["mrr"] == 1 / 2
    assert found["recall@10"] == 1


def test_one_candidate_is_always_found_and_has_no_correlation() -> None:
    found = one_query([0.4], [0.1], n_relevant=10)
    assert np.isnan(found.pop("spearman"))
    assert set(found.values()) == {1.0}


def test_no_candidate_is_refused() -> None:
    candidates = others(4)
    candidates[2] = False
    with pytest.raises(DataError, match="query 2: nothing to rank, expected at least one"):
        truth_of(distinct(4), candidates)
    with pytest.raises(DataError, match="nothing to rank"):
        truth_of(np.zeros((0, 0)), others(0))


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"scores: has shape \(3, 3\), expected \(4, 4\)"):
        query_metrics(truth_of(distinct(4)), distinct(3), rng())


def test_an_undefined_score_is_refused() -> None:
    scores = distinct(4)
    scores[1, 3] = np.nan
    with pytest.raises(DataError, match="scores: nan for query 1 and artist 3, expected finite"):
        query_metrics(truth_of(distinct(4)), scores, rng())


def test_a_negative_similarity_is_refused() -> None:
    with pytest.raises(DataError, match=r"similarity: holds -0\.5, expected values from 0"):
        truth_of(distinct(4) * 0 - 0.5)


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_edit_is_what_sequence_matcher_finds(n: int, seed: int) -> None:
    """Half-shared lists, so that runs of several lengths and crossings occur."""
    generator = np.random.default_rng(seed)
    similarity, near = generator.random((2, 1, 16))
    scores = similarity + near * generator.choice([0.0, 0.1, 0.5])
    candidates = np.ones((1, 16), dtype=np.bool_)
    truth = rank_truth(similarity, candidates, 10, np.random.default_rng(0))
    found = query_metrics(truth, scores, np.random.default_rng(0))
    for top in (3, 5, 10):
        first, second = (np.argsort(-each[0])[:top].tolist() for each in (similarity, scores))
        expected = SequenceMatcher(None, first, second).ratio()
        assert found[f"edit@{top}"][0] == pytest.approx(expected)
