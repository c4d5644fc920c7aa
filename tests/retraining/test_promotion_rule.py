"""The rule of promotion, on numbers whose verdict is plain."""

import numpy as np
import pytest

from tests.conftest import PARAMS
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import RankingParams
from twinear.retraining.promotion_rule import Match, Verdict, decide

RANKING = read_params("ranking", RankingParams, PARAMS)
CHANCE = np.full(40, 0.4)
GOOD = 0.7 + 0.05 * np.sin(np.arange(40))  # differs by query
NOISE = 0.02 * np.cos(7.0 * np.arange(40))


def verdict(challenger: Floats, champion: Floats | None = None, *, same: bool = True) -> Verdict:
    match = Match(challenger=challenger, chance=CHANCE, champion=champion, same=same)
    return decide(match, margin=0.05, params=RANKING)


def test_the_first_champion_must_beat_chance() -> None:
    assert verdict(GOOD).promoted
    random = verdict(CHANCE + NOISE)
    assert not random.promoted
    assert "not better than chance" in random.reason


def test_a_better_challenger_wins_and_an_equal_one_does_not() -> None:
    better = verdict(GOOD + 0.03 + NOISE, GOOD)
    assert better.promoted
    assert better.numbers["difference_low"] > 0
    equal = verdict(GOOD + NOISE, GOOD)
    assert not equal.promoted
    assert "not better than the champion on the same queries" in equal.reason


@pytest.mark.parametrize(("lost", "promoted"), [(0.0, True), (0.02, True), (0.06, False)])
def test_on_changed_data_it_may_lose_less_than_the_margin(lost: float, promoted: bool) -> None:
    found = verdict(GOOD - lost + NOISE, GOOD, same=False)
    assert found.promoted is promoted
    assert "the data changed" in found.reason
    assert not verdict(GOOD - lost + NOISE, GOOD, same=True).promoted


def test_chance_is_refused_also_beside_a_champion_that_is_no_better() -> None:
    shuffled = CHANCE + NOISE
    assert not verdict(shuffled, shuffled - 0.001, same=False).promoted


def test_queries_are_paired_so_that_what_is_hard_for_both_does_not_count() -> None:
    hard = np.linspace(0.45, 1, 40)
    assert verdict(hard, hard - 0.01).promoted
    assert not verdict(hard, np.random.default_rng(1).permutation(hard - 0.01)).promoted


def test_queries_without_a_defined_ndcg_count_for_nothing() -> None:
    holes = GOOD.copy()
    holes[:5] = np.nan
    found = verdict(holes + 0.03, holes)
    assert found.promoted
    assert found.numbers["queries"] == 35
    with pytest.raises(DataError, match="defined for no held-out query"):
        verdict(np.full(40, np.nan))
