"""Steps of the default network's training: milliseconds, clips a second, share of the peak.

Rows are number formats and ways to run a step (`twinear.training.steps`); all take the same steps
of the same planted clips, in turns, so that a ratio compares neighbouring moments of one machine.
`before` is the step as it was once: frames averaged in every step, draws copied one by one while
the host waits, an optimizer of many kernels, PyTorch's own choice of number formats. The peak is
that of a large matrix product on the same device, in the same run. `plain` in float32 is the
reference: `apart` is how far the weights of the others are from its own after a few steps, in
shares of the way that it went.

The table, one epoch of a whole training, and epochs beside those of another checkout:

    python -m benchmarks.training [--device cuda]
    python -m benchmarks.training --fit --artists 6000 --batch 256 [--device cuda --step graph]
    python -m benchmarks.training --against OTHER
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[1]
CHECKED = 5  # steps after which weights are compared
ROUND_SECONDS = 0.5  # of one way, before it is the turn of the next


class Way(NamedTuple):
    precision: str
    mode: str


def params_of(arguments: argparse.Namespace, **changes: Any) -> Any:
    from twinear.base.params import read_params
    from twinear.training.training import TrainingParams

    params = read_params("training", TrainingParams)  # of the working folder
    network = params.model.model_copy(update={"embeddings_shares": (0.0,)})
    own = {"model": network, "device": arguments.device, "threads": arguments.threads}
    return params.model_copy(update=own | {"batch_artists": arguments.batch} | changes)


def plant(n_artists: int, n_clips: int, n_validation: int = 0) -> Any:
    """Clips of noise in the default shape, and a similarity that falls with distance."""
    from twinear.training.batches import ClipInputs, Examples

    rng = np.random.default_rng(1)
    artist_index = np.repeat(np.arange(n_artists), n_clips)
    values = rng.integers(0, 256, (len(artist_index), 40, 1292), np.uint8).astype(np.float16)
    values /= 256
    place = rng.uniform(0, 1, n_artists)
    return Examples(
        clip_inputs=ClipInputs(
            values=values, joined=np.zeros((len(artist_index), 0), dtype=np.float32)
        ),
        artist_index=artist_index,
        similarity=np.exp(-np.abs(place[:, None] - place) / 0.2).astype(np.float32),
        validation=np.arange(n_artists) >= n_artists - n_validation,
    )


def sound() -> Any:
    from twinear.model.inputs import LogMel

    return LogMel(n_mels=40, n_frames=1292, frames_per_second=22050 / 512, top_db=80)


# ---- steps


def make_net(params: Any, device: torch.device) -> Any:
    from twinear.model.network import SiameseNet

    torch.manual_seed(1)
    return SiameseNet(sound(), params.model).to(device).train()


def random_draws(data: Any, params: Any) -> Any:
    from twinear.training.draws import Draws

    return Draws(
        clips=data.clips,
        similarity=np.zeros((0, 0)),  # not looked at
        n_artists=params.batch_artists,
        n_clips=params.clips_per_artist,
        similar=0.0,
    )


def make_step(way: Way, data: Any, params: Any, net: Any) -> Callable[[], Tensor]:
    """Make a function that draws and takes the next step."""
    from twinear.training.steps import make_optimizer, prepare_step, set_precision

    rng, draws = np.random.default_rng(1), random_draws(data, params)
    mode = params.model_copy(update={"precision": way.precision, "step": way.mode}).of_step
    take = prepare_step(net, make_optimizer(net, params.learning_rate, mode.mode), mode)

    def step() -> Tensor:
        set_precision(mode.precision)
        artists, rows = draws.step(rng)
        return take(data.take(rows, artists))

    return step


def make_step_before(data: Any, params: Any, net: Any) -> Callable[[], Tensor]:
    from twinear.training.batches import StepClips
    from twinear.training.losses import OBJECTIVES
    from twinear.training.pretraining import map_size

    rng, device, draws = np.random.default_rng(1), data.x.device, random_draws(data, params)
    optimizer = torch.optim.Adam(net.parameters(), lr=params.learning_rate)

    def step() -> Tensor:
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]
        artists, rows = draws.step(rng)
        index, chosen = (torch.from_numpy(each).to(device) for each in (rows, artists))
        new_index = np.zeros(len(data.clips), dtype=np.int64)
        new_index[artists] = np.arange(len(artists))
        clips = StepClips(
            x=data.x[index].float(),
            joined=data.joined[index],
            coordinates=data.coordinates[index],
            artist_index=torch.from_numpy(new_index[data.artist_index[rows]]).to(device),
            target=data.target[chosen][:, chosen],
        )
        u = clips.encode(net, "float32")
        loss = OBJECTIVES[params.objective](net.head.logit(u, u), clips.artist_index, clips.target)
        optimizer.zero_grad()
        (loss + params.identity_decay * map_size(net)).backward()
        optimizer.step()
        return loss.detach()

    return step


def weights(net: Any) -> Tensor:
    return torch.cat([each.detach().flatten() for each in net.parameters()]).double()


def seconds(step: Callable[[], Tensor], n: int, device: torch.device) -> float:
    """Seconds of `n` steps: CPU seconds, which other programs disturb less, or those of a GPU."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    for _ in range(n):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def peak_flops(device: torch.device, precision: str) -> float:
    """Operations a second of a large matrix product."""
    from twinear.training.steps import set_precision

    set_precision(precision)  # type: ignore[arg-type]
    n = 8192 if device.type == "cuda" else 1024
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.rand((n, n), device=device, dtype=kind)
    multiply = partial(torch.mm, a, a)
    seconds(multiply, 3, device)
    return max(10 * 2 * n**3 / seconds(multiply, 10, device) for _ in range(3))


def count_flops(data: Any, params: Any, device: torch.device) -> int:
    """Operations of the products and convolutions of a step, forwards and backwards."""
    step = make_step_before(data, params, make_net(params, device))
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def interval(values: list[float]) -> str:
    """The median, and what 95 % of the medians of resampled rounds lie between."""
    rng = np.random.default_rng(1)
    drawn = np.median(rng.choice(values, (2000, len(values))), axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{np.median(values):.2f} [{low:.2f}, {high:.2f}]"


def measure_steps(arguments: argparse.Namespace) -> None:
    from twinear.training.batches import Batches

    device = torch.device(arguments.device)
    params = params_of(arguments)
    torch.set_num_threads(params.threads)
    data = Batches.from_examples(plant(arguments.artists, arguments.clips), device)
    coordinates = torch.randn(len(data.artist_index), params.model.statistics_units, device=device)
    data = replace(data, coordinates=coordinates)
    averaged = data.with_averaged_frames(make_net(params, device).convolutions)
    flops = count_flops(data, params, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{name}, PyTorch {torch.__version__}, {params.threads} threads; {arguments.artists}"
        f" artists x {arguments.clips} clips, {params.batch_artists} artists a step:"
        f" {flops / 1e9:.1f} GFLOP"
    )
    formats = ["float32", "tf32", "bfloat16"] if device.type == "cuda" else ["float32", "bfloat16"]
    modes = ["plain", "graph"] if device.type == "cuda" else ["plain"]
    peaks = {each: peak_flops(device, each) for each in formats}
    before, reference = make_net(params, device), make_net(params, device)
    start = weights(reference)
    steps = {
        Way("float32", "before"): make_step_before(data, params, before),
        Way("float32", "plain"): make_step(Way("float32", "plain"), averaged, params, reference),
    }
    nets = dict(zip(steps, (before, reference), strict=True))
    for way in (Way(each, mode) for mode in modes for each in formats):
        if way not in steps:
            nets[way] = make_net(params, device)
            steps[way] = make_step(way, averaged, params, nets[way])
    apart = {}
    for way, step in list(steps.items()):
        try:
            seconds(step, CHECKED, device)
            apart[way] = weights(nets[way])
        except Exception as error:  # a kernel that cannot be recorded
            print(f"{way.precision} {way.mode} is left out: {str(error).splitlines()[0][:200]}")
            del steps[way]
    moved = (apart[Way("float32", "plain")] - start).norm()
    n_steps = {
        way: max(1, round(ROUND_SECONDS * 5 / seconds(step, 5, device)))
        for way, step in steps.items()
    }
    times: dict[Way, list[float]] = {way: [] for way in steps}
    order = np.random.default_rng(1)
    until = time.monotonic() + arguments.seconds
    while time.monotonic() < until or len(times[Way("float32", "before")]) < 3:
        for number in order.permutation(len(steps)):
            way, step = list(steps.items())[number]
            times[way].append(seconds(step, n_steps[way], device) / n_steps[way])
    first = np.array(times[Way("float32", "before")])
    n_clips = params.batch_artists * min(params.clips_per_artist, arguments.clips)
    print("| format | step | ms a step | clips a second | of the peak | times as fast | apart |")
    print("|---|---|---|---|---|---|---|")
    for way, each in times.items():
        middle = float(np.median(each))
        ratio = interval((first / np.array(each)).tolist())
        share = flops / middle / peaks[way.precision]
        distance = float((apart[way] - apart[Way("float32", "plain")]).norm() / moved)
        print(
            f"| {way.precision} | {way.mode} | {1000 * middle:.2f} | {n_clips / middle:,.0f}"
            f" | {share:.1%} | {ratio} | {distance:.0e} |"
        )
    rounds = len(first)
    tops = ", ".join(f"{name} {peak / 1e12:.2f}" for name, peak in peaks.items())
    print(f"{rounds} rounds; peak, TFLOP/s: {tops}")
    if device.type == "cuda":
        print(f"GPU memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


# ---- a whole training


def measure_fit(arguments: argparse.Namespace) -> None:
    """Train for some epochs; print when each ended, as JSON: wall and CPU seconds."""
    from twinear.training.training import fit

    changes = {"precision": arguments.precision, "epochs": arguments.epochs, "refit": False}
    if arguments.step:  # which an older checkout does not know
        changes["step"] = arguments.step
    params = params_of(arguments, **changes)
    examples = plant(arguments.artists, arguments.clips, max(arguments.artists // 20, 2))
    started = [(time.perf_counter(), time.process_time())]
    with tempfile.TemporaryDirectory() as folder:
        fit(
            sound(), examples, params, Path(folder) / "c.pt",
            lambda epoch: started.append((time.perf_counter(), time.process_time())),
        )  # fmt: skip
    wall, cpu = np.diff(np.array(started), axis=0).T.tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    result = {"wall_seconds": wall, "cpu_seconds": cpu, "host_gb": round(peak, 2)}
    if torch.cuda.is_available():
        result["gpu_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    print(json.dumps(result))


def measure_against(arguments: argparse.Namespace) -> None:
    """Compare the epochs after the first with those of another checkout, in turns."""
    ratios = []
    options = [
        "--fit", "--device", arguments.device, "--artists", str(arguments.artists),
        "--clips", str(arguments.clips), "--batch", str(arguments.batch),
        "--epochs", str(arguments.epochs), "--threads", str(arguments.threads),
        "--step", "",
    ]  # fmt: skip
    for number in range(arguments.rounds):
        found = {}
        folders = [ROOT, arguments.against.resolve()]
        for folder in folders if number % 2 else folders[::-1]:
            done = subprocess.run(  # this file with the code and the params of that checkout
                [sys.executable, str(Path(__file__).resolve()), *options],
                env=os.environ | {"PYTHONPATH": str(folder / "src")},
                cwd=folder, check=True, stdout=subprocess.PIPE,
            )  # fmt: skip
            found[folder] = json.loads(done.stdout)["cpu_seconds"][1:]
        here, there = (np.median(found[folder]) for folder in folders)
        ratios.append(float(here / there))
        print(f"round {number + 1}: {here:.2f} s here, {there:.2f} s there", file=sys.stderr)
    print(f"CPU seconds of an epoch, here / there: {interval(ratios)}, {len(ratios)} rounds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--artists", type=int, default=877)
    parser.add_argument("--clips", type=int, default=3, help="clips of an artist")
    parser.add_argument("--batch", type=int, default=64, help="artists of a step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="for the table")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="float32", help="of --fit")
    parser.add_argument("--step", default="plain", help="of --fit: plain | graph")
    parser.add_argument("--against", type=Path, help="the folder of another checkout")
    parser.add_argument("--rounds", type=int, default=9, help="of --against")
    arguments = parser.parse_args()
    if arguments.against:
        measure_against(arguments)
    elif arguments.fit:
        measure_fit(arguments)
    else:
        measure_steps(arguments)


if __name__ == "__main__":
    main()
