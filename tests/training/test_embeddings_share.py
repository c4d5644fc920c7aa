"""Which share embeddings have in a scorer: candidates, views, and who chooses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import PARAMS
from tests.support.scorers import FRONT
from tests.training.test_scorer_training import ARTISTS, corpus
from twinear.base.errors import DataError, ParamsError
from twinear.base.params import parse_params, read_params
from twinear.model.inputs import Embedding, LogMel
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.embeddings_share import at_share, candidate_shares
from twinear.training.keeping import KeepDecision, decide_share, describe, measures
from twinear.training.scorer_training import Trained, train_scorer
from twinear.training.training import TrainingParams
from twinear.training.untrained import untrained_scorer

AUTO = FRONT.model_copy(update={"embeddings": "auto", "n_mels": 8, "n_frames": 8})
MODEL = read_params("training", TrainingParams, PARAMS).model


def both(embeddings_follow: bool) -> tuple[Spectrograms, Similarity]:
    """Clips whose embeddings say who listens and log-mels nothing, or the other way round."""
    of_embeddings, similarity, _ = corpus(follows=True)
    taste = np.array(of_embeddings.values[:, :2, 0])
    rng = np.random.default_rng(1)
    place = rng.random(len(taste)) if embeddings_follow else (taste[:, 0] + 3) / 6
    depth = rng.random(len(taste)) if embeddings_follow else (taste[:, 1] + 3) / 6
    wave = np.sin(np.arange(8) * np.pi / 2) > 0
    band = np.exp(-((place[:, None] * 8 - np.arange(8)) ** 2))
    values: npt.NDArray[np.float64] = (
        1 - 0.4 * (1 - band[:, :, None]) - 0.5 * depth[:, None, None] * wave
    )
    clips = replace(
        of_embeddings,
        front=AUTO,
        values=np.clip(values, 0, 1).astype(np.float16),
        joined=np.asarray(taste if embeddings_follow else rng.normal(size=taste.shape), np.float32),
        extractor="some network",
    )
    return clips, similarity


def trained(clips: Spectrograms, similarity: Similarity, folder: Path) -> Trained:
    values = read_params("training", TrainingParams, PARAMS).model_dump(mode="json")
    values |= {"listener_factors": 0, "epochs": 0, "threads": 1, "device": "cpu"}
    values["model"] |= {"statistics_units": 8}
    split = Split.from_ids(similarity.artists, train=ARTISTS[:55], validation=ARTISTS[55:75])
    params = parse_params("training", TrainingParams, values, PARAMS)
    return train_scorer(clips, similarity, split, params, folder / "c.pt")


def test_embeddings_that_listeners_follow_are_taken_alone(tmp_path: Path) -> None:
    clips, similarity = both(embeddings_follow=True)
    made = trained(clips, similarity, tmp_path)
    assert made.decision.embeddings is not None
    assert (made.decision.embeddings.share, made.decision.embeddings.queries) == (1.0, 75)
    assert made.scorer.inputs == Embedding(n_dims=2, n_frames=1, extractor="some network")
    assert made.scorer.spectrograms.embeddings == "only"
    assert made.scorer.model.branches == "statistics"
    assert made.scorer.encode_spectrograms(clips).shape == (len(ARTISTS), made.scorer.units)


def test_log_mels_that_listeners_follow_need_no_network(tmp_path: Path) -> None:
    clips, similarity = both(embeddings_follow=False)
    made = trained(clips, similarity, tmp_path)
    assert made.decision.embeddings is not None
    assert made.decision.embeddings.share == 0.0
    assert isinstance(made.scorer.inputs, LogMel)
    assert (made.scorer.inputs.n_joined, made.scorer.inputs.extractor) == (0, "")
    plain = clips.for_front_end(AUTO.model_copy(update={"embeddings": "none"}))
    np.testing.assert_array_equal(
        made.scorer.encode_spectrograms(clips), made.scorer.encode_spectrograms(plain)
    )
    alone = trained(plain, similarity, tmp_path)  # the choice itself changes nothing
    assert alone.decision.embeddings is None
    for name, weight in made.scorer.weights.items():
        np.testing.assert_array_equal(weight, alone.scorer.weights[name])


def test_test_artists_choose_nothing(tmp_path: Path) -> None:
    clips, similarity = both(embeddings_follow=True)
    joined, matrix = clips.joined.copy(), similarity.matrix.copy()
    joined[75:] = 100 * np.random.default_rng(0).normal(size=joined[75:].shape)
    matrix[75:] = matrix[:, 75:] = 0
    other = trained(replace(clips, joined=joined), replace(similarity, matrix=matrix), tmp_path)
    assert other.decision == trained(clips, similarity, tmp_path).decision


def test_the_front_end_limits_the_choice() -> None:
    fronts = {each: AUTO.model_copy(update={"embeddings": each}) for each in ("none", "only")}
    assert candidate_shares(AUTO, MODEL) == MODEL.embeddings_shares == (1.0, 0.0, 0.75)
    assert candidate_shares(fronts["none"], MODEL) == (0.0,)
    assert candidate_shares(fronts["only"], MODEL) == (1.0,)
    concat = AUTO.model_copy(update={"embeddings": "concat"})
    assert candidate_shares(concat, MODEL) == (0.75,)
    with pytest.raises(ParamsError, match=r"embeddings_shares: found \[1\.0\].*between"):
        candidate_shares(concat, MODEL.model_copy(update={"embeddings_shares": (1.0,)}))


def test_views_share_the_arrays_of_what_holds_both() -> None:
    clips, _ = both(embeddings_follow=True)
    view, model = at_share(clips, MODEL, 0.75)
    assert (view.front.embeddings, model.embeddings_shares) == ("concat", (0.75,))
    assert view.values is clips.values
    only, model = at_share(clips, MODEL, 1.0)
    np.testing.assert_array_equal(only.values[:, :, 0], clips.joined)
    assert (only.joined.shape, model.branches) == ((len(ARTISTS), 0), "statistics")
    longer = clips.front.model_copy(update={"n_frames": 9, "embeddings": "none"})
    assert clips.for_front_end(longer) is clips  # nothing is computed
    assert only.for_front_end(view.front) is only


def test_without_listens_the_first_share_is_taken() -> None:
    clips, _ = both(embeddings_follow=True)
    scorer = untrained_scorer(clips, MODEL)
    assert (scorer.spectrograms.embeddings, scorer.model.embeddings_shares) == ("only", (1.0,))


def test_a_scorer_refuses_embeddings_of_another_network(tmp_path: Path) -> None:
    clips, similarity = both(embeddings_follow=True)
    scorer = trained(clips, similarity, tmp_path).scorer
    with pytest.raises(DataError, match="extractor another"):
        scorer.encode_spectrograms(replace(clips, extractor="another"))


def test_the_decision_is_said_and_counted() -> None:
    values = np.stack([np.full(9, 0.5), np.full(9, 0.75), np.full(9, 0.25)])
    decision = KeepDecision(
        kept="untrained", keep="better", embeddings=decide_share(values, (1.0, 0.0, 0.75), seed=1)
    )
    said = describe(decision)
    assert "statistics of their spectrograms" in said
    assert "on 9 held-out artists is .750" in said
    assert "it would be .500; the difference is +.250 [+.250, +.250]" in said
    assert measures(decision) == {"embeddings_share": 0.0}
    undefined = decide_share(np.full((2, 9), np.nan), (1.0, 0.0), seed=1)
    assert (undefined.share, undefined.queries) == (1.0, 0)
    unheard = KeepDecision(kept="untrained", keep="better", embeddings=undefined)
    assert "no listens could choose" in describe(unheard)
