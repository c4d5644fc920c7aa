"""Stage 4: the indexed clips -> their spectrograms, MFCC statistics, embeddings."""

import os
from functools import partial
from pathlib import Path

from tqdm import tqdm

from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.clips.clips import Clips
from twinear.compute.pool import choose_workers
from twinear.encoders.sources import find_embeddings
from twinear.spectrograms.computation import compute_spectrograms
from twinear.spectrograms.front_end import SpectrogramsParams


def spectrograms(data: Path, index: Path, folder: Path) -> None:
    """Compute the spectrogram of every clip of `index`."""
    params = read_params("spectrograms", SpectrogramsParams)
    progress = partial(tqdm, desc="spectrograms", unit="clip")
    clips = Clips.read(index)
    workers = choose_workers(os.environ)
    embeddings = find_embeddings(clips, data, params)
    compute_spectrograms(clips, data, params, progress, workers, embeddings).write(folder)


if __name__ == "__main__":
    run_stage(spectrograms)
