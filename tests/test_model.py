"""The network: shapes, symmetry, and one encoding a clip instead of one a pair."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import PARAMS
from twinear.model import ModelParams, SiameseNet
from twinear.params import parse_params, read_params
from twinear.training import TrainingParams, pair_loss


def shape(**changes: object) -> ModelParams:
    values = read_params("training", TrainingParams, PARAMS).model.model_dump(mode="json")
    return parse_params("training", ModelParams, values | changes, PARAMS)


def small(**changes: object) -> SiameseNet:
    torch.manual_seed(0)
    return SiameseNet(5, shape(**{"channels": 6, "dense_units": 7, **changes})).double()


def test_the_default_network_is_the_originals() -> None:
    net = SiameseNet(64, shape())
    sizes = {name: tuple(each.shape) for name, each in net.named_parameters()}
    assert sizes["blocks.0.0.weight"] == (128, 64, 1, 3)
    assert sizes["blocks.1.0.weight"] == sizes["blocks.2.0.weight"] == (128, 128, 1, 3)
    assert sizes["dense.0.weight"] == (128, 128)
    assert sizes["weight"] == (128,)
    assert [pool.kernel_size for pool in net.pools] == [(1, 4), (1, 2)]


@given(
    conv_depth=st.integers(1, 5),
    kernel_size=st.integers(1, 8),
    n_frames=st.integers(1, 40),
    clips=st.integers(2, 4),
)
@settings(max_examples=30, deadline=None)
def test_every_depth_and_kernel_encodes_any_length(
    conv_depth: int, kernel_size: int, n_frames: int, clips: int
) -> None:
    net = small(conv_depth=conv_depth, kernel_size=kernel_size, pool=[2] * (conv_depth - 1)).eval()
    assert net.encode(torch.rand(clips, 5, n_frames).double()).shape == (clips, 7)


def test_a_pool_for_every_layer_but_the_last() -> None:
    assert shape(conv_depth=4, pool=[4, 2]).pools == [4, 2, 1]
    assert shape(conv_depth=2, pool=[4, 2]).pools == [4]


def test_the_score_is_symmetric_and_between_0_and_1() -> None:
    net = small().eval()
    with torch.no_grad():
        net.weight.copy_(torch.randn(7))
        u = net.encode(torch.rand(4, 5, 16).double())
        scores = net.score(u, u)
    assert torch.equal(scores, scores.T)
    assert bool(((scores > 0) & (scores < 1)).all())


def test_scores_of_pairs_agree_with_the_formula_also_for_negative_weights() -> None:
    net = small().eval()
    with torch.no_grad():
        net.weight.copy_(torch.linspace(-1, 1, 7))
        net.bias.fill_(0.3)
        x = torch.rand(6, 5, 16).double()
        u = net.encode(x)
        by_hand = torch.sigmoid(0.3 - ((u[:, None] - u[None]).abs() * net.weight).sum(-1))
        torch.testing.assert_close(net.score(u, u), by_hand, rtol=0, atol=1e-12)
        pairs = torch.stack([x[:3], x[3:]], dim=1)
        torch.testing.assert_close(net(pairs), by_hand[range(3), range(3, 6)], rtol=0, atol=1e-12)


def naive_loss(
    net: SiameseNet, x: torch.Tensor, owner: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """The loss of the original: every pair of clips of different artists encoded for itself."""
    pairs = [(a, b) for a in range(len(x)) for b in range(len(x)) if owner[a] != owner[b]]
    left, right = (torch.tensor(each) for each in zip(*pairs, strict=True))
    scores = net(torch.stack([x[left], x[right]], dim=1))
    loss: torch.Tensor = (scores - target[owner[left], owner[right]]).square().mean()
    return loss


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_encoding_once_gives_the_loss_and_gradient_of_pair_by_pair(
    dtype: torch.dtype, atol: float
) -> None:
    net = small().to(dtype).eval()
    x = torch.rand(9, 5, 16, dtype=dtype)
    owner = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3])
    target = torch.rand(4, 4, dtype=dtype)
    gradients = []
    for loss in (pair_loss(net, x, owner, target), naive_loss(net, x, owner, target)):
        gradients.append([loss, *torch.autograd.grad(loss, list(net.parameters()))])
    for once, naive in zip(*gradients, strict=True):
        torch.testing.assert_close(once, naive, rtol=0, atol=atol)


def test_batch_normalisation_in_training_changes_nothing_about_that() -> None:
    net = small().train()
    x, owner = torch.rand(6, 5, 16).double(), torch.tensor([0, 0, 1, 1, 2, 2])
    target = torch.rand(3, 3).double()
    once, naive = pair_loss(net, x, owner, target), naive_loss(net, x, owner, target)
    torch.testing.assert_close(once, naive, rtol=0, atol=1e-12)
