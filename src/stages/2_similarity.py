"""Stage 2: listens and the artists of the clips -> similarity, and all artists' neighbours."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import os
import sys
from pathlib import Path

from twinear.artists.clip_table import read_clip_table, resolve
from twinear.artists.identity import read_artists
from twinear.artists.redirects import read_redirects
from twinear.base.files import write_json
from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.compute.memory import choose_memory
from twinear.compute.pool import choose_workers
from twinear.listens.plays import AGAIN
from twinear.similarity.computation import compute, compute_nothing
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import open_listens


def similarity(
    folder: Path, redirects: Path, clips: Path, into: Path, neighbours: Path, report: Path
) -> None:
    """Read, compute, write; the report says what was compared."""
    params = read_params("similarity", SimilarityParams)
    memory, workers = choose_memory(os.environ), choose_workers(os.environ)
    table = read_clip_table(clips, read_redirects(redirects))
    artists = read_artists(folder / "artists.csv", AGAIN, may_be_empty=True)
    if artists.empty:
        similarities, nearest, summary = compute_nothing(artists, params)
        print("similarity: no listens, so none is computed", file=sys.stderr)
    else:
        parts = open_listens(folder, memory, workers, params.basket)
        with_clips = set(resolve(table, parts.artists)["artist"])
        similarities, nearest, summary = compute(parts, with_clips, params, memory, workers)
    similarities.write(into)
    nearest.write(neighbours)
    if 0 < summary.artists < summary.top_artists:
        print(f"similarity: of {summary.artists} artists, fewer than top_artists", file=sys.stderr)
    write_json(report, summary)


if __name__ == "__main__":
    run_stage(similarity)
