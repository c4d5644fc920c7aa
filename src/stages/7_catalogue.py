"""Stage 7: every clip through the scorer, once -> an index of all artists, ready to be asked."""

from pathlib import Path

from twinear.artists.identity import read_artists
from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.catalogue.building import find_neighbours, score_catalogue
from twinear.catalogue.catalogue import CatalogueParams, write_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.model.scorer import Scorer
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split


def catalogue(
    spectrograms: Path,
    similarity: Path,
    split: Path,
    listeners: Path,
    scorer: Path,
    before_refit: Path,
    folder: Path,
) -> None:
    params = read_params("catalogue", CatalogueParams)
    training_artists = TrainingArtists.from_split(Similarity.read(similarity), Split.read(split))
    artists = score_catalogue(
        Spectrograms.read(spectrograms),
        Scorer.read(scorer),
        params,
        training_artists,
        Scorer.read(before_refit),
    )
    counts = read_artists(listeners, "run 'dvc repro listens'").set_index("artist")["listeners"]
    write_catalogue(
        artists,
        find_neighbours(artists, params.n_neighbours),
        artists.table["artist"].map(counts).fillna(0),
        scorer,
        folder,
    )


if __name__ == "__main__":
    run_stage(catalogue)
