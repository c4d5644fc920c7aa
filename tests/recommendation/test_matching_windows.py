"""Windows: a passage that two clips share is found where it was planted."""

import numpy as np
import pytest
import torch

from tests.support.audio import music
from tests.support.scorers import FRONT, small_scorer
from twinear.model.scorer import Scorer
from twinear.recommendation.matching_windows import WindowMatches, match_windows
from twinear.spectrograms.front_end import Floats, SpectrogramsParams, excerpts, log_mel

SR = 22050
FRONT_20 = FRONT.model_copy(update={"n_frames": round(20 * SR / 512)})


def hiss(seconds: float, hertz: float, seed: int) -> Floats:
    """Noise that swells `hertz` times a second."""
    time = np.arange(round(seconds * SR)) / SR
    noise = np.random.default_rng(seed).normal(size=len(time))
    return np.asarray(0.1 * noise * (1.1 + np.sin(2 * np.pi * hertz * time)), np.float32)


def hum(seconds: float, seed: int) -> Floats:
    """A chord whose notes come and go slowly."""
    time = np.arange(round(seconds * SR)) / SR
    random = np.random.default_rng(seed)
    notes = [
        np.sin(2 * np.pi * hertz * time) * (1 + np.sin(2 * np.pi * time / period))
        for hertz, period in zip(random.uniform(100, 4000, 6), random.uniform(2, 8, 6), strict=True)
    ]
    return np.asarray(0.05 * np.sum(notes, axis=0), np.float32)


def tune(seconds: float, seed: int) -> Floats:
    """Two seconds of notes, again and again."""
    return np.resize(music(2, SR, seed), round(seconds * SR))


def fitted(front: SpectrogramsParams, kinds: list[Floats]) -> Scorer:
    """A scorer of statistics whose axes are those of some waveforms, each an artist."""
    scorer = small_scorer(front=front, branches="statistics", statistics_units=16)
    branch = scorer.net.statistics
    assert branch is not None
    x = torch.from_numpy(np.stack([log_mel(y, front) for y in kinds]))
    branch.fit(branch.statistics(x, torch.zeros(len(x), 0)), torch.arange(len(x)))
    return Scorer.from_net(scorer.net, front, scorer.model)


def matches(scorer: Scorer, first: Floats, second: Floats) -> WindowMatches | None:
    log_mels = np.stack([log_mel(y, scorer.spectrograms) for y in (first, second)])
    parts = excerpts(first, scorer.spectrograms), excerpts(second, scorer.spectrograms)
    return match_windows(scorer, log_mels, parts)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    kinds = [hiss(6, 7, 1), hiss(6, 5, 2), hum(6, 1), hum(6, 2), tune(6, 1), tune(6, 2)]
    return fitted(FRONT_20, kinds)


def test_a_planted_passage_is_found(scorer: Scorer) -> None:
    passage = tune(8, 3)
    first = np.concatenate([hiss(3, 7, 3), passage, hiss(9, 7, 4)])
    second = np.concatenate([hum(11, 3), passage, hum(1, 4)])
    found = matches(scorer, first, second)
    assert found is not None
    best = found.best[0]
    assert 2 <= best.first_start < best.first_end <= 12
    assert 10 <= best.second_start < best.second_end <= 20
    assert best.score > found.mean_score + 0.3
    assert [window.score for window in found.best] == sorted(
        (window.score for window in found.best), reverse=True
    )


def test_the_other_order_gives_the_same_windows(scorer: Scorer) -> None:
    first, second = (np.concatenate([hum(9, seed), hiss(11, 6, seed)]) for seed in (5, 6))
    there, back = matches(scorer, first, second), matches(scorer, second, first)
    assert there is not None
    assert back is not None
    assert there.best
    assert [(window.first_start, window.second_start) for window in there.best] == [
        (window.second_start, window.first_start) for window in back.best
    ]
    assert there.mean_score == pytest.approx(back.mean_score, abs=1e-6)


def test_best_windows_last_six_seconds_and_do_not_overlap(scorer: Scorer) -> None:
    y = hum(20, 7)
    found = matches(scorer, y, y)
    assert found is not None
    assert len(found.best) == 3
    for window in found.best:
        assert window.first_start == window.second_start
        assert window.first_end - window.first_start == pytest.approx(6, abs=0.03)
    starts = sorted(window.first_start for window in found.best)
    assert np.diff(starts).min() >= 5.97
    assert found.best[0].score == pytest.approx(torch.sigmoid(torch.tensor(5.0)).item(), abs=1e-4)


def test_of_a_long_clip_the_part_that_the_score_hears_is_cut(scorer: Scorer) -> None:
    """From the middle of a minute: seconds 20 to 40."""
    first, second = np.concatenate([hiss(45, 7, 1), hum(15, 1)]), hum(20, 2)
    found = matches(scorer, first, second)
    assert found is not None
    assert all(20 <= window.first_start < window.first_end <= 40 for window in found.best)
    assert all(0 <= window.second_start < window.second_end <= 20 for window in found.best)


def test_a_window_never_spans_two_parts_of_a_clip() -> None:
    front = FRONT_20.model_copy(update={"n_windows": 2})
    kinds = [hiss(6, 7, 1), hum(6, 1), hum(6, 2), tune(6, 1)]
    scorer = fitted(front, kinds)
    first = np.concatenate([hum(30, 1), tune(30, 1)])  # of each half ten seconds are heard
    found = matches(scorer, first, tune(20, 1))
    assert found is not None
    for window in found.best:
        assert 9.9 <= window.first_start < window.first_end <= 20.1 or (
            39.9 <= window.first_start < window.first_end <= 50.1
        )
    assert found.best[0].first_start > 30


def test_a_clip_shorter_than_a_window_is_one_window(scorer: Scorer) -> None:
    short = tune(4, 3)
    long = np.concatenate([hiss(12, 7, 1), short, short])
    found = matches(scorer, short, long)
    assert found is not None
    (best,) = found.best
    assert (best.first_start, best.first_end) == (0, 4)
    assert best.second_start > 10


@pytest.mark.parametrize("seconds", [0.0, 1.0, 5.0])
def test_two_clips_shorter_than_a_window_have_none(scorer: Scorer, seconds: float) -> None:
    y = tune(seconds, 1)
    assert matches(scorer, y, hum(5, 1)) is None


def test_a_front_end_that_keeps_less_than_a_window_has_none() -> None:
    y = hum(20, 1)
    scorer = fitted(FRONT, [hum(6, 1), hiss(6, 7, 1), tune(6, 1)])
    assert matches(scorer, y, y) is None


def test_silence_has_windows_with_finite_scores(scorer: Scorer) -> None:
    found = matches(scorer, np.zeros(20 * SR, np.float32), hum(20, 1))
    assert found is not None
    assert np.isfinite(found.mean_score)
