"""Shapes of the network."""

from tests.conftest import PARAMS
from twinear.base.params import parse_params, read_params
from twinear.model.params import ModelParams
from twinear.training.training import TrainingParams

ORIGINAL = {  # the network of 2019
    "branches": "convolutions", "conv_depth": 3, "kernel_size": 3, "channels": 128,
    "time_downsampling": 1, "max_pool": [4, 2],
    "dilation": 1, "residual": False, "global_pooling": "max", "dense_units": 128, "dropout": 0.0,
    "head": "l1",
}  # fmt: skip


def shape(**changes: object) -> ModelParams:
    values = read_params("training", TrainingParams, PARAMS).model.model_dump(mode="json")
    return parse_params("training", ModelParams, values | changes, PARAMS)
