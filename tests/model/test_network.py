"""The network: shapes, symmetry, one encoding a clip instead of one a pair, axes of statistics."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.support.networks import ORIGINAL, shape
from twinear.base.errors import ParamsError
from twinear.model.heads import WeightedL1
from twinear.model.inputs import Embedding, InputSpec, LogMel
from twinear.model.network import Convolutions, SiameseNet, StatisticsBranch
from twinear.training.batches import StepClips
from twinear.training.losses import mse
from twinear.training.steps import step_loss

SOUND = LogMel(n_mels=5, n_frames=32, frames_per_second=8.0, top_db=80.0)


def small(inputs: InputSpec = SOUND, **changes: object) -> SiameseNet:
    torch.manual_seed(0)
    few = {"channels": 6, "dense_units": 7, "statistics_units": 4, "time_downsampling": 1}
    return SiameseNet(inputs, shape(**{**few, **changes})).double()


def small_original(**changes: object) -> SiameseNet:
    return small(SOUND, **{**ORIGINAL, "channels": 6, "dense_units": 7, **changes})


def encode(net: SiameseNet, x: Tensor) -> Tensor:
    return net.encode(x, x.new_zeros((len(x), 0)))


def fitted(net: SiameseNet, x: Tensor, artist_index: Tensor) -> SiameseNet:
    """The network with its summary fitted to some clips."""
    assert net.statistics is not None
    net.statistics.fit(net.statistics.statistics(x, x.new_zeros((len(x), 0))), artist_index)
    return net


def test_the_originals_network_is_there() -> None:
    inputs = replace(SOUND, n_mels=64, n_frames=256)
    net = SiameseNet(inputs, shape(**ORIGINAL))
    sizes = {name: tuple(each.shape) for name, each in net.named_parameters()}
    assert {name: each for name, each in sizes.items() if not name.endswith("bias")} == {
        "convolutions.blocks.0.0.weight": (128, 64, 1, 3),
        "convolutions.blocks.0.2.weight": (128,),
        "convolutions.blocks.1.0.weight": (128, 128, 1, 3),
        "convolutions.blocks.1.2.weight": (128,),
        "convolutions.blocks.2.0.weight": (128, 128, 1, 3),
        "convolutions.blocks.2.2.weight": (128,),
        "convolutions.dense.0.weight": (128, 128),
        "head.weight": (128,),
    }
    assert net.statistics is None
    assert isinstance(net.convolutions, Convolutions)
    assert [str(each) for each in net.convolutions.pools] == [
        *(
            f"MaxPool2d(kernel_size=(1, {n}), stride=(1, {n}), padding=0, dilation=1, "
            "ceil_mode=True)"
            for n in (4, 2)
        ),
        "Identity()",
    ]


def test_the_originals_encoder_is_its_layers_one_after_the_other() -> None:
    net = small_original().eval()
    assert net.convolutions is not None
    weights = {name: each.double() for name, each in net.convolutions.state_dict().items()}
    x = expected = torch.rand(3, 5, 33, dtype=torch.float64)
    for layer, pool in enumerate((4, 2, None)):
        kernel, bias = (
            weights[f"blocks.{layer}.0.weight"][:, :, 0],
            weights[f"blocks.{layer}.0.bias"],
        )
        expected = torch.relu(torch.conv1d(expected, kernel, bias, padding=1))
        expected = expected / np.sqrt(1 + 1e-5)  # batch normalisation before any training
        if pool:
            expected = torch.max_pool1d(expected, pool, ceil_mode=True)
    dense, bias = weights["dense.0.weight"], weights["dense.0.bias"]
    expected = torch.relu(expected.amax(dim=2) @ dense.T + bias)
    torch.testing.assert_close(encode(net, x), expected, rtol=0, atol=1e-12)


@given(
    branches=st.sampled_from(["convolutions", "statistics", "both"]),
    head=st.sampled_from(["l1", "cosine"]),
    global_pooling=st.sampled_from(["max", "statistics"]),
    residual=st.booleans(),
    dilation=st.integers(1, 3),
    conv_depth=st.integers(1, 5),
    kernel_size=st.integers(1, 8),
    n_frames=st.integers(2, 40),
    clips=st.integers(1, 4),
)
def test_every_shape_encodes_any_length(
    branches: str,
    head: str,
    global_pooling: str,
    residual: bool,
    dilation: int,
    conv_depth: int,
    kernel_size: int,
    n_frames: int,
    clips: int,
) -> None:
    net = small(
        replace(SOUND, n_frames=n_frames),
        branches=branches,
        head=head,
        global_pooling=global_pooling,
        residual=residual,
        dilation=dilation,
        conv_depth=conv_depth,
        kernel_size=kernel_size,
        max_pool=[2] * (conv_depth - 1),
    ).eval()
    units = {"convolutions": 7, "statistics": 4, "both": 11}[branches]
    u = encode(net, torch.rand(clips, 5, n_frames).double())
    assert u.shape == (clips, units) == (clips, net.units)
    assert bool(torch.isfinite(u).all())
    scores = net.score(u, u)
    assert bool(((scores > 0) & (scores < 1)).all())
    torch.testing.assert_close(scores, scores.T)


def test_a_pool_for_every_layer_but_the_last() -> None:
    assert shape(conv_depth=4, max_pool=[4, 2]).pools == [4, 2, 1]
    assert shape(conv_depth=2, max_pool=[4, 2]).pools == [4]


def test_a_dilation_that_outgrows_every_clip_is_refused() -> None:
    assert shape(conv_depth=12, dilation=2).dilation == 2
    with pytest.raises(ParamsError, match=r"dilation: found 8, .*4096"):
        shape(conv_depth=6, dilation=8)


def test_a_residual_layer_adds_its_input() -> None:
    changes = {
        "branches": "convolutions",
        "conv_depth": 2,
        "max_pool": [1],
        "global_pooling": "max",
    }
    plain, residual = (small(SOUND, **changes, residual=each).eval() for each in (False, True))
    x = torch.rand(2, 5, 20).double()
    for net in (plain, residual):
        assert net.convolutions is not None
        second = net.convolutions.blocks[1]
        assert isinstance(second, torch.nn.Sequential)
        for each in second.parameters():
            torch.nn.init.zeros_(each)  # the second layer says nothing
        net.convolutions.dense = torch.nn.Sequential(torch.nn.Identity())
    assert plain.convolutions is not None
    assert residual.convolutions is not None
    assert not plain.convolutions(x).any()
    first = residual.convolutions.blocks[0](x.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(residual.convolutions(x), first.amax(dim=2))


def test_averaged_frames_are_what_the_convolutions_hear_and_the_statistics_do_not() -> None:
    net = small(branches="both", time_downsampling=4).eval()
    assert net.convolutions is not None
    x = torch.rand(2, 5, 20).double()
    by_four = x.reshape(2, 5, 5, 4).mean(dim=3).repeat_interleave(4, dim=2)
    torch.testing.assert_close(net.convolutions(x), net.convolutions(by_four))
    assert net.statistics is not None
    none = x.new_zeros((2, 0))
    assert not torch.equal(
        net.statistics.statistics(x, none), net.statistics.statistics(by_four, none)
    )


def test_moments_are_maximum_mean_and_deviation() -> None:
    net = small(branches="convolutions", conv_depth=1).eval()
    assert net.convolutions is not None
    pooled = net.convolutions.pool_over_time(torch.tensor([[[0.0, 0.0, 3.0]]], dtype=torch.float64))
    torch.testing.assert_close(pooled[0].tolist(), [3.0, 1.0, 2**0.5], rtol=0, atol=1e-6)


def test_dilated_layers_hear_further() -> None:
    def heard(dilation: int) -> int:
        """How many frames apart two frames still meet in one output of three layers."""
        net = small(branches="convolutions", max_pool=[], dilation=dilation).eval()
        assert net.convolutions is not None
        x = torch.zeros(1, 5, 1, 101, dtype=torch.float64, requires_grad=True)
        y = x
        for block in net.convolutions.blocks:
            y = block(y + 1e-3)
        y[0, :, 0, 50].sum().backward()
        assert x.grad is not None
        frames = torch.nonzero(x.grad[0].abs().sum(dim=(0, 1)))
        return int(frames.max() - frames.min()) + 1

    assert heard(1) <= 7
    assert 7 < heard(3) <= 27


def test_the_score_is_symmetric_and_between_0_and_1() -> None:
    net = small_original().eval()
    assert isinstance(net.head, WeightedL1)
    with torch.no_grad():
        net.head.weight.copy_(torch.randn(7))
        u = encode(net, torch.rand(4, 5, 16).double())
        scores = net.score(u, u)
    assert torch.equal(scores, scores.T)
    assert bool(((scores > 0) & (scores < 1)).all())


def test_scores_of_pairs_agree_with_the_formula_also_for_negative_weights() -> None:
    net = small_original().eval()
    assert isinstance(net.head, WeightedL1)
    with torch.no_grad():
        net.head.weight.copy_(torch.linspace(-1, 1, 7))
        net.head.bias.fill_(0.3)
        x = torch.rand(6, 5, 16).double()
        u = encode(net, x)
        by_hand = torch.sigmoid(0.3 - ((u[:, None] - u[None]).abs() * net.head.weight).sum(-1))
        torch.testing.assert_close(net.score(u, u), by_hand, rtol=0, atol=1e-12)
        pairs = torch.stack([x[:3], x[3:]], dim=1)
        torch.testing.assert_close(net(pairs), by_hand[range(3), range(3, 6)], rtol=0, atol=1e-12)


def naive_loss(net: SiameseNet, x: Tensor, artist_index: Tensor, target: Tensor) -> Tensor:
    """The loss of the original: every pair of clips of different artists encoded for itself."""
    pairs = [
        (a, b) for a in range(len(x)) for b in range(len(x)) if artist_index[a] != artist_index[b]
    ]
    left, right = (torch.tensor(each) for each in zip(*pairs, strict=True))
    scores = net(torch.stack([x[left], x[right]], dim=1))
    loss: Tensor = (scores - target[artist_index[left], artist_index[right]]).square().mean()
    return loss


def once_loss(net: SiameseNet, x: Tensor, artist_index: Tensor, target: Tensor) -> Tensor:
    joined = x.new_zeros((len(x), 0))
    step = StepClips(x=x, joined=joined, coordinates=None, artist_index=artist_index, target=target)
    return step_loss(net, step, mse)


def bare(net: SiameseNet) -> SiameseNet:
    """Without the axes, whose zeros would make every summary the same."""
    if net.statistics is not None:
        torch.nn.init.normal_(net.statistics.axes, std=0.1)
        torch.nn.init.normal_(net.statistics.map.weight, std=0.1)
    return net


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("changes", [ORIGINAL, {"head": "cosine"}, {"head": "l1"}])
def test_encoding_once_gives_the_loss_and_gradient_of_pair_by_pair(
    dtype: torch.dtype, atol: float, changes: dict[str, object]
) -> None:
    net = bare(small(SOUND, **{**changes, "channels": 6, "dense_units": 7})).to(dtype).eval()
    x = torch.rand(9, 5, 32, dtype=dtype)
    artist_index = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3])
    target = torch.rand(4, 4, dtype=dtype)
    gradients = []
    for loss in (once_loss(net, x, artist_index, target), naive_loss(net, x, artist_index, target)):
        gradients.append([loss, *torch.autograd.grad(loss, list(net.parameters()))])
    for once, naive in zip(*gradients, strict=True):
        torch.testing.assert_close(once, naive, rtol=0, atol=atol)


def test_batch_normalisation_in_training_changes_nothing_about_that() -> None:
    net = small_original().train()
    x, artist_index = torch.rand(6, 5, 16).double(), torch.tensor([0, 0, 1, 1, 2, 2])
    target = torch.rand(3, 3).double()
    once, naive = once_loss(net, x, artist_index, target), naive_loss(net, x, artist_index, target)
    torch.testing.assert_close(once, naive, rtol=0, atol=1e-12)


@pytest.mark.parametrize("branches", ["convolutions", "statistics", "both"])
def test_embeddings_for_the_cosine_have_length_1_and_a_clip_is_most_like_itself(
    branches: str,
) -> None:
    x, artist_index = torch.rand(8, 5, 32).double(), torch.arange(8) // 2
    net = small(branches=branches, head="cosine", dense_units=32).eval()
    if net.statistics is not None:
        fitted(net, x, artist_index)
    u = encode(net, x)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(8).double())
    assert torch.equal(net.score(u, u).argmax(dim=1), torch.arange(8))


def test_every_weight_that_has_a_say_gets_a_gradient() -> None:
    x, artist_index = torch.rand(8, 5, 32).double(), torch.arange(8) // 2
    for branches, head in product(["convolutions", "statistics", "both"], ["l1", "cosine"]):
        net = small(branches=branches, head=head, dense_units=32)
        if net.statistics is not None:
            fitted(net, x, artist_index)
        once_loss(net, x, artist_index, torch.rand(4, 4).double()).backward()
        silent = [name for name, each in net.named_parameters() if each.grad is None]
        assert silent == []
        gradients = [each.grad for each in net.parameters() if each.grad is not None]
        assert all(bool(torch.isfinite(each).all()) for each in gradients)
        assert sum(bool(each.any()) for each in gradients) >= len(gradients) - 2


# --- the summary ------------------------------------------------------------------------------

CLIPS, ARTIST_INDEX = (
    torch.rand(30, 5, 32, generator=torch.Generator().manual_seed(1)).double(),
    (torch.arange(30) // 3),
)


def summary_of(net: SiameseNet) -> StatisticsBranch:
    assert net.statistics is not None
    return net.statistics


def standardised(summary: StatisticsBranch) -> tuple[Tensor, Tensor]:
    """The statistics of `CLIPS` brought to mean 0 and deviation 1, and the size of each block."""
    values = summary.statistics(CLIPS, CLIPS.new_zeros((30, 0)))
    return (values - values.mean(dim=0)) / values.std(dim=0, correction=0), torch.tensor(
        summary.sizes
    )


def test_the_axes_are_orthonormal_in_the_standardised_space_where_blocks_weigh_the_same() -> None:
    summary = summary_of(fitted(small(branches="statistics"), CLIPS, ARTIST_INDEX))
    values, sizes = standardised(summary)
    weighted = values * torch.repeat_interleave(sizes.double().rsqrt(), sizes)
    by_block = [each.square().sum(dim=1).mean() for each in weighted.split(summary.sizes, dim=1)]
    torch.testing.assert_close(torch.stack(by_block), torch.ones(7).double())
    coordinates = summary.coordinates(CLIPS, CLIPS.new_zeros((30, 0)))
    # centred rows have no full rank: a tolerance, or the last bits decide what the rank is
    axes = torch.linalg.pinv(weighted, rtol=1e-10) @ coordinates
    projected = weighted.T @ torch.linalg.pinv(weighted.T, rtol=1e-10) @ axes  # of least norm
    gram = projected.T @ projected
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(4).double(), rtol=0, atol=1e-4)


def test_artists_lie_apart_along_the_first_axes_and_at_a_mean_square_of_1() -> None:
    summary = summary_of(fitted(small(branches="statistics"), CLIPS, ARTIST_INDEX))
    coordinates = summary.coordinates(CLIPS, CLIPS.new_zeros((30, 0)))
    by_artist = coordinates.reshape(10, 3, 4).mean(dim=1)
    assert float(by_artist.square().sum(dim=1).mean()) == pytest.approx(1, abs=1e-5)
    spread = by_artist.square().sum(dim=0)
    assert torch.equal(spread.sort(descending=True).values, spread)


def test_the_order_of_clips_does_not_matter_to_the_axes() -> None:
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    straight = summary_of(fitted(small(branches="statistics"), CLIPS, ARTIST_INDEX))
    shuffled = summary_of(fitted(small(branches="statistics"), CLIPS[order], ARTIST_INDEX[order]))
    torch.testing.assert_close(shuffled.axes, straight.axes, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(shuffled.middle, straight.middle, rtol=1e-6, atol=1e-7)


def test_axes_along_which_no_artists_differ_are_left_out() -> None:
    """Ten centred artists span nine dimensions: a tenth would be an accident of rounding."""
    net = fitted(small(branches="statistics", statistics_units=16), CLIPS, ARTIST_INDEX)
    axes = summary_of(net).axes
    assert torch.equal(axes.any(dim=0), torch.arange(16) < 9)


def test_a_statistic_that_never_varies_in_training_counts_for_nothing() -> None:
    silent = CLIPS.clone()
    silent[:, 4] = 0  # a band that the training's encoder cut off
    net = fitted(small(branches="statistics", statistics_units=16), silent, ARTIST_INDEX)
    heard = silent[:2].clone()
    heard[1, 4] = 0.3 * torch.rand(32).double()  # another corpus has it
    u = summary_of(net).coordinates(heard, heard.new_zeros((2, 0)))
    assert float((u[0] - u[1]).norm()) < 10


def test_clips_that_are_all_the_same_have_finite_embeddings() -> None:
    same = CLIPS[:1].repeat(6, 1, 1)
    net = fitted(small(branches="statistics"), same, torch.arange(6) // 2)
    assert bool(torch.isfinite(encode(net, CLIPS)).all())


def test_with_the_map_at_zero_the_score_is_the_cosine_of_standardised_statistics() -> None:
    """All the axes that there are: a rotation, which cosines do not feel, of the artists' span."""
    artist_index = torch.arange(30)
    net = fitted(small(branches="statistics", statistics_units=40), CLIPS, artist_index).eval()
    summary = summary_of(net)
    values, sizes = standardised(summary)
    weighted = values * torch.repeat_interleave(sizes.double().rsqrt(), sizes)
    cosine = torch.nn.functional.normalize(weighted, dim=1)
    u = encode(net, CLIPS)
    torch.testing.assert_close(u @ u.T, cosine @ cosine.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        net.score(u, u), torch.sigmoid(10 * cosine @ cosine.T - 5), rtol=0, atol=1e-3
    )


def test_what_is_known_of_the_summary_already_gives_the_same_embeddings() -> None:
    net = fitted(small(branches="both"), CLIPS, ARTIST_INDEX).eval()
    none = CLIPS.new_zeros((30, 0))
    known = summary_of(net).coordinates(CLIPS, none)
    torch.testing.assert_close(net.encode(CLIPS, none, known), net.encode(CLIPS, none))


def test_vectors_beside_the_sound_are_one_more_block() -> None:
    alone, both = (
        summary_of(small(replace(SOUND, n_joined=n), branches="statistics")) for n in (0, 3)
    )
    assert both.sizes == [*alone.sizes, 3]
    joined = torch.rand(30, 3).double()
    torch.testing.assert_close(both.statistics(CLIPS, joined)[:, -3:], joined)


@pytest.mark.parametrize("share", [0.0, 0.75])
def test_vectors_have_their_share_of_what_the_statistics_weigh(share: float) -> None:
    wide = {"branches": "statistics", "statistics_units": 40, "embeddings_shares": (share,)}
    net = small(replace(SOUND, n_joined=3), **wide).eval()
    summary = summary_of(net)
    joined = torch.rand(30, 3, generator=torch.Generator().manual_seed(2)).double()
    values = summary.statistics(CLIPS, joined)
    summary.fit(values, torch.arange(30))
    values = (values - values.mean(dim=0)) / values.std(dim=0, correction=0)
    sizes = torch.tensor(summary.sizes[:-1])
    heard = values[:, :-3] * torch.repeat_interleave(sizes.double().rsqrt(), sizes)
    made, weighted = values[:, -3:] / 3**0.5, (1 - share) ** 0.5 * heard / len(sizes) ** 0.5
    both = torch.cat([weighted, share**0.5 * made], dim=1)
    cosine = torch.nn.functional.normalize(both, dim=1)
    u = net.encode(CLIPS, joined)
    torch.testing.assert_close(u @ u.T, cosine @ cosine.T, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("n_frames", "sizes"), [(1, [6]), (4, [6, 6])])
@pytest.mark.parametrize("branches", ["convolutions", "statistics", "both"])
def test_vectors_alone_stand_in_the_place_of_the_sound(
    branches: str, n_frames: int, sizes: list[int]
) -> None:
    inputs = Embedding(n_dims=6, n_frames=n_frames)
    net = small(inputs, branches=branches, dense_units=32).eval()
    x = torch.randn(8, 6, n_frames, generator=torch.Generator().manual_seed(1)).double()
    if net.statistics is not None:
        assert net.statistics.sizes == sizes
        fitted(net, x, torch.arange(8) // 2)
    torch.testing.assert_close(encode(net, x).norm(dim=1), torch.ones(8).double())
