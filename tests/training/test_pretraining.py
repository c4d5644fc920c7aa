"""Learning from clips alone: parts of one clip come together, and test clips never take part."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import PARAMS
from tests.support.networks import shape
from tests.support.trainings import planted
from twinear.base.params import read_params
from twinear.model.inputs import Embedding, LogMel
from twinear.model.network import SiameseNet
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.augmentation import AugmentationParams, cropped
from twinear.training.pretraining import PretrainingParams, agreement, map_size, pretrain
from twinear.training.scorer_training import select_unlabelled

SOUND = LogMel(n_mels=12, n_frames=24, frames_per_second=8.0, top_db=80.0)
REST = AugmentationParams(min_crop=1, tilt_db=0, freq_mask=0, time_mask=0, mixup=0)


def test_the_agreement_of_two_clips_by_hand() -> None:
    """First parts 0 and 90 degrees, second parts 0 and 180."""
    u = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    cosines = {  # of each part: the other part of its clip, then the strangers
        0: [1.0, 0.0, -1.0],
        1: [0.0, 0.0, 0.0],
        2: [1.0, 0.0, -1.0],
        3: [0.0, -1.0, -1.0],
    }
    losses = [
        -each[0] / 0.5 + math.log(sum(math.exp(cosine / 0.5) for cosine in each))
        for each in cosines.values()
    ]
    assert agreement(u, 0.5).item() == pytest.approx(sum(losses) / 4, rel=1e-6)


def test_parts_that_agree_cost_less_than_parts_that_do_not() -> None:
    u = torch.eye(8)[:4]
    same, shuffled = torch.cat([u, u]), torch.cat([u, u.roll(1, dims=0)])
    assert agreement(same, 0.1) < agreement(shuffled, 0.1)
    assert agreement(same, 0.1).item() == pytest.approx(math.log(1 + 6 * math.exp(-10)), abs=1e-6)


def drawn_clips(seed: int) -> torch.Tensor:
    """Clips of twelve artists, that vary over time."""
    return torch.from_numpy(planted(12, seed).clip_inputs.values).float()


def agreeing(net: SiameseNet, x: torch.Tensor) -> float:
    """How much nearer a clip's two parts are to each other than to the parts of other clips."""
    generator = torch.Generator().manual_seed(5)
    net.eval()
    with torch.inference_mode():
        parts = (cropped(x, 0.5, generator) for _ in range(2))
        u, v = (
            torch.nn.functional.normalize(net.encode(each, each.new_zeros((len(x), 0))), dim=1)
            for each in parts
        )
        cosine = u @ v.T
    return float(cosine.diag().mean() - cosine.mean())


def test_after_pretraining_parts_of_a_clip_are_nearer_than_parts_of_others() -> None:
    torch.manual_seed(0)
    tiny = {"branches": "convolutions", "channels": 16, "dense_units": 16}
    net = SiameseNet(SOUND, shape(**tiny))
    x, held_out = drawn_clips(1), drawn_clips(2)
    before = agreeing(net, held_out)
    params = PretrainingParams(epochs=30, min_crop=0.5, temperature=0.1, batch_clips=12)
    generator = torch.Generator().manual_seed(1)
    pretrain(net, x, x.new_zeros((len(x), 0)), params, REST, 3e-3, 0.0, generator)
    assert agreeing(net, held_out) > before + 0.2


def test_a_single_clip_and_vectors_without_time_survive() -> None:
    joined = Embedding(n_dims=6, n_frames=1)
    net = SiameseNet(joined, shape(branches="both", channels=4, dense_units=4))
    x = torch.randn(1, 6, 1)
    params = PretrainingParams(epochs=1, min_crop=0.5, temperature=0.1, batch_clips=64)
    pretrain(net, x, torch.zeros(1, 0), params, REST, 1e-3, 0.1, torch.Generator())
    assert all(bool(torch.isfinite(each).all()) for each in net.parameters())


def test_the_pull_is_towards_the_identity() -> None:
    net = SiameseNet(SOUND, shape(branches="statistics", statistics_units=2))
    assert net.statistics is not None
    with torch.no_grad():
        net.statistics.map.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -2.0]]))
        assert float(map_size(net)) == 9
    assert map_size(SiameseNet(SOUND, shape(branches="convolutions"))) == 0


def test_clips_of_validation_and_test_artists_never_take_part() -> None:
    artist_indices = ["train", "test", "nobody", "validation", "test", "nobody else"]
    table = pd.DataFrame(
        {"file": [str(i) for i in range(6)], "artist": artist_indices, "name": artist_indices}
    )
    clips = Spectrograms(
        clips=table,
        values=np.broadcast_to(np.arange(6)[:, None, None], (6, 2, 3)).astype(np.float16),
        mfcc_mean=np.zeros((6, 3), np.float32),
        mfcc_cov=np.tile(np.eye(3, dtype=np.float32), (6, 1, 1)),
        front=read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
            update={"embeddings": "none"}
        ),
        joined=np.zeros((6, 0), np.float32),
    )
    ids = ["train", "validation", "test"]
    split = Split(artists=pd.DataFrame({"artist": ids, "name": ids, "split": ids}))
    assert select_unlabelled(clips, split).values[:, 0, 0].tolist() == [2, 5]
