"""Comparisons: which system leads, counted where it can be counted by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS
from twinear.base.params import read_params
from twinear.evaluation.comparison import (
    CORRECTED,
    SIMILARITY,
    Comparison,
    candidate_masks,
    compare_systems,
)
from twinear.evaluation.comparison_table import format_comparison
from twinear.metrics.popularity import popularity_corrected
from twinear.ranking.ranking import RankingParams

N = 18
FOLD = np.arange(N) % 3


@pytest.fixture(name="params")
def _params() -> RankingParams:
    params = read_params("ranking", RankingParams, PARAMS)
    return params.model_copy(update={"n_bootstrap": 200, "n_chance": 40})


@pytest.fixture(name="comparison")
def _comparison() -> Comparison:
    """A system that knows the truth, one that half knows it, twice, and one that does not."""
    generator = np.random.default_rng(3)
    truth, other, *noise = generator.random((4, N, N))
    return Comparison(
        artists=pd.DataFrame({"artist": [f"a{at}" for at in range(N)], "name": "A", "fold": FOLD}),
        truths={SIMILARITY: truth, CORRECTED: popularity_corrected(truth)},
        candidates=candidate_masks(FOLD),
        scores={"half": [truth + each for each in noise], "perfect": [truth], "none": [other]},
    )


def test_a_perfect_system_scores_1_and_is_ahead_of_all(
    comparison: Comparison, params: RankingParams
) -> None:
    for protocol in compare_systems(comparison, params).protocols.values():
        assert protocol.metrics[SIMILARITY]["perfect"]["ndcg@10"]["value"] == 1
        for other in ("half", "none", "chance"):
            ahead = protocol.difference(SIMILARITY, "perfect", other, "ndcg@10")
            behind = protocol.difference(SIMILARITY, other, "perfect", "ndcg@10")
            assert ahead["low"] > 0
            assert behind["high"] == -ahead["low"]
            value = protocol.metrics[SIMILARITY][other]["ndcg@10"]["value"]
            assert ahead["value"] == pytest.approx(1 - value, abs=2e-6)


def test_a_query_is_worth_the_mean_over_its_seeds(
    comparison: Comparison, params: RankingParams
) -> None:
    both = compare_systems(comparison, params)
    singles = [
        compare_systems(replace(comparison, scores={"half": [each]}), params).queries
        for each in comparison.scores["half"]
    ]
    wanted = both.queries[both.queries["system"] == "half"]["value"].to_numpy()
    apart = [each[each["system"] == "half"]["value"].to_numpy() for each in singles]
    np.testing.assert_allclose(wanted, np.mean(apart, axis=0))
    seeds = both.protocols["all"].seeds
    assert list(seeds) == ["half"]
    mean = both.protocols["all"].metrics[SIMILARITY]["half"]["mrr"]["value"]
    assert np.mean(seeds["half"]["mrr"]) == pytest.approx(mean, abs=2e-6)


def test_the_fold_protocol_reads_no_score_of_another_fold(
    comparison: Comparison, params: RankingParams
) -> None:
    outside = FOLD[:, None] != FOLD
    spoiled = {
        name: [np.where(outside, np.nan, table) for table in tables]
        for name, tables in comparison.scores.items()
    }
    only = replace(comparison, candidates={"fold": comparison.candidates["fold"]})
    whole = compare_systems(only, params).queries
    again = compare_systems(replace(only, scores=spoiled), params).queries
    pd.testing.assert_frame_equal(again, whole)


def test_every_query_has_a_value_under_both_protocols_and_truths(
    comparison: Comparison, params: RankingParams
) -> None:
    queries = compare_systems(comparison, params).queries
    keys = ["query", "protocol", "truth", "system", "metric"]
    assert not queries.duplicated(keys).any()
    assert len(queries) == N * 2 * 2 * 4 * queries["metric"].nunique()
    assert set(queries["system"]) == {"half", "perfect", "none", "chance"}


def test_the_table_fits_a_terminal_and_says_who_is_ahead(
    comparison: Comparison, params: RankingParams
) -> None:
    result = compare_systems(comparison, params)
    for against, head in (("", "half ahead"), ("none", "ahead of none")):
        lines = format_comparison(result, against).splitlines()
        assert max(map(len, lines)) <= 100
        assert head in lines[1]
        (perfect,) = {line.split()[-1] for line in lines if line.startswith("perfect")}
        assert perfect == "*"
