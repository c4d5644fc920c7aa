"""The rule of promotion, on numbers whose outcome is plain."""

import numpy as np
import pytest

from tests.conftest import PARAMS
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.ranking import RankingParams
from twinear.retraining.promotion_rule import PromotionParams, QueryNdcg, RuleOutcome, decide

RANKING = read_params("ranking", RankingParams, PARAMS)
RULE = read_params("promotion", PromotionParams, PARAMS)
CHANCE = np.full(40, 0.4)
SHUFFLED = 0.4 + 0.05 * np.cos(np.arange(200))  # standard deviation .035
GOOD = 0.7 + 0.05 * np.sin(np.arange(40))  # differs by query
NOISE = 0.02 * np.cos(7.0 * np.arange(40))


def apply(
    challenger: Floats,
    champion: Floats | None = None,
    *,
    untrained: Floats | None = None,
    same_queries: bool = True,
    shuffled: Floats = SHUFFLED,
) -> RuleOutcome:
    ndcg = QueryNdcg(
        challenger=challenger,
        chance=CHANCE,
        shuffled=shuffled,
        champion=champion,
        untrained=untrained,
        same_queries=same_queries,
    )
    return decide(ndcg, RULE, RANKING)


def test_the_first_champion_must_beat_chance() -> None:
    first = apply(GOOD)
    assert first.promoted
    assert "no champion to compare with" in first.reason
    random = apply(CHANCE + NOISE)
    assert not random.promoted
    assert "not better than chance" in random.reason


def test_a_better_challenger_wins_and_an_equal_one_does_not() -> None:
    better = apply(GOOD + 0.03 + NOISE, GOOD)
    assert better.promoted
    assert better.numbers["difference_low"] > 0
    equal = apply(GOOD + NOISE, GOOD)
    assert not equal.promoted
    assert "not better than the champion on the same queries" in equal.reason


def test_a_lead_on_four_queries_alone_is_luck_and_one_of_three_standard_errors_is_not() -> None:
    few = np.zeros(16)
    few[:4] = [0.008, 0.001, 0.001, 0.001]  # 1.4 standard errors; a bootstrap hardly misses all
    lucky = apply_16(few)
    assert lucky.numbers["difference_low"] > 0
    assert not lucky.promoted
    assert "not better than the champion" in lucky.reason
    clear = np.cos(2.0 * np.arange(16.0))
    clear += 3.01 * clear.std(ddof=1) / 4 - clear.mean()
    assert apply_16(0.001 * clear).promoted


def apply_16(difference: Floats) -> RuleOutcome:
    """The rule on 16 queries, the same for a challenger ahead by `difference`."""
    good = GOOD[:16]
    ndcg = QueryNdcg(
        challenger=good + difference,
        chance=CHANCE[:16],
        shuffled=SHUFFLED,
        champion=good,
        untrained=None,
        same_queries=True,
    )
    return decide(ndcg, RULE, RANKING)


def test_a_challenger_that_learning_has_made_worse_is_refused() -> None:
    worse = apply(GOOD - 0.03 + NOISE, untrained=GOOD)
    assert not worse.promoted
    assert "worse than the untrained scorer" in worse.reason
    assert worse.numbers["gain_high"] < 0
    equal = apply(GOOD + NOISE, untrained=GOOD)  # it may be the untrained scorer itself
    assert equal.promoted
    assert equal.numbers["untrained"] == pytest.approx(GOOD.mean())
    assert not apply(GOOD - 0.03 + NOISE, GOOD - 0.2, untrained=GOOD).promoted


@pytest.mark.parametrize(("lost", "promoted"), [(0.0, True), (0.02, True), (0.06, False)])
def test_on_changed_data_it_may_lose_less_than_the_margin(lost: float, promoted: bool) -> None:
    outcome = apply(GOOD - lost + NOISE, GOOD, same_queries=False)
    assert outcome.promoted is promoted
    assert "the data changed" in outcome.reason
    assert not apply(GOOD - lost + NOISE, GOOD, same_queries=True).promoted


def test_chance_is_refused_also_beside_a_champion_that_is_no_better() -> None:
    shuffled = CHANCE + NOISE
    assert not apply(shuffled, shuffled - 0.001, same_queries=False).promoted


def test_on_changed_data_it_must_be_far_above_its_own_scores_with_shuffled_labels() -> None:
    """Shuffled listens: champion and challenger are alike, and lucky with the same artists."""
    lucky = CHANCE + 0.09 + NOISE  # the interval over queries excludes chance by far
    refused = apply(lucky, lucky, same_queries=False)
    assert refused.numbers["lead_low"] > 0.08
    assert not refused.promoted
    assert "2.5 standard deviations, least 3" in refused.reason
    assert apply(lucky + 0.02, lucky, same_queries=False).promoted
    assert apply(lucky, lucky, same_queries=False, shuffled=(SHUFFLED + 0.4) / 2).promoted
    assert apply(lucky + 0.01, lucky, same_queries=True).promoted  # the data are the champion's
    assert apply(lucky).promoted  # nothing is lost by a first one


def test_queries_are_paired_so_that_what_is_hard_for_both_does_not_count() -> None:
    hard = np.linspace(0.45, 1, 40)
    assert apply(hard, hard - 0.01).promoted
    assert not apply(hard, np.random.default_rng(1).permutation(hard - 0.01)).promoted


def test_queries_without_a_defined_ndcg_are_left_out() -> None:
    holes = GOOD.copy()
    holes[:5] = np.nan
    outcome = apply(holes + 0.03, holes)
    assert outcome.promoted
    assert outcome.numbers["queries"] == 35
    with pytest.raises(DataError, match="defined for no held-out query"):
        apply(np.full(40, np.nan))
