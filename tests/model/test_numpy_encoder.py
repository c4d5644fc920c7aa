"""The encoder without torch: it gives what the network gives, for every shape of the network."""

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import shape
from twinear.model import numpy_encoder
from twinear.model.inputs import Embedding, InputSpec, LogMel
from twinear.model.network import SiameseNet
from twinear.model.params import ModelParams

LOG_MELS = st.builds(
    LogMel,
    n_mels=st.sampled_from([1, 2, 3, 20, 50]),  # often as many as channels
    n_frames=st.integers(2, 70),
    frames_per_second=st.sampled_from([2.0, 8.0, 43.0]),
    top_db=st.just(80.0),
    n_joined=st.integers(0, 3),
)
EMBEDDINGS = st.builds(Embedding, n_dims=st.integers(1, 20), n_frames=st.integers(1, 40))

SHAPES = st.fixed_dictionaries(
    {
        "branches": st.sampled_from(["convolutions", "statistics", "both"]),
        "conv_depth": st.integers(1, 5),
        "kernel_size": st.integers(1, 8),
        "channels": st.integers(1, 3),
        "time_downsampling": st.integers(1, 5),
        "max_pool": st.lists(st.integers(1, 5), max_size=5),
        "dilation": st.integers(1, 3),
        "residual": st.booleans(),
        "global_pooling": st.sampled_from(["max", "statistics"]),
        "dense_units": st.integers(1, 7),
        "statistics_units": st.integers(1, 7),
        "dropout": st.sampled_from([0.0, 0.5]),  # which counts in training alone
        "head": st.sampled_from(["l1", "cosine"]),
    }
)


def factors_of(params: ModelParams) -> int:
    """Listener factors where a network may have some: with statistics and the cosine head."""
    return 3 if params.branches != "convolutions" and params.head == "cosine" else 0


def random_net(inputs: InputSpec, params: ModelParams, n_factors: int) -> SiameseNet:
    """A network in double precision whose weights, and whatever else it holds, are random."""
    net = SiameseNet(inputs, params, n_factors).double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, each in net.state_dict().items():
        if each.is_floating_point():
            values = torch.randn(each.shape, generator=generator, dtype=each.dtype)
            if name.endswith(("var", "factors.share")):
                values = values.square().clamp(max=1)
            each.copy_(values)
    return net


@given(inputs=LOG_MELS | EMBEDDINGS, changes=SHAPES, clips=st.integers(1, 3), factors=st.booleans())
@settings(max_examples=100, deadline=None)
def test_it_encodes_as_every_network_does(
    inputs: InputSpec, changes: dict[str, Any], clips: int, factors: bool
) -> None:
    params = shape(**changes)
    n_factors = factors_of(params) if factors else 0
    net = random_net(inputs, params, n_factors)
    weights = {name: each.numpy() for name, each in net.state_dict().items()}
    rng = np.random.default_rng(0)
    x, joined = rng.random((clips, *inputs.shape)), rng.normal(size=(clips, inputs.n_joined))
    found = numpy_encoder.encode(inputs, params, weights, x, joined)
    with torch.inference_mode():
        expected = net.encode(torch.from_numpy(x), torch.from_numpy(joined)).numpy()
    units = numpy_encoder.count_units(params) + n_factors
    assert found.shape == (clips, units) == (clips, net.units)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@given(inputs=LOG_MELS | EMBEDDINGS, changes=SHAPES)
@settings(max_examples=50, deadline=None)
def test_the_weights_it_expects_are_those_of_the_network(
    inputs: InputSpec, changes: dict[str, Any]
) -> None:
    params = shape(**changes)
    for n_factors in {0, factors_of(params)}:
        state = SiameseNet(inputs, params, n_factors).state_dict()
        expected = {name: tuple(each.shape) for name, each in state.items()}
        assert numpy_encoder.weight_shapes(inputs, params, n_factors) == expected
