"""Stage 5: artists with similarity and usable clips -> who trains, who validates, who tests."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import sys
from pathlib import Path

from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split, SplitParams, split_artists


def split(similarity: Path, spectrograms: Path, path: Path) -> None:
    params = read_params("split", SplitParams)
    """Split the artists with clips and listens; without listens the split is empty."""
    artists = Similarity.read(similarity, may_be_empty=True).artists
    heard = artists["artist"].isin(set(Spectrograms.read(spectrograms).clips["artist"]))
    if artists.empty:
        print("split: no listens, so no artist trains, validates or tests", file=sys.stderr)
        Split.from_ids(artists).write(path)
    else:
        split_artists(artists[heard], params).write(path)


if __name__ == "__main__":
    run_stage(split)
