"""Stage 2: listens and the artists of the clips -> similarity."""

from pathlib import Path

from twinear.clips import read_clip_table, resolve
from twinear.listens import Listens
from twinear.params import read_params
from twinear.similarity import SimilarityParams, compute_similarity
from twinear.stage import run_stage


def similarity(folder: Path, clips: Path, into: Path) -> None:
    """Read, compute, write."""
    listens = Listens.read(folder)
    with_clips = set(resolve(read_clip_table(clips), listens.artists)["artist"])
    params = read_params("similarity", SimilarityParams)
    compute_similarity(listens, with_clips, params).write(into)


if __name__ == "__main__":
    run_stage(similarity)
