"""Which clips a step takes: distinct artists, similar ones when asked, their clips and target."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from tests.conftest import PARAMS
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.similarity.similarity import Similarity, dense
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.batches import Batches, ClipInputs, Examples, collect_examples
from twinear.training.draws import Draws, StepDraw

CPU = torch.device("cpu")


def examples(n_artists: int = 30, n_clips: int = 3) -> Examples:
    """Artists in groups of three that are similar; clip i is filled with i."""
    artist_index = np.random.default_rng(0).permutation(np.repeat(np.arange(n_artists), n_clips))
    values = np.broadcast_to(np.arange(len(artist_index))[:, None, None], (len(artist_index), 2, 4))
    group = np.arange(n_artists) // 3
    return Examples(
        clip_inputs=ClipInputs(
            values=values.astype(np.float16), joined=np.arange(len(artist_index))[:, None]
        ),
        artist_index=artist_index,
        similarity=(group[:, None] == group).astype(float),
        validation=np.arange(n_artists) % 5 == 0,
    )


def draw(
    data: Examples, size: int, n_clips: int, similar: float, generator: np.random.Generator
) -> StepDraw:
    """Draw a step."""
    clips = Batches.from_examples(data, CPU).clips
    return Draws(
        clips=clips,
        similarity=data.similarity,
        n_artists=size,
        n_clips=n_clips,
        similar=similar,
    ).step(generator)


def sparse(data: Examples) -> Examples:
    return replace(data, similarity=csr_array(dense(data.similarity).astype(np.float32)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
@pytest.mark.parametrize("similar", [0.0, 0.5, 1.0])
def test_a_step_has_distinct_artists_and_at_most_so_many_clips_of_each(
    similar: float, kind: type
) -> None:
    data = examples()
    data = replace(data, similarity=kind(dense(data.similarity)))
    for seed in range(20):
        artists, rows = draw(data, 8, 2, similar, rng(seed))
        assert len(set(artists)) == len(artists) == 8
        assert len(set(rows)) == len(rows)
        counts = np.bincount(data.artist_index[rows], minlength=30)
        assert set(np.flatnonzero(counts)) == set(artists)
        assert set(counts[artists]) == {2}


def test_no_more_artists_and_clips_than_there_are() -> None:
    for data in (examples(n_artists=6), sparse(examples(n_artists=6))):
        artists, rows = draw(data, 64, 10, 0.5, rng())
        assert sorted(artists) == list(range(6))
        assert sorted(rows) == list(range(18))


def test_every_artist_and_clip_gets_its_turn() -> None:
    data, generator = examples(), rng()
    drawn = [draw(data, 6, 1, 0.0, generator) for _ in range(600)]
    counts = np.bincount(np.concatenate([artists for artists, _ in drawn]), minlength=30)
    assert counts.min() > 0.6 * counts.mean()
    clips = np.bincount(np.concatenate([rows for _, rows in drawn]), minlength=90)
    assert clips.min() > 0.4 * clips.mean()


def test_similar_artists_meet_when_asked() -> None:
    """Of 300 artists each is similar to two: by chance a step of six hardly ever has a pair."""
    data = examples(n_artists=300, n_clips=1)

    def met(similarity: np.ndarray | csr_array, similar: float) -> float:
        """The mean share of artists of a step that have a similar one in it."""
        generator, shares = rng(), []
        for _ in range(100):
            artists, _ = draw(replace(data, similarity=similarity), 6, 1, similar, generator)
            others = dense(data.similarity[artists][:, artists]) - np.eye(6)
            shares.append((others > 0).any(axis=1).mean())
        return float(np.mean(shares))

    for similarity in (data.similarity, sparse(data).similarity):
        assert met(similarity, 0.0) < 0.1
        assert met(similarity, 0.5) > 0.8


def test_artists_without_neighbours_are_drawn_and_beside_them_random_others() -> None:
    data = replace(examples(n_artists=9), similarity=csr_array(np.eye(9)))
    artists, _ = draw(data, 6, 1, 0.5, rng())
    assert len(set(artists)) == 6


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_the_steps_of_an_epoch_depend_on_the_generator_alone(kind: type) -> None:
    data = examples()
    draws = Draws(
        clips=Batches.from_examples(data, CPU).clips,
        similarity=kind(dense(data.similarity)),
        n_artists=8,
        n_clips=2,
        similar=0.5,
    )
    first, again = ([*draws.steps(5, rng(seed))] for seed in (3, 3))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.artists, other.artists)
        assert np.array_equal(one.clips, other.clips)


def test_a_step_says_whose_each_clip_is_and_how_similar_they_are() -> None:
    data, batches = examples(), Batches.from_examples(examples(), CPU)
    artists, rows = draw(data, 5, 2, 0.5, rng())
    step = batches.take(rows, artists)
    assert torch.equal(step.x[:, 0, 0].long(), torch.from_numpy(rows))
    assert torch.equal(step.joined[:, 0].long(), torch.from_numpy(rows))
    assert step.x.dtype == torch.float32
    assert np.array_equal(artists[step.artist_index.numpy()], data.artist_index[rows])
    assert np.array_equal(step.target.numpy(), dense(data.similarity)[np.ix_(artists, artists)])
    by_neighbours = Batches.from_examples(sparse(data), CPU).take(rows, artists)
    assert torch.equal(by_neighbours.target, step.target)


def test_without_artists_a_step_keeps_their_numbers_and_has_no_target() -> None:
    data, batches = examples(), Batches.from_examples(examples(), CPU)
    step = batches.take(np.arange(10))
    assert np.array_equal(step.artist_index.numpy(), data.artist_index[:10])
    assert step.target.shape == (0, 0)


def test_a_part_of_the_examples_has_the_clips_and_similarity_of_its_artists() -> None:
    data = examples()
    part = data.select(data.validation)
    wanted = np.flatnonzero(data.validation)
    clips = np.flatnonzero(data.validation[data.artist_index])
    assert np.array_equal(part.clip_inputs.values, data.clip_inputs.values[clips])
    assert np.array_equal(part.clip_inputs.joined, data.clip_inputs.joined[clips])
    assert np.array_equal(wanted[part.artist_index], data.artist_index[clips])
    expected = dense(data.similarity)[np.ix_(wanted, wanted)]
    assert np.array_equal(dense(part.similarity), expected)
    assert part.validation.all()
    by_neighbours = sparse(data).select(data.validation).similarity
    assert np.array_equal(dense(by_neighbours), expected)


def test_an_artist_without_a_clip_is_refused() -> None:
    data = examples()
    without = replace(data, artist_index=np.minimum(data.artist_index, 28))
    with pytest.raises(DataError, match=r"training: .*without a clip"):
        Batches.from_examples(without, CPU)


def test_examples_are_the_clips_of_two_splits_and_of_nobody_else() -> None:
    front = read_params("spectrograms", SpectrogramsParams, PARAMS)
    artist_indices = ["test", "b", "a", "c", "b", "nobody", "a"]
    table = pd.DataFrame(
        {"file": [str(i) for i in range(7)], "artist": artist_indices, "name": artist_indices}
    )
    clips = Spectrograms(
        clips=table,
        values=np.broadcast_to(np.arange(7)[:, None, None], (7, 2, 3)).astype(np.float16),
        mfcc_mean=np.zeros((7, 3), np.float32),
        mfcc_cov=np.tile(np.eye(3, dtype=np.float32), (7, 1, 1)),
        front=front,
        joined=np.zeros((7, 0), np.float32),
    )
    ids = ["c", "test", "a", "b"]
    matrix = (np.arange(16).reshape(4, 4) / 16).astype(np.float32)
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": 3, "plays": 3})
    made = collect_examples(clips, Similarity(artists=artists, matrix=matrix), ["b", "a"], ["c"])
    assert made.clip_inputs.values[:, 0, 0].tolist() == [1, 2, 3, 4, 6]
    assert made.artist_index.tolist() == [0, 1, 2, 0, 1]
    assert made.validation.tolist() == [False, False, True]
    assert (dense(made.similarity) * 16).tolist() == [[15, 14, 12], [11, 10, 8], [3, 2, 0]]
    known = Similarity(artists=artists[:3], matrix=matrix[:3, :3])
    with pytest.raises(DataError, match=r"training: .*'b'.*dvc repro split"):
        collect_examples(clips, known, ["b", "a"], ["c"])
