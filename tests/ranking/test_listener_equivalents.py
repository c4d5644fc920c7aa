"""What a ranking is worth in listeners: known answers on listeners of planted tastes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from tests.conftest import PARAMS
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.catalogue.collaborative import sparse_colistening
from twinear.catalogue.encoded import plain_artists
from twinear.catalogue.other_listens import ScoresBeforeListens
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import others
from twinear.ranking.listener_equivalents import (
    JudgedSystems,
    listener_equivalents,
    meet,
)
from twinear.ranking.listener_results import STRICT, ListenerEquivalents
from twinear.ranking.listener_table import format_listeners
from twinear.ranking.ranking import RankingParams
from twinear.similarity.computation import compute_similarity
from twinear.similarity.listener_sample import ListenerSample, read_listener_sample
from twinear.similarity.measures import SimilarityParams

N_ARTISTS, N_LISTENERS = 24, 300
IDS = [f"artist {at}" for at in range(N_ARTISTS)]
TASTE = np.arange(N_ARTISTS) % 4


def similarity_params() -> SimilarityParams:
    return read_params("similarity", SimilarityParams, PARAMS)


@pytest.fixture(name="params")
def _params() -> RankingParams:
    params = read_params("ranking", RankingParams, PARAMS)
    return params.model_copy(update={"n_bootstrap": 100, "listener_draws": 4})


@pytest.fixture(name="listens", scope="module")
def _listens() -> Listens:
    """Listeners who play artists of one taste three times as often as others."""
    generator = np.random.default_rng(5)
    likes = np.where(generator.integers(4, size=(N_LISTENERS, 1)) == TASTE, 0.45, 0.15)
    plays = (generator.random(likes.shape) < likes).astype(np.int64)
    plays[:, 0] = 1  # nobody is without a row
    artists = pd.DataFrame({"artist": IDS, "name": IDS, "mbid": ""})
    artists = artists.assign(listeners=plays.sum(axis=0), plays=plays.sum(axis=0))
    return Listens(artists=artists, plays=csr_array(plays))


@pytest.fixture(name="sample")
def _sample(listens: Listens, tmp_path: Path) -> ListenerSample:
    listens.write(tmp_path / "listens")
    generator = np.random.default_rng(0)
    return read_listener_sample(tmp_path / "listens", similarity_params(), 10**6, generator)


def judged(**scores: np.ndarray) -> JudgedSystems:
    tables: dict[str, Sequence[np.ndarray]] = {name: [table] for name, table in scores.items()}
    return JudgedSystems(ids=IDS, candidates=others(N_ARTISTS), scores=tables, strict={})


def measure(
    systems: JudgedSystems, sample: ListenerSample, params: RankingParams
) -> ListenerEquivalents:
    worth = listener_equivalents(systems, sample, params)
    assert worth is not None
    return worth


def test_all_listeners_of_a_sample_give_the_similarity_itself(
    listens: Listens, sample: ListenerSample
) -> None:
    whole = sample.compare(IDS, np.arange(N_LISTENERS))
    same = compute_similarity(listens, IDS, similarity_params()).matrix
    apart = others(N_ARTISTS)
    # the similarity is scaled so that the least similar pair is 0, the sample's so that none is
    low = whole.matrix[apart].min()
    scaled = (whole.matrix[apart] - low) / (1 - low)
    np.testing.assert_allclose(scaled, same[apart], atol=1e-6)
    np.testing.assert_array_equal(whole.listeners, listens.artists["listeners"])
    turned = sample.compare([*reversed(IDS), "unknown"], np.arange(N_LISTENERS))
    np.testing.assert_array_equal(turned.matrix[-2::-1, -2::-1], whole.matrix)
    assert not turned.matrix[-1].any()


@pytest.mark.parametrize("measure", ["minimum", "cosine", "bm25", "pmi"])
def test_some_listeners_count_as_if_there_were_no_others(
    listens: Listens, sample: ListenerSample, tmp_path: Path, measure: str
) -> None:
    some = np.array([3, 11, *range(40, 90)])
    params = similarity_params().model_copy(update={"measure": measure})
    part = replace(sample, params=params).compare(IDS, some)
    alone = replace(listens, plays=csr_array(listens.plays[some]))
    alone.write(tmp_path / "alone")
    only = read_listener_sample(tmp_path / "alone", params, 10**6, np.random.default_rng(0))
    np.testing.assert_array_equal(only.compare(IDS, np.arange(len(some))).matrix, part.matrix)


def test_only_so_many_listeners_are_read(listens: Listens, tmp_path: Path) -> None:
    listens.write(tmp_path / "listens")
    read = [
        read_listener_sample(tmp_path / "listens", similarity_params(), 50, generator)
        for generator in map(np.random.default_rng, (1, 1, 2))
    ]
    assert [(each.n_sampled, each.n_listeners) for each in read] == [(50, N_LISTENERS)] * 3
    first, same, other = (each.compare(IDS, np.arange(50)).matrix for each in read)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_who_knows_the_tastes_is_worth_many_listeners_and_who_guesses_few(
    sample: ListenerSample, params: RankingParams
) -> None:
    knows = (TASTE[:, None] == TASTE).astype(float)
    guesses = np.random.default_rng(0).random((N_ARTISTS, N_ARTISTS))
    worth = measure(judged(knows=knows, guesses=guesses), sample, params)
    assert (worth.listeners, worth.half) == (N_LISTENERS, N_LISTENERS // 2)
    listeners = {name: system.listeners for name, system in worth.systems.items()}
    assert listeners["guesses"]["value"] < 20
    assert listeners["knows"]["value"] > 60
    for numbers in listeners.values():
        assert 1 <= numbers["low"] <= numbers["value"] <= numbers["high"] <= worth.half
    values = [point.ndcg["value"] for point in worth.curve]
    assert values[-1] == worth.ceiling["value"] > values[0]
    assert worth.ceiling["value"] < 1


def test_strict_scores_get_the_half_that_does_not_judge(
    sample: ListenerSample, params: RankingParams
) -> None:
    seen = []

    def scores(similarity: np.ndarray) -> list[np.ndarray]:
        seen.append(similarity)
        return [similarity]

    systems = replace(judged(none=np.zeros((24, 24))), strict={STRICT: scores}, known=IDS)
    worth = measure(systems, sample, params)
    assert len(seen) == params.listener_draws
    # it is the other half itself, but for the ties: its worth is the ceiling
    assert worth.systems[STRICT].ndcg["value"] == pytest.approx(worth.ceiling["value"], abs=0.01)


def test_queries_may_be_drawn_and_too_few_listeners_are_worth_nothing(
    sample: ListenerSample, params: RankingParams, listens: Listens, tmp_path: Path
) -> None:
    few = params.model_copy(update={"max_listener_queries": 5})
    worth = measure(judged(none=np.zeros((24, 24))), sample, few)
    assert (worth.queries, worth.artists) == (5, N_ARTISTS)
    assert "5 of 24 queries" in format_listeners(worth, "all")
    listens.write(tmp_path / "listens")
    generator = np.random.default_rng(0)
    three = read_listener_sample(tmp_path / "listens", similarity_params(), 3, generator)
    assert listener_equivalents(judged(none=np.zeros((24, 24))), three, params) is None


def test_missing_listens_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"artists.csv: is missing.*dvc repro listens"):
        read_listener_sample(tmp_path, similarity_params(), 9, np.random.default_rng(0))


def test_a_value_beyond_the_curve_is_given_as_its_end() -> None:
    curves, numbers = np.array([[0.2, 0.4, 0.8]] * 3), [1, 10, 100]
    np.testing.assert_allclose(meet(curves, np.array([0.1, 0.4, 0.9]), numbers), [1, 10, 100])


def test_co_listening_added_again_is_what_was_taken_off() -> None:
    generator = np.random.default_rng(2)
    similarity = generator.random((6, 6))
    similarity = (similarity + similarity.T) / 2
    artists = replace(
        plain_artists(np.arange(10), np.zeros((9, 2), np.float32)),
        representatives=generator.integers(0, 6, (9, 2)).astype(np.int32),
        weights=generator.random((9, 2)).astype(np.float32),
    )
    kept = sparse_colistening(np.arange(6), similarity, 3)
    representation = np.asarray(artists.representation(6).toarray())
    before = ScoresBeforeListens(
        known=IDS[:6],
        totals=np.ones((9, 9), np.float32),
        queries=representation,
        candidates=representation,
        weight=2.0,
        n_neighbours=3,
    )
    expected = 1 + 2 * kept.scores(artists, artists)
    np.testing.assert_allclose(before.with_listens(similarity), expected, rtol=1e-5)
