"""Contests: who is ahead of whom, counted where it can be counted by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS
from twinear.base.params import read_params
from twinear.evaluation.comparison import (
    CORRECTED,
    SIMILARITY,
    Contest,
    candidate_masks,
    judge_contest,
    pick_difference,
)
from twinear.evaluation.comparison_table import format_judgement
from twinear.metrics.popularity import popularity_corrected
from twinear.ranking.ranking import RankingParams

N = 18
FOLD = np.arange(N) % 3


@pytest.fixture(name="params")
def _params() -> RankingParams:
    params = read_params("ranking", RankingParams, PARAMS)
    return params.model_copy(update={"n_bootstrap": 200, "n_chance": 40})


@pytest.fixture(name="contest")
def _contest() -> Contest:
    """A system that knows the truth, one that half knows it, twice, and one that does not."""
    generator = np.random.default_rng(3)
    truth, other, *noise = generator.random((4, N, N))
    return Contest(
        artists=pd.DataFrame({"artist": [f"a{at}" for at in range(N)], "name": "A", "fold": FOLD}),
        truths={SIMILARITY: truth, CORRECTED: popularity_corrected(truth)},
        candidates=candidate_masks(FOLD),
        scores={"half": [truth + each for each in noise], "perfect": [truth], "none": [other]},
    )


def test_a_perfect_system_scores_1_and_is_ahead_of_all(
    contest: Contest, params: RankingParams
) -> None:
    for verdict in judge_contest(contest, params).verdicts.values():
        assert verdict.metrics[SIMILARITY]["perfect"]["ndcg@10"]["value"] == 1
        for other in ("half", "none", "chance"):
            ahead = pick_difference(verdict, SIMILARITY, "perfect", other, "ndcg@10")
            behind = pick_difference(verdict, SIMILARITY, other, "perfect", "ndcg@10")
            assert ahead["low"] > 0
            assert behind["high"] == -ahead["low"]
            value = verdict.metrics[SIMILARITY][other]["ndcg@10"]["value"]
            assert ahead["value"] == pytest.approx(1 - value, abs=2e-6)


def test_a_query_is_worth_the_mean_over_its_seeds(contest: Contest, params: RankingParams) -> None:
    both = judge_contest(contest, params)
    singles = [
        judge_contest(replace(contest, scores={"half": [each]}), params).queries
        for each in contest.scores["half"]
    ]
    wanted = both.queries[both.queries["system"] == "half"]["value"].to_numpy()
    apart = [each[each["system"] == "half"]["value"].to_numpy() for each in singles]
    np.testing.assert_allclose(wanted, np.mean(apart, axis=0))
    seeds = both.verdicts["all"].seeds
    assert list(seeds) == ["half"]
    mean = both.verdicts["all"].metrics[SIMILARITY]["half"]["mrr"]["value"]
    assert np.mean(seeds["half"]["mrr"]) == pytest.approx(mean, abs=2e-6)


def test_the_fold_protocol_reads_no_score_of_another_fold(
    contest: Contest, params: RankingParams
) -> None:
    outside = FOLD[:, None] != FOLD
    spoiled = {
        name: [np.where(outside, np.nan, one) for one in each]
        for name, each in contest.scores.items()
    }
    only = replace(contest, candidates={"fold": contest.candidates["fold"]})
    whole = judge_contest(only, params).queries
    again = judge_contest(replace(only, scores=spoiled), params).queries
    pd.testing.assert_frame_equal(again, whole)


def test_every_query_is_told_under_both_protocols_and_truths(
    contest: Contest, params: RankingParams
) -> None:
    queries = judge_contest(contest, params).queries
    keys = ["query", "protocol", "truth", "system", "metric"]
    assert not queries.duplicated(keys).any()
    assert len(queries) == N * 2 * 2 * 4 * queries["metric"].nunique()
    assert set(queries["system"]) == {"half", "perfect", "none", "chance"}


def test_the_table_fits_a_terminal_and_says_who_is_ahead(
    contest: Contest, params: RankingParams
) -> None:
    judgement = judge_contest(contest, params)
    for against, head in (("", "half ahead"), ("none", "ahead of none")):
        lines = format_judgement(judgement, against).splitlines()
        assert max(map(len, lines)) <= 100
        assert head in lines[1]
        (perfect,) = {line.split()[-1] for line in lines if line.startswith("perfect")}
        assert perfect == "*"
