"""From the untrained scorer to what was learned, on artists whose listeners follow their sound."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from tests.conftest import PARAMS
from tests.support.all_pairs import scores_by_all_pairs
from twinear.base.errors import DataError
from twinear.base.params import parse_params, read_params
from twinear.listens.listens import Listens
from twinear.model.pooling import Pooling
from twinear.similarity.similarity import Similarity, SimilarityMatrix
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.batches import Batches, collect_examples
from twinear.training.draws import Draws
from twinear.training.scorer_training import Trained, train_scorer
from twinear.training.training import TrainingParams
from twinear.training.untrained import untrained_scorer
from twinear.training.validation import (
    Validator,
    _below_one,
    calibrate_artists,
    encode_clips,
    rank_validation,
    score_queries,
)

N_ARTISTS, N_LISTENERS, N_DIMS = 90, 120, 12
ARTISTS = [f"{row:02}" for row in range(N_ARTISTS)]


def corpus(
    follows: bool, apart: bool | None = None, seed: int = 0
) -> tuple[Spectrograms, Similarity, Listens]:
    """Embeddings of which two dimensions say who listens, and ten, twice as loud, say nothing.

    Unless `apart` is None there are two sources of clips; where it is true they are so far apart
    that each says it in dimensions of its own, which are nearly silent in the other.
    """
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(N_ARTISTS, 2))
    noise = 2 * rng.normal(size=(N_ARTISTS, N_DIMS - 2))
    sound = np.hstack([taste if follows else rng.normal(size=taste.shape), noise])
    source = np.arange(N_ARTISTS) % 2
    if apart:
        sound[source == 1] = np.roll(sound[source == 1], 4, axis=1)
        sound[source == 1, :2] = 0.1 * noise[source == 1, :2]
        sound[source == 0, 4:6] *= 0.1
    listeners = rng.normal(size=(N_LISTENERS, 2))
    heard = (listeners @ taste.T + 0.3 * rng.normal(size=(N_LISTENERS, N_ARTISTS)) > 1).astype(int)
    heard[:3] = 1
    counts = heard.sum(axis=0)
    similarity = (heard.T @ heard) / np.maximum.outer(counts, counts)
    table = pd.DataFrame(
        {"artist": ARTISTS, "name": ARTISTS, "mbid": "", "listeners": counts, "plays": counts}
    )
    clips = pd.DataFrame({"file": [f"{a}.mp3" for a in ARTISTS], "artist": ARTISTS})
    spectrograms = Spectrograms(
        clips=clips.assign(
            name=ARTISTS,
            title="",
            source="" if apart is None else np.array(["shop", "radio"])[source],
            seconds=30.0,
        ),
        values=sound[:, :, None].astype(np.float32),
        mfcc_mean=np.zeros((N_ARTISTS, 1), np.float32),
        mfcc_cov=np.ones((N_ARTISTS, 1, 1), np.float32),
        front=read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
            update={"embeddings": "only"}
        ),
        joined=np.empty((N_ARTISTS, 0), np.float32),
    )
    return (
        spectrograms,
        Similarity(artists=table, matrix=similarity.astype(np.float32)),
        Listens(artists=table, plays=csr_array(heard)),
    )


def trained(
    folder: Path,
    follows: bool,
    listens: bool = True,
    apart: bool | None = None,
    sparse: bool = False,
    **changes: Any,
) -> Trained:
    clips, similarity, heard = corpus(follows, apart)
    if sparse:
        similarity = replace(similarity, matrix=csr_array(similarity.matrix))
    values = read_params("training", TrainingParams, PARAMS).model_dump(mode="json")
    model = {"branches": "statistics", "statistics_units": N_DIMS}
    values["model"] |= model | changes.pop("model", {})
    values |= {"listener_factors": 8, "epochs": 0, "threads": 1, "device": "cpu"} | changes
    split = Split.from_ids(similarity.artists, train=ARTISTS[:55], validation=ARTISTS[55:75])
    params = parse_params("training", TrainingParams, values, PARAMS)
    checkpoint = folder / "checkpoint.pt"
    return train_scorer(
        clips, similarity, split, params, checkpoint, listens=heard if listens else None
    )


def test_factors_that_listeners_follow_are_kept(tmp_path: Path) -> None:
    made = trained(tmp_path, follows=True)
    (step,) = made.decision.steps
    assert made.decision.kept == "listener_factors"
    assert (step.step, step.queries) == ("listener_factors", 75)  # test artists decide nothing
    assert step.before is not None
    assert step.after is not None
    assert step.after > step.before + 0.1
    assert made.scorer.weights["factors.share"] == pytest.approx(
        step.factors_weight / (1 + step.factors_weight)
    )
    # the scorer before the refit has learned from the training artists alone
    before, after = (made.before_refit.weights, made.scorer.weights)
    assert not np.array_equal(before["factors.weight"], after["factors.weight"])


def test_what_listeners_do_not_follow_is_not_kept(tmp_path: Path) -> None:
    made = trained(tmp_path, follows=False)
    assert made.decision.kept == "untrained"
    assert made.scorer.n_factors == 0
    always = trained(tmp_path, follows=False, keep="always")
    assert always.decision.kept == "listener_factors"


def test_what_helps_within_the_sources_and_hurts_across_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = trained(tmp_path, follows=True, apart=True)  # too few artists of a source to judge by
    assert within.decision.kept == "listener_factors"
    assert within.decision.steps[0].across_sources is None
    monkeypatch.setattr("twinear.training.scorer_training.LEAST_ARTISTS", 30)
    made = trained(tmp_path, follows=True, apart=True)
    (step,) = made.decision.steps
    assert made.decision.kept == "untrained"
    assert step.difference is not None
    assert step.difference.low > 0  # within the sources it helps
    assert step.across_sources is not None
    assert step.across_sources.value < 0


def test_what_helps_across_sources_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinear.training.scorer_training.LEAST_ARTISTS", 30)
    (step,) = (made := trained(tmp_path, follows=True, apart=False)).decision.steps
    assert made.decision.kept == "listener_factors"
    assert step.across_sources is not None
    assert step.across_sources.low > 0


def test_a_network_is_judged_across_sources_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinear.training.scorer_training.LEAST_ARTISTS", 30)
    made = trained(tmp_path, follows=True, apart=False, listener_factors=0, epochs=10)
    (step,) = made.decision.steps
    assert made.decision.kept == "network"
    assert step.across_sources is not None
    assert step.across_sources.low > 0
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_never_learns_nothing(tmp_path: Path) -> None:
    made = trained(tmp_path, follows=True, keep="never", epochs=3, listens=False)
    assert (made.decision.kept, made.decision.steps, made.history) == ("untrained", (), [])


def test_few_artists_are_too_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinear.training.scorer_training.LEAST_ARTISTS", 76)
    assert trained(tmp_path, follows=True).decision.steps == ()


def test_a_network_has_to_beat_what_factors_left(tmp_path: Path) -> None:
    made = trained(tmp_path, follows=True, epochs=2)
    factors, network = made.decision.steps
    assert (factors.better, network.queries) == (True, 20)
    assert len(made.history) == 2
    if not network.better:
        assert made.decision.kept == "listener_factors"
        assert "factors.weight" in made.scorer.weights
    assert network.before is not None
    assert network.before > 0.5  # of the factors, not of the untrained scorer


def test_listens_of_test_artists_change_nothing(tmp_path: Path) -> None:
    clips, similarity, heard = corpus(follows=True)
    values = read_params("training", TrainingParams, PARAMS).model_dump(mode="json")
    values["model"] |= {"branches": "statistics", "statistics_units": 12}
    params = parse_params(
        "training", TrainingParams, values | {"epochs": 0, "listener_factors": 8}, PARAMS
    )
    split = Split.from_ids(similarity.artists, train=ARTISTS[:55], validation=ARTISTS[55:75])
    plays = heard.plays.toarray()
    plays[3:, 75:] = 1 - plays[3:, 75:]
    table = heard.artists.assign(listeners=plays.sum(axis=0))
    other = Listens(artists=table, plays=csr_array(plays))
    first, second = (
        train_scorer(clips, similarity, split, params, tmp_path / "c.pt", listens=each).scorer
        for each in (heard, other)
    )
    for name, weight in first.weights.items():
        np.testing.assert_array_equal(weight, second.weights[name])


def test_factors_without_listens_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"listener_factors.*no listens.*set it to 0"):
        trained(tmp_path, follows=True, listens=False)


@pytest.mark.parametrize("pooling", ["pairs", "mean"])
def test_many_clips_are_scored_by_blocks_to_the_same_values(
    pooling: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a similarity of neighbours, which are all kept here."""
    clips, similarity, _ = corpus(follows=True)
    clips = clips.select(np.append(np.arange(N_ARTISTS), np.arange(0, N_ARTISTS, 3)))
    ids = ARTISTS[:75]
    model = read_params("training", TrainingParams, PARAMS).model.model_copy(
        update={"branches": "statistics", "statistics_units": N_DIMS}
    )
    net = untrained_scorer(clips, model).net
    every, queries = np.arange(75), np.array([2, 3, 50])

    def validated(matrix: SimilarityMatrix) -> tuple[list[float], np.ndarray]:
        examples = collect_examples(clips, replace(similarity, matrix=matrix), ids, [])
        batches = Batches.from_examples(examples, torch.device("cpu"))
        validator = Validator(
            clips=batches,
            queries=queries,
            truth=rank_validation(examples.similarity, queries, 1),
            objective="approx_ndcg",
            precision="float32",
            seed=1,
        )
        u = encode_clips(batches, net, "float32")
        index = torch.from_numpy(batches.artist_index)
        scores = scores_by_all_pairs(u, net, index, pooling)[queries]
        blocks = list(score_queries(u, net, batches, queries, pooling))
        np.testing.assert_allclose(
            1 + np.concatenate([each for _, each in blocks]), scores.detach().numpy(), rtol=1e-4
        )
        assert np.concatenate([rows for rows, _ in blocks]).tolist() == queries.tolist()
        slope, shift = calibrate_artists(u, net, batches, examples.similarity, every)
        return [*validator(net), slope, shift], scores.detach().numpy()

    whole, _ = validated(similarity.matrix)
    monkeypatch.setattr("twinear.training.validation.WHOLE", 10)
    monkeypatch.setattr("twinear.training.validation.SCORES", 100)
    by_blocks, _ = validated(csr_array(similarity.matrix))
    assert by_blocks == pytest.approx(whole, rel=1e-4)
    monkeypatch.setattr("twinear.training.validation.GROUP", 20)
    assert validated(similarity.matrix)[0][1:] == pytest.approx(whole[1:], rel=1e-4)


def test_neighbours_that_are_all_kept_teach_what_all_pairs_teach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(tmp_path, follows=True, epochs=2)
    sparse = trained(tmp_path, follows=True, epochs=2, sparse=True)
    assert sparse.decision == whole.decision
    for name, weight in whole.scorer.weights.items():
        np.testing.assert_array_equal(sparse.scorer.weights[name], weight)
    monkeypatch.setattr("twinear.training.validation.WHOLE", 10)
    monkeypatch.setattr("twinear.training.validation.SCORES", 100)
    by_blocks = trained(tmp_path, follows=True, epochs=2, sparse=True)
    for one, other in zip(by_blocks.decision.steps, whole.decision.steps, strict=True):
        assert one.after == pytest.approx(other.after, abs=0.02)
        assert one.queries == other.queries
    few = trained(tmp_path, follows=True, epochs=2, sparse=True, max_queries=30)
    assert [step.queries for step in few.decision.steps] == pytest.approx([30, 8], abs=3)


def test_an_epoch_has_as_many_steps_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Draws] = []
    step = Draws.step

    def counted(self: Draws, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn.append(self)
        return step(self, rng)

    monkeypatch.setattr(Draws, "step", counted)
    asked: dict[str, Any] = {"epochs": 2, "refit": False, "listener_factors": 0}
    trained(tmp_path, follows=True, steps_per_epoch=3, **asked)
    assert len(drawn) == 2 * 3
    trained(tmp_path, follows=True, steps_per_epoch=0, batch_artists=32, **asked)
    assert len(drawn) == 6 + 2 * 3  # 1,485 pairs, 496 in a step


def test_scores_that_are_all_but_1_are_still_in_order() -> None:
    logits = torch.tensor([60.0, 40.0, 18.0, 0.0])
    assert torch.sigmoid(logits)[:3].unique().numel() == 1
    assert (_below_one(logits).diff() < 0).all()
