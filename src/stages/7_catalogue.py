"""Stage 7: every clip through the scorer, once -> an index of all artists, ready to be asked."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from twinear.artists.identity import read_artists
from twinear.base.files import working_folder, write_json
from twinear.base.params import read_params
from twinear.base.stage import run_stage
from twinear.catalogue.building import find_neighbours, score_catalogue
from twinear.catalogue.catalogue import Catalogue, write_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.listener_factors import add_listener_factors
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.recall import search_recall
from twinear.listens.listens import Listens
from twinear.model.scorer import Scorer
from twinear.recommendation.faithfulness import deletion_test, nearest_pairs
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split


def catalogue(
    spectrograms: Path,
    similarity: Path,
    split: Path,
    listens: Path,
    scorer: Path,
    before_refit: Path,
    folder: Path,
    report: Path,
) -> None:
    params, progress = read_params("catalogue", CatalogueParams), partial(tqdm, desc="catalogue")
    clips, network = Spectrograms.read(spectrograms), Scorer.read(scorer)
    known, parts = Similarity.read(similarity, may_be_empty=True), Split.read(split)
    training_artists = TrainingArtists.from_split(known, parts)
    if params.collaborative_denoised and not known.artists.empty:
        training_artists = add_listener_factors(training_artists, Listens.read(listens), parts)
    with working_folder(folder) as work:
        artists = score_catalogue(
            clips,
            network,
            params,
            training_artists,
            Scorer.read(before_refit),
            progress=progress,
            work=work,
        )
        remedy = "run 'dvc repro listens'"
        listened = read_artists(listens / "artists.csv", remedy, may_be_empty=True)
        counts = listened.set_index("artist")["listeners"]
        write_catalogue(
            artists,
            find_neighbours(artists, params.n_neighbours, progress),
            artists.table["artist"].map(counts).fillna(0),
            scorer,
            folder,
        )
    made, rows = Catalogue.read(folder), np.arange(len(artists.table))
    if not known.artists.empty:  # without listens all artists are as new as test artists
        rows = np.flatnonzero(artists.table["artist"].isin(parts.members("test")))
    recall = search_recall(made, rows)
    write_json(
        report,
        {
            "artists": len(made),
            "clips": len(clips.clips),
            "search": {"name": made.search, "queries": len(recall), "recall_at_10": recall.mean()},
            "explanation": deletion_test(
                network, clips, nearest_pairs(network, clips, artists, rows), seed=1
            ),
        },
    )


if __name__ == "__main__":
    run_stage(catalogue)
