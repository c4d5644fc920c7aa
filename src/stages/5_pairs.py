"""Stage 5: artists with similarity and usable clips -> who trains, who validates, who tests."""

from pathlib import Path

from twinear.pairs import PairsParams, split_artists
from twinear.params import read_params
from twinear.similarity.similarity import Similarity
from twinear.spectrograms import Spectrograms
from twinear.stage import run_stage


def pairs(similarity: Path, spectrograms: Path, split: Path) -> None:
    params = read_params("pairs", PairsParams)
    artists = Similarity.read(similarity).artists
    heard = artists["artist"].isin(set(Spectrograms.read(spectrograms).clips["artist"]))
    split_artists(artists[heard], params).write(split)


if __name__ == "__main__":
    run_stage(pairs)
