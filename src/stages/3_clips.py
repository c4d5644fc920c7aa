"""Stage 3: the raw clips -> an index of the usable ones, and why the others were set aside."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import os
from functools import partial
from pathlib import Path

from tqdm import tqdm

from twinear.artists.clip_table import read_clip_table, resolve
from twinear.artists.redirects import read_redirects
from twinear.base.files import write_json
from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.clips.clips import ClipsParams, index_clips
from twinear.compute.pool import choose_workers
from twinear.similarity.similarity import Similarity


def clips(data: Path, redirects: Path, similarity: Path, index: Path, report: Path) -> None:
    """Index the usable clips of `data` under the artists of `similarity`."""
    params = read_params("clips", ClipsParams)
    listed = read_clip_table(
        data / "clips.csv", read_redirects(redirects), source_column=params.source_column
    )
    table = resolve(listed, Similarity.read(similarity, may_be_empty=True).artists)
    progress = partial(tqdm, desc="clips", unit="clip")
    found, told = index_clips(table, data, params, progress, choose_workers(os.environ))
    found.write(index)
    write_json(report, told)


if __name__ == "__main__":
    run_stage(clips)
