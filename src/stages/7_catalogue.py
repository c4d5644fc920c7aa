"""Stage 7: every clip through the scorer, once -> all artists and their ranked neighbours."""

from pathlib import Path

from twinear.catalogue import CatalogueParams, build_catalogue
from twinear.params import read_params
from twinear.scorer import Scorer
from twinear.spectrograms import Spectrograms
from twinear.stage import run_stage


def catalogue(spectrograms: Path, scorer: Path, folder: Path) -> None:
    params = read_params("catalogue", CatalogueParams)
    build_catalogue(Spectrograms.read(spectrograms), Scorer.read(scorer), params).write(folder)


if __name__ == "__main__":
    run_stage(catalogue)
