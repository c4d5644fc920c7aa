"""Stage 4: the indexed clips -> their spectrograms, MFCC statistics, embeddings."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import os
from functools import partial
from pathlib import Path

from tqdm import tqdm

from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.clips.clips import Clips
from twinear.compute.pool import choose_workers
from twinear.encoders.sources import find_embeddings
from twinear.spectrograms.computation import write_spectrograms
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import StorageParams


def spectrograms(data: Path, index: Path, folder: Path) -> None:
    """Compute the spectrogram of every clip of `index`."""
    params = read_params("spectrograms", SpectrogramsParams)
    storage = read_params("storage", StorageParams)
    progress = partial(tqdm, desc="spectrograms", unit="clip")
    clips = Clips.read(index)
    workers = choose_workers(os.environ)
    embeddings = find_embeddings(clips, data, params)
    write_spectrograms(clips, data, params, storage, folder, progress, workers, embeddings)


if __name__ == "__main__":
    run_stage(spectrograms)
