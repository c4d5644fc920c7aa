"""The heads: symmetric, and recalibrated without changing the order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twinear.model.heads import Cosine, WeightedL1

Head = Cosine | WeightedL1


def heads() -> list[Head]:
    l1 = WeightedL1(5).double()
    with torch.no_grad():
        l1.weight.copy_(torch.tensor([0.5, -0.25, 1.0, 0.0, -1.0]))
        l1.bias.fill_(0.2)
    return [l1, Cosine().double()]


def embeddings(n: int, seed: int = 0) -> torch.Tensor:
    u = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(u, dim=1)


@pytest.mark.parametrize("head", heads(), ids=["l1", "cosine"])
def test_a_head_is_symmetric_and_the_same_for_all_pairs_as_for_one(head: Head) -> None:
    u, v = embeddings(4), embeddings(6, seed=1)
    torch.testing.assert_close(head.logit(u, v), head.logit(v, u).T, rtol=0, atol=1e-12)
    torch.testing.assert_close(head.logit(u, v[:4]).diag(), head.paired(u, v[:4]))
    torch.testing.assert_close(head.paired(u, v[:4]), head.paired(v[:4], u))


def test_the_cosine_head_scales_and_shifts_the_cosine() -> None:
    head = Cosine()
    u = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert head.logit(u[:1], u)[0].tolist() == [5.0, -5.0, -15.0]


def test_the_l1_head_starts_as_a_mean_of_differences_taken_from_nothing() -> None:
    u = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert WeightedL1(4).paired(u[:1], u[1:]).tolist() == [-2.0]


@pytest.mark.parametrize("which", [0, 1], ids=["l1", "cosine"])
@given(slope=st.floats(0.01, 100), shift=st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_rescaling_gives_just_that_logit_and_keeps_the_order(
    which: int, slope: float, shift: float
) -> None:
    head, u = heads()[which], embeddings(8)
    before = head.logit(u, u)
    head.rescale(slope, shift)
    after = head.logit(u, u)
    torch.testing.assert_close(after, slope * before + shift, rtol=1e-9, atol=1e-9)
    apart = before.diff(dim=1).abs() > 1e-6
    assert torch.equal(after.diff(dim=1).sign()[apart], before.diff(dim=1).sign()[apart])
