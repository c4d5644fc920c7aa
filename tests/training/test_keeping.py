"""What was learned is kept where held-out artists show it, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from twinear.metrics.bootstrap import Interval
from twinear.training.keeping import (
    KeepDecision,
    Step,
    StepDecision,
    choose,
    decide,
    describe,
    query_values,
)

RNG = np.random.default_rng(0)
BEFORE = RNG.random(100)


def test_the_first_candidate_within_one_standard_error_of_the_best_is_chosen() -> None:
    gains = RNG.normal(0.01, 0.05, 100)
    slight, best = BEFORE + gains, BEFORE + 2 * gains
    error = gains.std(ddof=1) / 10
    assert gains.mean() > error  # so the untrained scorer is further away than that
    assert choose(np.stack([BEFORE, slight, best])) == (1 if gains.mean() <= error else 2)
    assert choose(np.stack([BEFORE, best, best])) == 1
    assert choose(np.stack([BEFORE, BEFORE - 0.1])) == 0


def test_queries_that_are_not_defined_do_not_decide() -> None:
    values = np.stack([BEFORE, BEFORE + 0.01])
    values[:, :50] = np.nan
    decision = decide(values, [0.5], "listener_factors", seed=1)
    assert (decision.queries, decision.better, decision.factors_weight) == (50, True, 0.5)
    undefined = decide(np.full((2, 5), np.nan), [0.5], "network", seed=1)
    assert (undefined.better, undefined.queries, undefined.difference) == (False, 0, None)


@pytest.mark.parametrize(("shift", "better"), [(0.05, True), (0.0, False), (-0.05, False)])
def test_a_network_needs_the_whole_interval(shift: float, better: bool) -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 100)
    noise -= noise.mean()
    values = np.stack([BEFORE, BEFORE + shift + noise])
    decision = decide(values, [0.0], "network", seed=1)
    assert decision.better is better
    assert decision.difference is not None
    assert decision.difference.value == pytest.approx(shift)
    assert decision.difference.low < shift < decision.difference.high


@pytest.mark.parametrize("step", ["listener_factors", "network"])
def test_what_ranks_a_source_that_was_held_out_worse_cannot_be_chosen(step: Step) -> None:
    values = np.stack([BEFORE, BEFORE + 0.05, BEFORE + 0.1])
    across = np.stack([BEFORE, BEFORE, BEFORE - 0.01])
    across[:, :20] = np.nan
    chosen = decide(values, [0.5, 4.0], step, seed=1, across=across)
    assert (chosen.better, chosen.factors_weight) == (True, 0.5)
    assert decide(values, [0.5, 4.0], step, seed=1).factors_weight == 4.0
    worse = decide(values, [0.5, 4.0], step, seed=1, across=across - [[0], [0.02], [0.02]])
    assert worse.better is False
    assert worse.across_sources is not None
    assert worse.across_sources.value < 0
    undefined = decide(values, [0.5, 4.0], step, seed=1, across=np.full((3, 4), np.nan))
    assert (undefined.better, undefined.across_sources) == (True, None)


def test_pure_noise_is_seldom_taken_for_learning() -> None:
    kept = {"network": 0, "listener_factors": 0}
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 0.05, 60)
        values = np.stack([np.full(60, 0.4), 0.4 + noise])
        kept["network"] += decide(values, [0.0], "network", seed).better
        kept["listener_factors"] += decide(values, [0.5], "listener_factors", seed).better
    assert kept["network"] <= 12  # 2.5 % of 200 are expected
    assert kept["listener_factors"] <= 48  # 16 %


def test_a_query_is_judged_among_all_and_among_those_held_out() -> None:
    similarity = np.array(
        [[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0], [0.1, 0.3, 1, 0.8], [0.2, 0, 0.8, 1]]
    )
    perfect = query_values(similarity, similarity, [0, 2, 3], seed=1)
    np.testing.assert_allclose(perfect, 1)
    worst = query_values(-similarity, similarity, [0, 2, 3], seed=1)
    assert (worst < 1).all()
    alone = query_values(similarity, similarity, [1], seed=1)  # nobody else is held out
    np.testing.assert_allclose(alone, 1)


def test_the_decision_is_told_in_plain_words() -> None:
    step = StepDecision(
        step="listener_factors",
        better=True,
        queries=64,
        before=0.674,
        after=0.834,
        difference=Interval(value=0.16, low=0.13, high=0.189),
        factors_weight=0.5,
    )
    told = describe(KeepDecision(kept="listener_factors", keep="better", steps=(step,)))
    assert "64 held-out artists" in told
    assert "+.160 [+.130, +.189]: kept" in told
    across = replace(step, across_sources=Interval(value=0.02, low=-0.01, high=0.05))
    told = describe(KeepDecision(kept="listener_factors", keep="better", steps=(across,)))
    assert "by +.160 [+.130, +.189], and on sources of clips" in told
    assert "by +.020 [-.010, +.050]: kept" in told
    assert "Nothing was learned" in describe(KeepDecision(kept="untrained", keep="never"))
