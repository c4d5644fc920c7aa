"""What any scorer must pass: each check passes a sound scorer and fails a spoiled one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.retraining import RULES, WORKERS
from tests.support.tuning import PLACES
from twinear.metrics.ranking_metrics import Floats
from twinear.model.scorer import Scorer
from twinear.retraining.checks import check_planted, check_shuffled, check_symmetry, run_checks
from twinear.retraining.held_out import Evaluator, HeldOut, PipelineFolders, read_held_out

PARAMS = RULES.promotion


@pytest.fixture(scope="module")
def held_out(trained: PipelineFolders) -> HeldOut:
    return read_held_out(trained)


@pytest.fixture(scope="module")
def scorer(trained: PipelineFolders) -> Scorer:
    return Scorer.read(trained.scorer)


@pytest.fixture(scope="module")
def embeddings(held_out: HeldOut, scorer: Scorer, trained: PipelineFolders) -> np.ndarray:
    return held_out.encode(scorer, trained.data, WORKERS)


def test_a_scorer_that_depends_on_the_order_of_two_clips_is_not_symmetric(
    scorer: Scorer, embeddings: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_symmetry(scorer, embeddings, PARAMS.max_asymmetry).passed
    symmetric = Scorer.score

    def asymmetric(self: Scorer, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(symmetric(self, u, v) + 1e-3 * np.arange(len(u))[:, None])

    monkeypatch.setattr(Scorer, "score", asymmetric)
    check = check_symmetry(scorer, embeddings, PARAMS.max_asymmetry)
    assert not check.passed
    assert "may be 1e-05 (failed)" in str(check)


class Leaking(Evaluator):
    """Favours the order of the truth, whatever the scores."""

    def ndcg(self, scores: Floats) -> Floats:
        return super().ndcg(scores + 0.2 * self.held_out.truth)


class Inverting(Evaluator):
    """Favours the order that is most wrong."""

    def ndcg(self, scores: Floats) -> Floats:
        return super().ndcg(scores - 0.2 * self.held_out.truth)


def test_an_evaluation_that_favours_an_order_is_not_chance_on_shuffled_labels(
    held_out: HeldOut, scorer: Scorer, embeddings: np.ndarray
) -> None:
    scores = held_out.score(scorer, embeddings)
    fair = Evaluator(held_out=held_out, params=RULES.ranking)
    assert check_shuffled(fair, fair.shuffled(scores, PARAMS.n_shuffles)).passed
    for kind, sign in ((Leaking, "+"), (Inverting, "-")):
        evaluator = kind(held_out=held_out, params=RULES.ranking)
        check = check_shuffled(evaluator, evaluator.shuffled(scores, PARAMS.n_shuffles))
        assert not check.passed
        assert f"NDCG@10 {sign}" in str(check)
        assert str(check).endswith("(failed)")


def test_scores_that_miss_the_planted_styles_fail() -> None:
    ids = [f"artist-{n}" for n in range(12)]
    places = np.random.default_rng(3).random((12, 2))
    styles = pd.DataFrame(places, index=ids)
    closeness = -np.linalg.norm(places[:, None] - places, axis=2)
    assert check_planted(ids, closeness, styles, PARAMS.min_planted).passed
    order = np.random.default_rng(4).permutation(12)
    for missed in (-closeness, closeness[np.ix_(order, order)]):
        check = check_planted(ids, missed, styles, PARAMS.min_planted)
        assert not check.passed
        assert "with the hidden styles, should be 0.2 or more (failed)" in str(check)
    # rows of the table in another order are no other truth
    assert check_planted(ids[::-1], closeness[::-1, ::-1], styles, PARAMS.min_planted).passed


def test_the_planted_truth_is_checked_only_where_it_knows_the_artists(
    held_out: HeldOut,
    scorer: Scorer,
    embeddings: np.ndarray,
    trained: PipelineFolders,
    tmp_path: Path,
) -> None:
    evaluator = Evaluator(held_out=held_out, params=RULES.ranking)
    shuffled = evaluator.shuffled(held_out.score(scorer, embeddings), 20)

    def passed(planted: Path) -> dict[str, bool]:
        checks = run_checks(scorer, embeddings, evaluator, shuffled, planted, PARAMS)
        return {check.name: check.passed for check in checks}

    truth = trained.data / "truth.csv"
    assert passed(truth) == {
        "symmetry": True, "chance on shuffled labels": True, "planted truth": True,
    }  # fmt: skip
    assert set(passed(tmp_path / "missing.csv")) == {"symmetry", "chance on shuffled labels"}
    table = pd.read_csv(truth)
    table[table["mbid"] != held_out.artists[0]].to_csv(tmp_path / "fewer.csv", index=False)
    assert "planted truth" not in passed(tmp_path / "fewer.csv")
    table.assign(place=PLACES[::-1]).to_csv(tmp_path / "other.csv", index=False)
    assert passed(tmp_path / "other.csv")["planted truth"] is False


def test_artists_of_a_training_are_excluded_while_enough_queries_remain(
    held_out: HeldOut, embeddings: np.ndarray, scorer: Scorer, trained: PipelineFolders
) -> None:
    seen = held_out.artists[:4]
    fewer = held_out.exclude(seen, 10)
    assert fewer.artists == held_out.artists[4:]
    np.testing.assert_array_equal(fewer.truth, held_out.truth[4:, 4:])
    assert set(fewer.clips.table["artist"]) == set(fewer.artists)
    np.testing.assert_allclose(fewer.encode(scorer, trained.data, WORKERS), embeddings[8:])
    assert fewer.digest != held_out.digest
    assert held_out.exclude(held_out.artists[:5], 10) is held_out
