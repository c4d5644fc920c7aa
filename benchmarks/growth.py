"""How the cost of each stage grows with the number of artists.

A corpus without audio is planted (`benchmarks.planted_corpus`): a table of listens, one clip of
each artist in `clips.csv`, and spectrograms. The stages that need no audio then run as `dvc.yaml`
says, each in a process of its own, with the project's params but for three: all artists are in the
similarity, an epoch has the same number of steps at every size, and there are three epochs. The
exponent is that of the CPU seconds between one size and the next: 1 is in proportion. The stages
`clips` and `spectrograms` take each clip on its own.

    python -m benchmarks.growth FOLDER [--sizes 100,1000,10000,100000] [--listeners 4]
"""

import argparse
import math
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from benchmarks.planted_corpus import draw_plays, draw_spectrograms
from twinear.acquisition.sample.style import ImaginedArtists, imagine_artists
from twinear.base.params import read_params
from twinear.spectrograms.front_end import SpectrogramsParams

ROOT = Path(__file__).resolve().parents[1]
STAGES = ["listens", "similarity", "split", "training", "catalogue", "ranking", "report"]
FRAMES = 64  # of a log-mel
STEPS, EPOCHS = 200, 3


class Cost(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds
    peak: float  # MB, of the largest process


def write_listens(artists: ImaginedArtists, n_listeners: int, path: Path) -> None:
    """Write a table of listener, artist, mbid and plays."""
    plays = draw_plays(artists, n_listeners, np.random.default_rng([1, 1])).tocoo()
    names, mbids = np.asarray(artists.names), np.asarray(artists.mbids)
    table = pd.DataFrame(
        {
            "listener": plays.row,
            "artist": names[plays.col],
            "mbid": mbids[plays.col],
            "plays": plays.data,
        }
    )
    path.parent.mkdir(parents=True)
    table.to_csv(path, sep="\t", index=False)


def plant(folder: Path, n_artists: int, listeners_per_artist: int) -> None:
    """Write what the stages read, and the params."""
    artists = imagine_artists(n_artists, np.random.default_rng([1, 0]))
    write_listens(artists, n_artists * listeners_per_artist, folder / "data/listens/listens.tsv")
    (folder / "artifacts/training").mkdir(parents=True)
    (folder / "reports").mkdir()
    shutil.copy(ROOT / "reports/clips.json", folder / "reports")  # the report shows it
    front = read_params("spectrograms", SpectrogramsParams, ROOT / "params.yaml")
    shape = {"n_frames": FRAMES, "embeddings": "none"}
    front = front.model_copy(update=shape)
    scratch = folder / "scratch"
    scratch.mkdir()
    clips = draw_spectrograms(artists, 1, front, scratch, np.random.default_rng([1, 2]))
    clips.write(folder / "artifacts/spectrograms")
    shutil.rmtree(scratch)
    listed = clips.clips.rename(columns={"name": "artist", "artist": "mbid"})
    listed[["file", "artist", "mbid", "title"]].to_csv(folder / "data/clips.csv", index=False)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["spectrograms"] |= shape
    params["similarity"]["top_artists"] = n_artists
    params["training"] |= {"epochs": EPOCHS, "steps_per_epoch": STEPS}
    yaml.dump(params, folder / "params.yaml")


def run_stage(folder: Path, command: str) -> Cost:
    """Run the command of a stage in a folder."""
    words = shlex.split(command)
    words = [sys.executable, str(ROOT / words[1]), *words[2:]]
    log = folder / "log"
    started = time.monotonic()
    with log.open("w") as output:
        child = subprocess.Popen(words, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)  # unlike `wait` it tells what the child used
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command}\n{log.read_text()[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall=time.monotonic() - started, cpu=cpu, peak=usage.ru_maxrss / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="100,1000,10000,100000")
    parser.add_argument("--listeners", type=int, default=4, help="listeners of an artist")
    options = parser.parse_args()
    stages: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    os.environ["TWINEAR_TRACKING"] = "off"
    before: dict[str, Cost] = {}
    last = 0
    print("| artists | stage | wall s | CPU s | peak MB | exponent |\n|--:|---|--:|--:|--:|--:|")
    for size in map(int, options.sizes.split(",")):
        folder = options.folder.resolve() / str(size)
        plant(folder, size, options.listeners)
        for stage in STAGES:
            cost = run_stage(folder, stages[stage]["cmd"])
            growth = math.log(cost.cpu / before[stage].cpu) / math.log(size / last) if last else 0
            before[stage] = cost
            told = f"{growth:.2f}" if last else ""
            row = f"{cost.wall:.0f} | {cost.cpu:.0f} | {cost.peak:,.0f} | {told}"
            print(f"| {size:,} | {stage} | {row} |", flush=True)
        last = size


if __name__ == "__main__":
    main()
