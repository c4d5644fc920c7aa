"""Untrained scorers, and spectrograms for them."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from tests.conftest import PARAMS
from twinear.base.params import read_params
from twinear.model.network import SiameseNet
from twinear.model.scorer import Scorer, input_of
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.training.training import TrainingParams

FRONT = read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
    update={"n_mels": 16, "n_frames": 64, "embeddings": "none"}
)
JOINED, ALONE = (FRONT.model_copy(update={"embeddings": each}) for each in ("concat", "only"))


def small_scorer(
    seed: int = 0,
    front: SpectrogramsParams = FRONT,
    n_dims: int = 0,
    extractor: str = "",
    **changes: Any,
) -> Scorer:
    """A scorer of the shape of `params.yaml`, but small, with `changes`."""
    shape = read_params("training", TrainingParams, PARAMS).model
    few = {"channels": 8, "dense_units": 8, "statistics_units": 4, "embeddings_shares": (0.75,)}
    shape = shape.model_copy(update=few | changes)
    torch.manual_seed(seed)
    inputs = input_of(clip_spectrograms(2, front, n_dims, extractor))
    net = SiameseNet(inputs, shape)
    if net.statistics is not None:
        torch.nn.init.normal_(net.statistics.axes, std=0.1)  # as if it were fitted
    return Scorer.from_net(net, front, shape)


def spectrograms(clips: int, n_bands: int = 16, n_frames: int = 64) -> np.ndarray:
    return np.random.default_rng(0).random((clips, n_bands, n_frames)).astype(np.float16)


def clip_spectrograms(
    clips: int, front: SpectrogramsParams = FRONT, n_dims: int = 0, extractor: str = ""
) -> Spectrograms:
    """Clips of random values with the shapes of a front end, each of an artist of its own."""
    names = [f"a{i}" for i in range(clips)]
    rng = np.random.default_rng(0)
    joined = n_dims if front.embeddings == "concat" else 0
    values = spectrograms(clips, front.n_mels, front.n_frames)
    if front.embeddings == "only":
        values = rng.normal(size=(clips, n_dims, 1)).astype(np.float32)
    return Spectrograms(
        clips=pd.DataFrame(
            {"file": [f"clips/{each}.mp3" for each in names], "artist": names}
        ).assign(name=names, title="", source="", seconds=30.0),
        values=values,
        mfcc_mean=np.zeros((clips, 20), np.float32),
        mfcc_cov=np.tile(np.eye(20, dtype=np.float32), (clips, 1, 1)),
        front=front,
        joined=rng.normal(size=(clips, joined)).astype(np.float32),
        extractor=extractor,
    )
