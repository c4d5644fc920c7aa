"""The untrained scorer is where a training starts, and a plain cosine."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS
from tests.support.trainings import params, planted
from twinear.base.params import read_params
from twinear.model.params import ModelParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training import untrained
from twinear.training.scorer_training import train_scorer
from twinear.training.untrained import untrained_scorer

N = 36


def clips_of(values: np.ndarray, artist_index: np.ndarray, embeddings: str) -> Spectrograms:
    front = read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
        update={"n_mels": 12, "n_frames": 24, "n_mfcc": 1, "embeddings": embeddings}
    )
    names = [f"artist {artist:02}" for artist in artist_index]
    table = pd.DataFrame({"file": [f"{row}.wav" for row in range(len(names))], "artist": names})
    n = len(names)
    return Spectrograms(
        clips=table.assign(name=names, title="", source="", seconds=30.0),
        values=values,
        mfcc_mean=np.zeros((n, 1), np.float32),
        mfcc_cov=np.ones((n, 1, 1), np.float32),
        front=front,
        joined=np.empty((n, 0), np.float32),
    )


@pytest.fixture(scope="module")
def clips() -> Spectrograms:
    examples = planted(N, 1)
    return clips_of(np.asarray(examples.clip_inputs.values), examples.artist_index, "none")


def shape(**changes: object) -> ModelParams:
    return params(model=changes).model


def test_a_training_starts_from_it(clips: Spectrograms, tmp_path: Path) -> None:
    examples = planted(N, 1)
    artists = pd.DataFrame({"artist": sorted(set(clips.clips["artist"]))})
    artists = artists.assign(name=artists["artist"], mbid="", listeners=9, plays=9)
    similarity = Similarity(artists=artists, matrix=examples.similarity.astype(np.float32))
    ids = list(artists["artist"])
    split = Split.from_ids(artists, train=ids[:24], validation=ids[24:])
    chosen = params(epochs=1, model={"branches": "statistics"}).network_alone
    trained = train_scorer(clips, similarity, split, chosen, tmp_path / "checkpoint.pt")
    of_training = np.flatnonzero(clips.clips["artist"].isin(ids[:24]))
    start = untrained_scorer(clips.select(of_training), chosen.model)
    for name in ("statistics.middle", "statistics.axes"):  # which are not trained
        assert np.array_equal(trained.scorer.weights[name], start.weights[name])
    assert trained.scorer.weights["statistics.map.weight"].any()
    assert not start.weights["statistics.map.weight"].any()


def test_of_an_embedding_it_is_the_cosine_of_standardised_vectors() -> None:
    vectors = np.random.default_rng(1).normal(3, 2, (30, 5)).astype(np.float32)
    clips = clips_of(vectors[:, :, None], np.arange(30), "only")
    u = untrained_scorer(clips, shape(statistics_units=5)).encode_spectrograms(clips)
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    assert np.allclose(u @ u.T, standard @ standard.T, atol=1e-4)


@pytest.mark.parametrize("branches", ["convolutions", "both"])
def test_layers_that_were_not_trained_take_no_part(clips: Spectrograms, branches: str) -> None:
    whole, alone = shape(branches=branches, head="l1"), shape(branches="statistics", head="cosine")
    first, second = (untrained_scorer(clips, each) for each in (whole, alone))
    assert first.model == second.model
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_two_artists_of_many_clips_differ_in_more_than_one_dimension() -> None:
    vectors = np.random.default_rng(2).normal(size=(20, 5)).astype(np.float32)
    clips = clips_of(vectors[:, :, None], np.arange(20) % 2, "only")
    u = untrained_scorer(clips, shape(statistics_units=5)).encode_spectrograms(clips)
    assert np.linalg.matrix_rank(u, tol=1e-3) == 5


def test_of_very_many_clips_evenly_spaced_ones_are_enough(
    clips: Spectrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrained, "MOST", 40)  # of 72: every second one
    half = untrained_scorer(clips.select(np.arange(0, 2 * N, 2)), shape())
    some = untrained_scorer(clips, shape())
    assert all(np.array_equal(some.weights[name], half.weights[name]) for name in some.weights)
