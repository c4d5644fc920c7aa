"""What the embedding of half a minute costs on one core, beside the plain layers of musicnn.

The plain network computes every filter, and normalises before it takes the maximum, as the original
does. Both run in turn on one thread; the least CPU seconds of the rounds are shown, per clip of 30
seconds. The target holds for everything after the decoding.

    OMP_NUM_THREADS=1 python benchmarks/encoders.py [--rounds 5] [--device cuda]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from twinear.encoders.encoder import Encoder
from twinear.encoders.musicnn import (
    MODELS,
    WEIGHTS,
    FrontConvolution,
    Musicnn,
    embed_patches,
    load_musicnn,
)
from twinear.encoders.musicnn_patches import SR, cut_patches

TARGET = 0.45  # CPU seconds a clip
CLIPS = 64  # on a GPU


class PlainFront(nn.Module):
    """A front convolution that computes all, in the original's order."""

    def __init__(self, front: FrontConvolution) -> None:
        super().__init__()
        self.front = front
        self.norm = nn.BatchNorm2d(front.conv.out_channels, eps=front.norm.eps)
        self.norm.load_state_dict(front.norm.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        size = self.front.conv.kernel_size[0]
        x = nn.functional.pad(x, (0, 0, (size - 1) // 2, size // 2))
        normalised: Tensor = self.norm(self.front.conv(x).relu()).amax(dim=3)
        return normalised


def plain_network(model: str) -> Musicnn:
    net = Musicnn()
    net.load_state_dict(net.state_dict() | load_file(WEIGHTS / f"{model}.safetensors"))
    fronts = [front for front in net.front if isinstance(front, FrontConvolution)]
    net.front = nn.ModuleList(PlainFront(front) for front in fronts)
    return net.eval()


def cpu_seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def clips_per_second(encoder: Encoder, y: np.ndarray) -> float:
    """As `twinear embed` calls it: the windows of several clips together."""
    patches = np.concatenate([cut_patches(y)] * CLIPS)
    encoder.embed(patches)
    started = time.perf_counter()
    encoder.embed(patches)
    return CLIPS / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    y = np.random.default_rng(0).normal(0, 0.1, 30 * SR).astype(np.float32)
    if options.device != "cpu":
        for model in MODELS:
            speed = clips_per_second(load_musicnn(model, options.device), y)
            print(f"{model}: {speed:.0f} clips a second on {options.device}")
        return
    torch.set_num_threads(1)
    patches = cut_patches(y)
    calls: dict[str, Callable[[], object]] = {"waveform to patches": partial(cut_patches, y)}
    for model in MODELS:
        calls[f"{model}, all"] = partial(load_musicnn(model).encode, y)
        calls[f"{model}, plain layers"] = partial(embed_patches, plain_network(model), patches)
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(options.rounds):
        for name, call in calls.items():
            least[name] = min(least[name], cpu_seconds(call))
    for name, seconds in least.items():
        print(f"{name:<28}{seconds:>8.3f} CPU s")
    for model in MODELS:
        seconds, plain = least[f"{model}, all"], least[f"{model}, plain layers"]
        verdict = "within" if seconds <= TARGET else "ABOVE"
        print(f"{model}: {seconds / plain:.2f} of the plain layers, {verdict} {TARGET} CPU s")


if __name__ == "__main__":
    main()
