"""Which clips a step takes: distinct artists, similar ones when asked, their clips and target."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import PARAMS
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.batches import Batches, ClipInputs, Examples, collect_examples

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


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("similar", [0.0, 0.5, 1.0])
def test_a_step_has_distinct_artists_and_at_most_so_many_clips_of_each(similar: float) -> None:
    data, batches = examples(), Batches.from_examples(examples(), CPU)
    for seed in range(20):
        artists, rows = batches.draw(8, 2, similar, rng(seed))
        assert len(set(artists)) == len(artists) == 8
        assert len(set(rows)) == len(rows)
        counts = np.bincount(data.artist_index[rows], minlength=30)
        assert set(np.flatnonzero(counts)) == set(artists)
        assert set(counts[artists]) == {2}


def test_no_more_artists_and_clips_than_there_are() -> None:
    batches = Batches.from_examples(examples(n_artists=6), CPU)
    artists, rows = batches.draw(64, 10, 0.5, rng())
    assert sorted(artists) == list(range(6))
    assert sorted(rows) == list(range(18))


def test_every_artist_and_clip_gets_its_turn() -> None:
    batches, generator = Batches.from_examples(examples(), CPU), rng()
    drawn = [batches.draw(6, 1, 0.0, generator) for _ in range(600)]
    counts = np.bincount(np.concatenate([artists for artists, _ in drawn]), minlength=30)
    assert counts.min() > 0.6 * counts.mean()
    clips = np.bincount(np.concatenate([rows for _, rows in drawn]), minlength=90)
    assert clips.min() > 0.4 * clips.mean()


def test_similar_artists_meet_when_asked() -> None:
    """Of 300 artists each is similar to two: by chance a step of six hardly ever has a pair."""
    batches = Batches.from_examples(examples(n_artists=300, n_clips=1), CPU)

    def met(similar: float) -> float:
        """The mean share of artists of a step that have a similar one in it."""
        generator, shares = rng(), []
        for _ in range(200):
            target = batches.target[(artists := batches.draw(6, 1, similar, generator)[0])]
            others = target[:, artists].fill_diagonal_(0)
            shares.append(float((others > 0).any(dim=1).float().mean()))
        return float(np.mean(shares))

    assert met(0.0) < 0.1
    assert met(0.5) > 0.8


def test_a_step_says_whose_each_clip_is_and_how_similar_they_are() -> None:
    data, batches = examples(), Batches.from_examples(examples(), CPU)
    artists, rows = batches.draw(5, 2, 0.5, rng())
    step = batches.take(rows, artists)
    assert torch.equal(step.x[:, 0, 0].long(), torch.from_numpy(rows))
    assert torch.equal(step.joined[:, 0].long(), torch.from_numpy(rows))
    assert step.x.dtype == torch.float32
    assert np.array_equal(artists[step.artist_index.numpy()], data.artist_index[rows])
    assert np.array_equal(step.target.numpy(), data.similarity[np.ix_(artists, artists)])


def test_without_artists_a_step_keeps_all_of_them() -> None:
    data, batches = examples(), Batches.from_examples(examples(), CPU)
    step = batches.take(np.arange(10))
    assert np.array_equal(step.artist_index.numpy(), data.artist_index[:10])
    assert step.target is batches.target


def test_a_part_of_the_examples_has_the_clips_and_similarity_of_its_artists() -> None:
    data = examples()
    part = data.select(data.validation)
    wanted = np.flatnonzero(data.validation)
    clips = np.flatnonzero(data.validation[data.artist_index])
    assert np.array_equal(part.clip_inputs.values, data.clip_inputs.values[clips])
    assert np.array_equal(part.clip_inputs.joined, data.clip_inputs.joined[clips])
    assert np.array_equal(wanted[part.artist_index], data.artist_index[clips])
    assert np.array_equal(part.similarity, data.similarity[np.ix_(wanted, wanted)])
    assert part.validation.all()


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
    assert (made.similarity * 16).tolist() == [[15, 14, 12], [11, 10, 8], [3, 2, 0]]
    known = Similarity(artists=artists[:3], matrix=matrix[:3, :3])
    with pytest.raises(DataError, match=r"training: .*'b'.*dvc repro split"):
        collect_examples(clips, known, ["b", "a"], ["c"])
