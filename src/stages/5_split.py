"""Stage 5: artists with similarity and usable clips -> who trains, who validates, who tests."""

from pathlib import Path

from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import SplitParams, split_artists


def split(similarity: Path, spectrograms: Path, path: Path) -> None:
    params = read_params("split", SplitParams)
    artists = Similarity.read(similarity).artists
    heard = artists["artist"].isin(set(Spectrograms.read(spectrograms).clips["artist"]))
    split_artists(artists[heard], params).write(path)


if __name__ == "__main__":
    run_stage(split)
