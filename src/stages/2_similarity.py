"""Stage 2: listens and the artists of the clips -> similarity."""

from pathlib import Path

from twinear.clips import read_clip_table, resolve
from twinear.listens import Listens
from twinear.params import read_params
from twinear.redirects import read_redirects
from twinear.similarity import SimilarityParams, compute_similarity
from twinear.stage import run_stage


def similarity(folder: Path, redirects: Path, clips: Path, into: Path) -> None:
    """Read, compute, write."""
    listens = Listens.read(folder)
    table = read_clip_table(clips, read_redirects(redirects))
    with_clips = set(resolve(table, listens.artists)["artist"])
    params = read_params("similarity", SimilarityParams)
    compute_similarity(listens, with_clips, params).write(into)


if __name__ == "__main__":
    run_stage(similarity)
