"""Stage 7: every clip through the scorer, once -> all artists and their ranked neighbours."""

from pathlib import Path

from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.catalogue.catalogue import CatalogueParams, build_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.model.scorer import Scorer
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split


def catalogue(
    spectrograms: Path,
    similarity: Path,
    split: Path,
    scorer: Path,
    before_refit: Path,
    folder: Path,
) -> None:
    params = read_params("catalogue", CatalogueParams)
    training_artists = TrainingArtists.from_split(Similarity.read(similarity), Split.read(split))
    build_catalogue(
        Spectrograms.read(spectrograms),
        Scorer.read(scorer),
        params,
        training_artists,
        Scorer.read(before_refit),
    ).write(folder)


if __name__ == "__main__":
    run_stage(catalogue)
