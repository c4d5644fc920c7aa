"""Parts of a score: they sum to it, and they say what the network does without them."""

import copy
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from tests.support.networks import shape
from tests.support.scorers import FRONT
from twinear.model.decomposition import CONVOLUTIONS, STATISTICS, WORDS, decompose, split_logits
from twinear.model.inputs import Embedding, InputSpec, LogMel
from twinear.model.network import SiameseNet
from twinear.model.scorer import Scorer

SOUND = LogMel(n_mels=12, n_frames=64, frames_per_second=20.0, top_db=80.0)
INPUTS: dict[str, InputSpec] = {
    "log-mel": SOUND,
    "log-mel and embedding": replace(SOUND, n_joined=6),
    "embedding": Embedding(n_dims=9, n_frames=1),
    "embeddings over time": Embedding(n_dims=9, n_frames=5),
}
BRANCHES, HEADS = ("convolutions", "statistics", "both"), ("cosine", "l1")
PAIRS = np.argwhere(np.ones((5, 5)))


def scorer_of(inputs: InputSpec, branches: str, head: str, seed: int = 0) -> Scorer:
    """A scorer with random weights everywhere, as if it were trained; with factors if it can."""
    few = {"channels": 6, "dense_units": 16, "statistics_units": 4}
    n_factors = 3 if branches != "convolutions" and head == "cosine" else 0
    model = shape(branches=branches, head=head, **few)
    torch.manual_seed(seed)
    net = SiameseNet(inputs, model, n_factors)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
        if net.statistics is not None:
            net.statistics.middle.copy_(torch.randn_like(net.statistics.middle))
            net.statistics.axes.copy_(0.1 * torch.randn_like(net.statistics.axes))
        if net.factors is not None:
            net.factors.weight.copy_(torch.randn_like(net.factors.weight))
            net.factors.share.fill_(0.3)
    return Scorer.from_net(net, FRONT, model)


def clips_of(inputs: InputSpec, n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    loudness = random.random((n, inputs.shape[0], 1))  # of each band
    values = (random.random((n, *inputs.shape)) * loudness).astype(np.float32)
    if isinstance(inputs, Embedding):
        values = random.normal(size=(n, *inputs.shape)).astype(np.float32)
    return values, random.normal(size=(n, inputs.n_joined)).astype(np.float32)


def logits_of(scorer: Scorer, embeddings: np.ndarray) -> np.ndarray:
    u = torch.from_numpy(embeddings.astype(np.float32))
    with torch.inference_mode():
        return scorer.net.head.logit(u, u).numpy().ravel()


@pytest.mark.parametrize(("kind", "branches", "head"), list(product(INPUTS, BRANCHES, HEADS)))
def test_parts_sum_to_the_embedding_and_to_the_logit(kind: str, branches: str, head: str) -> None:
    scorer = scorer_of(INPUTS[kind], branches, head)
    values, joined = clips_of(INPUTS[kind])
    parts = decompose(scorer, values, joined)
    embeddings = scorer.encode_many(values, joined)
    scale = np.abs(embeddings).max()
    np.testing.assert_allclose(parts.embeddings(), embeddings, rtol=0, atol=1e-5 * scale)
    split, logits = split_logits(parts, PAIRS), logits_of(scorer, embeddings)
    assert np.ptp(logits) > 1e-3
    tolerance = {"rtol": 0, "atol": 1e-5 * max(1, np.abs(logits).max())}
    np.testing.assert_allclose(split.logits, logits, **tolerance)
    np.testing.assert_allclose(parts.logits(PAIRS), logits, **tolerance)
    np.testing.assert_allclose(split.bias + split.contributions.sum(axis=1), logits, **tolerance)
    expected = {"log-mel": 7, "log-mel and embedding": 8, "embedding": 1, "embeddings over time": 2}
    n_blocks = 0 if branches == "convolutions" else expected[kind]
    assert len(parts.blocks) == n_blocks
    assert set(split.names) <= set(WORDS)
    if head == "cosine":
        assert split.names == parts.names
    else:
        assert split.names == ((STATISTICS, CONVOLUTIONS) if branches == "both" else (branches,))


def test_what_two_parts_share_is_halved_and_the_order_of_the_clips_does_not_matter() -> None:
    scorer = scorer_of(SOUND, "both", "cosine")
    parts = decompose(scorer, *clips_of(SOUND))
    there, back = (split_logits(parts, np.array([pair])) for pair in ((0, 1), (1, 0)))
    np.testing.assert_allclose(there.matrix[0], back.matrix[0].T, atol=1e-12)
    np.testing.assert_allclose(there.contributions, back.contributions, atol=1e-12)
    assert not np.allclose(there.matrix[0], there.matrix[0].T)
    matrix, n = there.matrix[0], 2
    crossed = (matrix[n].sum() + matrix[:, n].sum() - 2 * matrix[n, n]) / 2
    assert there.contributions[0, n] == pytest.approx(there.own[0, n] + crossed)


@pytest.mark.parametrize("branches", ["statistics", "both"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", INPUTS)
def test_without_a_block_the_network_is_that_of_its_mean(
    kind: str, branches: str, head: str
) -> None:
    scorer = scorer_of(INPUTS[kind], branches, head)
    values, joined = clips_of(INPUTS[kind])
    parts, branch = decompose(scorer, values, joined), scorer.net.statistics
    assert branch is not None
    x, beside = torch.from_numpy(values), torch.from_numpy(joined)
    blocks = torch.arange(len(branch.sizes)).repeat_interleave(torch.tensor(branch.sizes))
    for number, name in enumerate(branch.names):
        with torch.inference_mode():
            statistics = branch.statistics(x, beside)
            at_mean = torch.where(blocks == number, branch.middle, statistics)
            embeddings = scorer.net.encode(x, beside, branch.project(at_mean)).numpy()
        ours = parts.embeddings(without=name)
        np.testing.assert_allclose(ours, embeddings, atol=1e-5 * np.abs(embeddings).max())
        assert not np.allclose(ours, parts.embeddings(), atol=1e-3)
        logits = parts.logits(PAIRS, without=name)
        expected = logits_of(scorer, embeddings)
        np.testing.assert_allclose(logits, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_without_the_convolutions_the_network_is_that_of_the_statistics_alone() -> None:
    scorer = scorer_of(SOUND, "both", "cosine")
    values, joined = clips_of(SOUND)
    net = copy.deepcopy(scorer.net)
    assert net.share is not None
    torch.nn.init.constant_(net.share, -np.inf)
    alone = Scorer.from_net(net, FRONT, scorer.model).encode_many(values, joined)
    ours = decompose(scorer, values, joined).embeddings(without=CONVOLUTIONS)
    np.testing.assert_allclose(ours, alone, atol=1e-6)


def test_the_head_l1_loses_the_term_of_a_branch_that_is_left_out() -> None:
    scorer = scorer_of(SOUND, "both", "l1")
    parts = decompose(scorer, *clips_of(SOUND))
    split = split_logits(parts, PAIRS)
    np.testing.assert_allclose(
        parts.logits(PAIRS, without=CONVOLUTIONS), split.bias + split.own[:, 0], atol=1e-9
    )


def test_clips_that_differ_in_one_block_only_are_explained_by_it() -> None:
    """One spectrogram, at the mean of the training clips, with two embeddings joined to it."""
    inputs = replace(SOUND, n_joined=6)
    scorer = scorer_of(inputs, "statistics", "cosine")
    values, joined = clips_of(inputs)
    values[:] = values[0]
    branch = scorer.net.statistics
    assert branch is not None
    with torch.no_grad():
        mean = branch.statistics(torch.from_numpy(values[:1]), torch.zeros(1, 6))[0]
        branch.middle.copy_(mean)
    split = split_logits(decompose(scorer, values, joined), PAIRS)
    *others, own = (split.contributions[:, number] for number in range(len(split.names)))
    assert split.names[-1] == "embedding"
    assert np.ptp(own) > 0.1
    np.testing.assert_allclose(own, split.logits - split.bias, atol=1e-3)
    np.testing.assert_allclose(others, 0, atol=1e-3)


def test_a_clip_at_the_mean_of_everything_has_parts_of_zero() -> None:
    inputs = Embedding(n_dims=9, n_frames=1)
    scorer = scorer_of(inputs, "statistics", "cosine")
    values, joined = clips_of(inputs)
    assert scorer.net.statistics is not None
    values[0, :, 0] = scorer.net.statistics.middle.numpy()
    parts = decompose(scorer, values, joined)
    assert not parts.vectors[0].any()
    np.testing.assert_allclose(parts.embeddings(), scorer.encode_many(values, joined), atol=1e-6)
    assert split_logits(parts, np.array([[0, 1]])).logits[0] == pytest.approx(
        scorer.net.head.bias.item()
    )


def test_many_clips_are_split_in_batches_as_one_by_one() -> None:
    scorer = scorer_of(INPUTS["embedding"], "both", "cosine")
    values, joined = clips_of(INPUTS["embedding"], 300)
    whole = decompose(scorer, values, joined).vectors
    last = decompose(scorer, values[-2:], joined[-2:]).vectors
    np.testing.assert_allclose(whole[-2:], last, atol=1e-6)
