"""Encode-once training beside the original's pair-by-pair training, in one run on one core.

Both train the original's network on the same planted clips (64 bands x 256 frames, three a
artist) with the same objective and learning rate. Pair by pair, every clip is encoded again for
each of the 1,024 pairs of a step, in float32, as the original did; ours encodes each clip of the
step once and scores all pairs. Compared are pairs a second, and CPU seconds until the held-out
loss first equals a target: the loss after which pair-by-pair training has taken the budget.

    python benchmarks/encode_once.py [--seconds 240]
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from twinear.model.inputs import LogMel
from twinear.model.network import SiameseNet
from twinear.model.params import ModelParams
from twinear.training.batches import StepClips
from twinear.training.losses import mse
from twinear.training.steps import step_loss

N_MELS, N_FRAMES, CLIPS = 64, 256, 3
STEP_PAIRS, LEARNING_RATE = 1024, 1e-3  # of the original
SOUND = LogMel(n_mels=N_MELS, n_frames=N_FRAMES, frames_per_second=22050 / 2583, top_db=80)
ORIGINAL = ModelParams(
    branches="convolutions", conv_depth=3, kernel_size=3, channels=128, time_downsampling=1,
    max_pool=(4, 2), dilation=1, residual=False, global_pooling="max", dense_units=128,
    statistics_units=1, embeddings_shares=(0.0,), dropout=0, head="l1",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted:
    """Clips whose artist hums at a place and beats at a rate; similarity falls with distance."""

    x: torch.Tensor  # (clips, n_mels, n_frames)
    artist_index: torch.Tensor  # (clips,)
    target: torch.Tensor  # (artists, artists)


def plant(n_artists: int, seed: int) -> Planted:
    rng = np.random.default_rng(seed)
    style = rng.uniform(0, 1, (n_artists, 2))
    artist_index = np.repeat(np.arange(n_artists), CLIPS)
    place, rate = style[artist_index, 0, None], style[artist_index, 1, None]
    hum = np.exp(-(((place - np.linspace(0, 1, N_MELS)) / 0.08) ** 2))
    phase = rng.uniform(0, 2 * np.pi, (len(artist_index), 1))
    beat = 0.5 + 0.5 * np.sin(np.arange(N_FRAMES) * (0.05 + 0.5 * rate) + phase)
    noise = rng.normal(0, 0.15, (len(artist_index), N_MELS, N_FRAMES))
    x = hum[:, :, None] * beat[:, None, :] + noise
    distance = np.linalg.norm(style[:, None] - style[None], axis=-1)
    return Planted(
        x=torch.from_numpy(x.astype(np.float32)),
        artist_index=torch.from_numpy(artist_index),
        target=torch.from_numpy(np.exp(-distance / 0.25).astype(np.float32)),
    )


def pair_by_pair(net: SiameseNet, data: Planted, rng: np.random.Generator) -> torch.Tensor:
    """The loss of a step of 1,024 pairs, each clip encoded for each pair."""
    a, b = (torch.from_numpy(rng.integers(len(data.x), size=STEP_PAIRS)) for _ in range(2))
    other = data.artist_index[a] != data.artist_index[b]
    a, b = a[other], b[other]
    scores: torch.Tensor = net(torch.stack([data.x[a], data.x[b]], dim=1))
    return (scores - data.target[data.artist_index[a], data.artist_index[b]]).square().mean()


def encode_once(
    net: SiameseNet, data: Planted, rng: np.random.Generator, way: tuple[str, int]
) -> torch.Tensor:
    """The loss of a step of all clip pairs of some artists; `way` is precision and how many."""
    precision, artists = way
    chosen = torch.from_numpy(rng.choice(len(data.target), size=artists, replace=False))
    rows = (chosen[:, None] * CLIPS + torch.arange(CLIPS)).ravel()
    return loss_of(net, data, rows, precision)


def loss_of(
    net: SiameseNet, data: Planted, rows: torch.Tensor, precision: str = "float32"
) -> torch.Tensor:
    """The loss of all pairs of some clips, each encoded once."""
    x = data.x[rows]
    none = x.new_zeros((len(x), 0))
    step = StepClips(
        x=x, joined=none, coordinates=None, artist_index=data.artist_index[rows], target=data.target
    )
    return step_loss(net, step, mse, precision)


@torch.no_grad()
def held_out_loss(net: SiameseNet, data: Planted) -> float:
    net.eval()
    loss = float(loss_of(net, data, torch.arange(len(data.x))))
    net.train()
    return loss


@dataclass(frozen=True, kw_only=True)
class Point:
    seconds: float  # CPU, without the time to judge
    loss: float


def train(
    step: Callable[[SiameseNet], torch.Tensor],
    held_out: Planted,
    every: int,
) -> Iterator[Point]:
    """CPU seconds and held-out loss after every `every` steps, for ever."""
    torch.manual_seed(1)
    net = SiameseNet(SOUND, ORIGINAL).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    seconds = 0.0
    while True:
        started = time.process_time()
        for _ in range(every):
            optimizer.zero_grad()
            step(net).backward()
            optimizer.step()
        seconds += time.process_time() - started
        yield Point(seconds=seconds, loss=held_out_loss(net, held_out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240, help="budget of pair by pair")
    parser.add_argument("--artists", type=int, default=400, help="artists to train on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, held_out = plant(arguments.artists, 1), plant(60, 2)

    rng = np.random.default_rng(1)
    naive: list[Point] = []
    for point in train(partial(pair_by_pair, data=data, rng=rng), held_out, every=2):
        naive.append(point)
        if point.seconds > arguments.seconds:
            break
    naive_rate = 2 * len(naive) * STEP_PAIRS / naive[-1].seconds
    target = min(each.loss for each in naive)
    reached = next(each.seconds for each in naive if each.loss <= target)
    print(f"{arguments.artists} artists x {CLIPS} clips, one core, CPU seconds")
    print(f"pair by pair, float32: {naive_rate:,.0f} pairs/s; loss {target:.5f} at {reached:.1f} s")
    for way in (("bfloat16", 16), ("bfloat16", 64), ("float32", 16), ("float32", 128)):
        precision, artists = way
        points = train(partial(encode_once, data=data, rng=rng, way=way), held_out, every=5)
        steps = 0
        for point in points:
            steps += 5
            if point.loss <= target or point.seconds > reached:
                break
        pairs = artists * (artists - 1) // 2 * CLIPS**2
        rate = steps * pairs / point.seconds
        print(
            f"encode once, {precision}, {artists} artists a step: {rate:,.0f} pairs/s"
            f" ({rate / naive_rate:.0f} x); loss {point.loss:.5f} at {point.seconds:.1f} s"
            f" ({reached / point.seconds:.0f} x)"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
