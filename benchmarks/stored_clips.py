"""Spectrograms in shards: bytes of a clip on disk, and the memory of a training that reads them.

The clips are planted: random values around a template of their artist, in the shapes that the
project's front end and musicnn give. Artists are similar as their places on a line are near. The
files are those that the stage writes. Each training is a process of its own, one epoch of the
project's params, with everything in memory and within a limit; the results are the same.

    python -m benchmarks.stored_clips FOLDER --clips 100000 --artists 2000 [--memory 4GB]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from twinear.base.files import sha256
from twinear.base.params import read_params
from twinear.compute.memory import MEMORY, choose_memory
from twinear.model.inputs import LogMel, block_sizes
from twinear.model.pooling import read_pooling
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Compact, Spectrograms, StorageParams, join_shards
from twinear.split import Split
from twinear.training.checkpoint import Epoch
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

N_DIMS = 200  # of musicnn
SEED = 1


def plant_shards(
    index: pd.DataFrame, artist_index: np.ndarray, front: SpectrogramsParams, storage: StorageParams
) -> Iterator[Spectrograms]:
    """Plant the clips of the index (file, artist, …), a shard at a time."""
    spec = LogMel(
        n_mels=front.n_mels,
        n_frames=front.n_frames,
        frames_per_second=front.sr / front.hop_length,
        top_db=front.top_db,
    )
    n_statistics = sum(block_sizes(spec).values())
    n_frames = -(-front.n_frames // storage.average_frames)
    n_artists = artist_index.max() + 1
    templates = np.random.default_rng(SEED)
    bands = templates.integers(40, 200, (n_artists, front.n_mels), dtype=np.uint8)
    of_artists = templates.normal(size=(n_artists, n_statistics)).astype(np.float32)
    for start in range(0, len(index), storage.shard_clips):
        rows = slice(start, start + storage.shard_clips)
        n, artist, rng = len(index[rows]), artist_index[rows], np.random.default_rng([SEED, start])
        noise = rng.integers(0, 50, (n, front.n_mels, n_frames), dtype=np.uint8)
        statistics = of_artists[artist] + rng.normal(size=(n, n_statistics)).astype(np.float32)
        yield Spectrograms(
            clips=index[rows],
            values=bands[artist][:, :, None] + noise,
            mfcc_mean=np.zeros((n, front.n_mfcc), np.float32),
            mfcc_cov=np.tile(np.eye(front.n_mfcc, dtype=np.float32), (n, 1, 1)),
            front=front,
            joined=rng.normal(size=(n, N_DIMS)).astype(np.float32),
            extractor="planted",
            compact=Compact(average_frames=storage.average_frames, statistics=statistics),
        )


def plant(folder: Path, n_clips: int, n_artists: int) -> None:
    """Write spectrograms and similarity, unless they are there."""
    if (folder / "spectrograms").exists():
        return
    front = read_params("spectrograms", SpectrogramsParams)
    storage = read_params("storage", StorageParams)
    artist_index = np.sort(np.arange(n_clips) % n_artists)
    names = np.array([f"artist {number:06}" for number in range(n_artists)])
    index = pd.DataFrame({"artist": names[artist_index], "name": names[artist_index]})
    index.insert(0, "file", [f"clips/{number:08}.mp3" for number in range(n_clips)])
    index = index.assign(title="", source="", seconds=30.0)
    shards: list[Path] = []
    for shard in plant_shards(index, artist_index, front, storage):
        shards.append(folder / "work" / f"{len(shards):05d}")
        shard.write_shard(shards[-1])
    join_shards(shards, index, folder / "spectrograms")
    place = np.random.default_rng(SEED).uniform(size=n_artists)
    matrix = np.exp(-np.abs(place[:, None] - place) * n_artists / 20).astype(np.float32)
    artists = pd.DataFrame({"artist": names, "name": names, "mbid": ""})
    artists = artists.assign(listeners=10, plays=10)
    Similarity(artists=artists, matrix=matrix).write(folder / "similarity")


def train(folder: Path, memory: int | None) -> None:
    """Train one epoch; print seconds, peak memory and the hash of the scorer."""
    params = read_params("training", TrainingParams)
    params = params.model_copy(
        update={"epochs": 1, "refit": False, "keep": "always", "listener_factors": 0}
    )
    # of a scorer that takes both log-mels and embeddings
    model = params.model.model_copy(update={"embeddings_shares": (0.75,)})
    params = params.model_copy(update={"model": model})
    similarity = Similarity.read(folder / "similarity")
    ids = list(similarity.artists["artist"])
    drawn = np.random.default_rng(SEED).permutation(ids).tolist()
    n = len(ids) // 20  # as the original: 5 % validation, 5 % test
    split = Split.from_ids(similarity.artists, train=drawn[2 * n :], validation=drawn[:n])
    times = [time.monotonic()]

    def on_epoch(epoch: Epoch) -> None:
        times.append(time.monotonic())

    clips = Spectrograms.read(folder / "spectrograms")
    trained = train_scorer(
        clips, similarity, split, params, folder / "checkpoint.pt", on_epoch,
        pooling=read_pooling(), memory=memory,
    )  # fmt: skip
    trained.scorer.write(folder / "scorer.safetensors")
    result = {
        "to the end of the epoch, s": round(times[1] - times[0]),
        "all, s": round(time.monotonic() - times[0]),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "scorer": sha256(folder / "scorer.safetensors")[:8],
    }
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--artists", type=int, default=2000)
    parser.add_argument("--memory", default="4GB", help="of the training that reads as it goes")
    parser.add_argument("--all-in-memory", action="store_true", help="train without a limit too")
    parser.add_argument("--train", choices=["limited", "unlimited"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        memory = choose_memory(os.environ) if options.train == "limited" else None
        train(options.folder, memory)
        return
    plant(options.folder, options.clips, options.artists)
    files = [path for path in (options.folder / "spectrograms").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / options.clips
    print(f"{size:,.0f} bytes a clip, {size / 1000:.1f} GB for a million")
    for name in ["limited", *["unlimited"] * options.all_in_memory]:
        words = [sys.executable, "-m", "benchmarks.stored_clips", str(options.folder)]
        environment = os.environ | {MEMORY: options.memory}
        ended = subprocess.run(
            [*words, "--train", name], env=environment, check=True, stdout=subprocess.PIPE
        )
        print(options.memory if name == "limited" else "all in memory", ended.stdout.decode())


if __name__ == "__main__":
    main()
