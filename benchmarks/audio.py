"""Clip -> spectrogram: decode alone, ours, librosa's plain way and the original's, in one run.

All ways hear the same clips, 30 seconds of made-up stereo music, and are called in turn, round
after round, on one core; told is the best and the median CPU time of a clip. Apart from them stands
what embeddings add (`spectrograms.embeddings: auto`): musicnn's patches, which a worker cuts out of
the same waveform, and its network, which runs in the stage's own process. Then the pool: one worker
beside two, and the memory of all processes while the same clips go through it again and again
(10,000 clips take some minutes; fewer tell the same if it is flat).

The original started ffmpeg for each clip, which wrote a mono WAV; it read that, drew librosa's
spectrogram with matplotlib, saved the picture as PNG and read it back as grey. Without an ffmpeg
program on this machine PyAV writes the WAV, which flatters the original, and librosa.load reads no
m4a.

    python -m benchmarks.audio [--rounds 11] [--clips 2000]
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # one core

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import librosa
import numpy as np
import numpy.typing as npt
import psutil
import soxr
from scipy.io import wavfile
from tests.support.audio import music, write_clip

from twinear.base.params import read_params
from twinear.clips.waveform import Waveform, decode, load_waveform
from twinear.compute.pool import map_in_processes
from twinear.encoders.musicnn_patches import SR, cut_patches
from twinear.spectrograms.front_end import (
    ClipFeatures,
    SpectrogramsParams,
    compute_features,
    log_mel,
    mfcc_statistics,
)

Floats = npt.NDArray[np.float32]
Way = Callable[[Path, SpectrogramsParams], object]

CLIPS = {  # name -> sample rate, bits a second
    "44.1kHz-128k.mp3": (44100, 128_000),
    "44.1kHz-128k.m4a": (44100, 128_000),
    "32kHz-96k.mp3": (32000, 96_000),
}
TOLERANCE = 1e-4  # of values in 0..1, against librosa's of the same waveform
TARGETS = {"original": 3.0, "two cores": 1.9}
DECODE_TARGETS = dict(zip(CLIPS, (1.5, 1.5, 1.7), strict=True))  # times decode alone


def write_clips(folder: Path) -> list[Path]:
    """The clips: notes in two channels, and a little noise for the codecs to chew on."""
    paths = []
    for name, (sr, bit_rate) in CLIPS.items():
        noise = np.random.default_rng(1).normal(0, 0.003, (2, 30 * sr))
        y = np.stack([music(30, sr, 1), music(30, sr, 2)]) + noise
        paths.append(write_clip(folder / name, y, sr, bit_rate=bit_rate))
    return paths


# the ways


def decode_alone(path: Path, _: SpectrogramsParams) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for _frame in container.decode(stream):
            pass


def sound(path: Path, params: SpectrogramsParams) -> Waveform:
    """Decode a clip as the stage `spectrograms` does."""
    return decode(path, params.max_seconds).without_silence()


def ours(path: Path, params: SpectrogramsParams) -> Floats:
    return log_mel(sound(path, params).at(params.sr), params)


def ours_with_mfcc(path: Path, params: SpectrogramsParams) -> ClipFeatures:
    return compute_features(sound(path, params).at(params.sr), params)


def ours_in_two_passes(path: Path, params: SpectrogramsParams) -> tuple[Floats, Floats, Floats]:
    y = sound(path, params).at(params.sr)
    return log_mel(y, params), *mfcc_statistics(y, params)


def ours_with_patches(path: Path, params: SpectrogramsParams) -> tuple[ClipFeatures, Floats]:
    waveform = sound(path, params)
    return compute_features(waveform.at(params.sr), params), cut_patches(waveform.at(SR))


def librosas_spectrogram(y: Floats, params: SpectrogramsParams) -> Floats:
    names = ("sr", "n_fft", "hop_length", "n_mels", "fmin", "fmax")
    power = librosa.feature.melspectrogram(y=y, **{name: getattr(params, name) for name in names})
    db = librosa.power_to_db(power, ref=np.max, top_db=params.top_db)
    return np.asarray(1 + db / params.top_db, np.float32)[:, : params.n_frames]


def librosa_after_pyav(path: Path, params: SpectrogramsParams) -> Floats:
    return librosas_spectrogram(load_waveform(path, params.sr), params)


def librosa_alone(path: Path, params: SpectrogramsParams) -> Floats:
    return librosas_spectrogram(librosa.load(path, sr=params.sr)[0], params)


def the_original(path: Path, params: SpectrogramsParams) -> npt.NDArray[Any]:
    with tempfile.TemporaryDirectory() as folder:
        sr, samples = _through_a_wav(path, Path(folder) / "clip.wav")
        y = samples.astype(np.float32) / 2**15
        power = librosa.feature.melspectrogram(
            y=y, sr=sr, hop_length=len(y) // params.n_frames, n_mels=params.n_mels, fmax=params.fmax
        )
        db = librosa.power_to_db(power, ref=np.max)
        return _through_a_picture(db, Path(folder) / "clip.png")


def _through_a_wav(path: Path, wav: Path) -> tuple[int, npt.NDArray[Any]]:
    if ffmpeg := shutil.which("ffmpeg"):
        command = [ffmpeg, "-loglevel", "error", "-i", str(path), "-ac", "1", str(wav)]
        subprocess.run(command, check=True)
    else:
        sr, y = _read_plainly(path)
        wavfile.write(wav, sr, (np.clip(y, -1, 1) * (2**15 - 1)).astype(np.int16))
    sr, samples = wavfile.read(wav)
    return sr, samples


def _read_plainly(path: Path) -> tuple[int, Floats]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return container.streams.audio[0].sample_rate, np.concatenate(frames, axis=1).mean(axis=0)


def _through_a_picture(db: Floats, png: Path) -> npt.NDArray[Any]:
    import matplotlib.pyplot as plt
    from librosa.display import specshow

    n_mels, n_frames = db.shape
    figure, _ = plt.subplots(frameon=False, figsize=(n_frames / 100, n_mels / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    specshow(db, ax=axes, cmap="gray")
    figure.savefig(png, dpi=100)
    plt.close(figure)
    return np.asarray(plt.imread(png)[..., :3].mean(axis=-1))


def librosa_reads(path: Path) -> bool:
    """Whether librosa can: an m4a only through audioread, and that through an ffmpeg program."""
    return path.suffix == ".mp3" or shutil.which("ffmpeg") is not None


def cpu_seconds() -> float:
    """CPU time of this process and of those it waited for."""
    return time.process_time() + sum(os.times()[2:4])


WAYS: dict[str, Way] = {
    "decode alone (PyAV, native rate)": decode_alone,
    "ours: decode + log_mel": ours,
    "ours with the MFCC statistics, in one pass": ours_with_mfcc,
    "the same in two passes": ours_in_two_passes,
    "ours with these and musicnn's patches": ours_with_patches,
    "load_waveform + librosa.feature.melspectrogram": librosa_after_pyav,
    "librosa.load + librosa.feature.melspectrogram": librosa_alone,
    "the original's, through a WAV and a picture": the_original,
}
DECODE, OURS, *_, LIBROSA, ORIGINAL = WAYS


# CPU time of a clip


def time_ways(paths: list[Path], params: SpectrogramsParams, rounds: int) -> None:
    """Call every way on every clip in turn; print CPU milliseconds and ratios."""
    for path in paths:
        able = {name: way for name, way in WAYS.items() if name != LIBROSA or librosa_reads(path)}
        times: dict[str, list[float]] = {name: [] for name in able}
        for turn in range(rounds + 1):  # the first warms up
            for name, way in able.items():
                started = cpu_seconds()
                way(path, params)
                if turn:
                    times[name].append(1000 * (cpu_seconds() - started))
        _print_times(path, times)


def _print_times(path: Path, times: dict[str, list[float]]) -> None:
    print(f"\n{path.name}, {path.stat().st_size // 1000} kB, CPU ms a clip")
    print("| way | best | median | times decode alone |\n|---|--:|--:|--:|")
    for name in WAYS:
        if name not in times:
            print(f"| {name} | cannot read it | | |")
            continue
        ratio = _ratio(times, name, DECODE)
        row = f"| {name} | {min(times[name]):.1f} | {statistics.median(times[name]):.1f} |"
        print(f"{row} {ratio:.2f} |")
    bar = DECODE_TARGETS[path.name]
    _print_target("ours / decode alone", _ratio(times, OURS, DECODE), "at most", bar)
    faster = _ratio(times, ORIGINAL, OURS)
    if shutil.which("ffmpeg"):
        _print_target("the original's / ours", faster, "at least", TARGETS["original"])
    else:
        print(f"the original's without its ffmpeg program / ours: {faster:.2f}")


def _ratio(times: dict[str, list[float]], way: str, other: str) -> float:
    """The median over the rounds: both of a round had the same neighbours on the machine."""
    return statistics.median(a / b for a, b in zip(times[way], times[other], strict=True))


def _print_target(what: str, found: float, bound: str, target: float) -> None:
    met = found <= target if bound == "at most" else found >= target
    print(f"{what}: {found:.3g}, wanted {bound} {target}: {'met' if met else 'MISSED'}")


# what embeddings add


def time_network(path: Path, params: SpectrogramsParams) -> None:
    """CPU time of musicnn's network for the patches of a clip, in batches as in the stage."""
    import torch

    from twinear.encoders.encoder import BATCH
    from twinear.encoders.loading import DEFAULT, load_encoder

    torch.set_num_threads(1)
    encoder = load_encoder(DEFAULT, print)
    patches = cut_patches(sound(path, params).at(SR))
    costs = []
    for _ in range(4):  # the first warms up
        started = time.process_time()
        list(encoder.embed_clips([patches] * BATCH, frames=False))
        costs.append(1000 * (time.process_time() - started) / BATCH)
    print(f"\n{DEFAULT}'s network, one core: {min(costs[1:]):.0f} CPU ms a clip beside its patches")


# equality


def compare_values(paths: list[Path], params: SpectrogramsParams) -> None:
    """Ours beside librosa's of the same 30 seconds, and coarser resampling beside HQ."""
    print("\nlargest difference of values in 0..1")
    print("| clip | ours - librosa's | resampled MQ - HQ | LQ - HQ | CPU ms HQ, MQ, LQ |")
    print("|---|--:|--:|--:|---|")
    worst = 0.0
    for path in paths:
        y = load_waveform(path, params.sr)
        fine = log_mel(y, params)
        kept = params.n_frames * params.hop_length
        plain = librosas_spectrogram(y[max(0, len(y) - kept) // 2 :][:kept], params)
        difference = float(np.abs(fine[:, : plain.shape[1]] - plain).max())
        worst = max(worst, difference)
        native = load_waveform(path, CLIPS[path.name][0])
        costs, coarse = {}, {}
        for quality in ("HQ", "MQ", "LQ"):
            costs[quality], coarse[quality] = _resampled(native, path, params, quality)
        differences = [float(np.abs(coarse[each] - fine).max()) for each in ("MQ", "LQ")]
        told = " | ".join(f"{each:.0e}" for each in [difference, *differences])
        print(f"| {path.name} | {told} | {', '.join(f'{c:.1f}' for c in costs.values())} |")
    _print_target("ours - librosa's", worst, "at most", TOLERANCE)


def _resampled(
    native: Floats, path: Path, params: SpectrogramsParams, quality: str
) -> tuple[float, Floats]:
    sr = CLIPS[path.name][0]
    costs = []
    for _ in range(7):
        started = time.process_time()
        y = soxr.resample(native, sr, params.sr, quality=quality)
        costs.append(1000 * (time.process_time() - started))
    return statistics.median(costs), log_mel(y, params)


# the pool


def time_pool(paths: list[Path], params: SpectrogramsParams, clips: int, rounds: int = 5) -> None:
    """Wall clock of `clips` clips with one worker and with two, in turn."""
    function = partial(ours_with_mfcc, params=params)
    times: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds + 1):
        for workers in times:
            results = map_in_processes(function, islice(cycle(paths), clips + 1), workers, None)
            next(results)  # without the start of the workers
            started = time.perf_counter()
            for _ in results:
                pass
            if turn:
                times[workers].append(time.perf_counter() - started)
    one, two = (min(times[workers]) for workers in (1, 2))
    print(
        f"\npool, {clips} clips with MFCC statistics, best of {rounds} on {os.cpu_count()} cores:"
    )
    print(f"{one:.2f} s with one worker, {two:.2f} s with two")
    _print_target("one worker / two", one / two, "at least", TARGETS["two cores"])


def watch_memory(paths: list[Path], params: SpectrogramsParams, clips: int) -> None:
    """Resident memory at every tenth of `clips` clips, of all processes and of the largest."""
    print(f"\nmemory while {clips} clips go through two workers, MB of all processes (largest)")
    results = map_in_processes(
        partial(ours_with_mfcc, params=params), islice(cycle(paths), clips), 2, None
    )
    print("; ".join(_sampled(results, max(1, clips // 10))))


def _sampled(results: Iterable[object], every: int) -> Iterator[str]:
    process = psutil.Process()
    for i, _ in enumerate(results, 1):
        if i % every == 0:
            alive = [process, *process.children(recursive=True)]
            sizes = [each.memory_info().rss / 2**20 for each in alive]
            yield f"{i}: {sum(sizes):.0f} ({max(sizes):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="calls of each way on each clip")
    parser.add_argument("--clips", type=int, default=2000, help="clips sent through the pool")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # librosa's, about audioread
    root = Path(__file__).parents[1]
    params = read_params("spectrograms", SpectrogramsParams, root / "params.yaml").model_copy(
        update={"embeddings": "none"}
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder))
        time_ways(paths, params, arguments.rounds)
        time_network(paths[0], params)
        compare_values(paths, params)
        time_pool(paths[:2], params, clips=100)
        watch_memory(paths, params, arguments.clips)


if __name__ == "__main__":
    main()
