"""What is planted in the bundled sample is found, and shuffling any part of it is chance.

The chain is that of the stages, from listens to ranking, with a short training. A leak anywhere
(a query among its candidates, ties in the order of the table, test artists in training) would
rank above chance on shuffled data too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from tests.conftest import PARAMS, Project
from twinear.base.params import read_params
from twinear.catalogue.building import ScoredArtists, score_catalogue
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.params import CatalogueParams
from twinear.listens.listens import Listens
from twinear.ranking.ranking import RankingParams, rank_test
from twinear.ranking.summary import summarise
from twinear.ranking.systems import score_systems
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split, SplitParams, split_artists
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

EPOCHS = 5
SHUFFLES = 4
FRAMES = 150
CHANCE = {"n_chance": 100, "n_bootstrap": 10}  # random rankings enough for a mean; no interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    listens: Listens
    clips: Spectrograms


@pytest.fixture(scope="module")
def corpus(finished: Project) -> Corpus:
    artifacts = finished.folder / "artifacts"
    return shortened(
        Corpus(
            listens=Listens.read(artifacts / "listens"),
            clips=Spectrograms.read(artifacts / "spectrograms"),
        )
    )


def shortened(corpus: Corpus) -> Corpus:
    """The log-mels of the first three seconds and a half: enough to find what is planted."""
    own = corpus.clips.front.model_copy(update={"embeddings": "none"})
    clips, front = corpus.clips.for_front_end(own), own.model_copy(update={"n_frames": FRAMES})
    return replace(corpus, clips=replace(clips, values=clips.values[:, :, :FRAMES], front=front))


def lead_on_chance(corpus: Corpus, folder: Path, seed: int = 1) -> float:
    """NDCG@10 of the trained catalogue on the test artists, minus that of chance."""
    chosen = read_params("similarity", SimilarityParams, PARAMS)
    similarity = compute_similarity(corpus.listens, corpus.clips.clips["artist"], chosen)
    split = split_artists(similarity.artists, read_params("split", SplitParams, PARAMS))
    params = read_params("training", TrainingParams, PARAMS)
    params = params.network_alone.model_copy(update={"epochs": EPOCHS, "seed": seed})
    trained = train_scorer(corpus.clips, similarity, split, params, folder / f"{seed}.pt")
    catalogue = score_catalogue(
        corpus.clips,
        trained.scorer,
        read_params("catalogue", CatalogueParams, PARAMS),
        TrainingArtists.from_split(similarity, split),
        trained.before_refit,
    )
    return _lead(catalogue, corpus.clips, similarity, split)


def _lead(
    catalogue: ScoredArtists, clips: Spectrograms, similarity: Similarity, split: Split
) -> float:
    params = read_params("ranking", RankingParams, PARAMS).model_copy(update=CHANCE)
    systems = score_systems(catalogue, clips, similarity).select(split.members("test"))
    judged, chance = rank_test(systems, params)
    numbers = summarise(judged.queries, chance, params)
    return numbers["catalogue"]["ndcg@10"]["value"] - numbers["chance"]["ndcg@10"]["value"]


def shuffle_listens(corpus: Corpus, rng: np.random.Generator) -> Corpus:
    """Who played is given to somebody else, row by row."""
    rows = corpus.listens.plays.tocoo()
    places = (rng.permutation(rows.row), rows.col)
    plays = coo_array((rows.data, places), shape=rows.shape).tocsr()
    return replace(corpus, listens=replace(corpus.listens, plays=plays))


def shuffle_clips(corpus: Corpus, rng: np.random.Generator) -> Corpus:
    """Spectrograms are given to other clips."""
    order = rng.permutation(len(corpus.clips.values))
    return replace(corpus, clips=replace(corpus.clips, values=corpus.clips.values[order]))


def shuffle_labels(corpus: Corpus, rng: np.random.Generator) -> Corpus:
    """Artists exchange their ids among the clips, all clips of one together."""
    clips = corpus.clips.clips
    artists = clips["artist"].unique()
    exchanged = dict(zip(artists, rng.permutation(artists), strict=True))
    table = clips.assign(artist=clips["artist"].map(exchanged))
    return replace(corpus, clips=replace(corpus.clips, clips=table))


def test_the_planted_truth_is_found(corpus: Corpus, tmp_path: Path) -> None:
    assert lead_on_chance(corpus, tmp_path) > 0.15


@pytest.mark.slow(reason="trains twelve times")
@pytest.mark.parametrize("shuffle", [shuffle_listens, shuffle_clips, shuffle_labels])
def test_shuffled_data_rank_by_chance(
    corpus: Corpus,
    tmp_path: Path,
    shuffle: Callable[[Corpus, np.random.Generator], Corpus],
) -> None:
    leads = [
        lead_on_chance(shuffle(corpus, np.random.default_rng(seed)), tmp_path, seed)
        for seed in range(SHUFFLES)
    ]
    assert abs(np.mean(leads)) < 0.075


def test_scores_follow_the_hidden_styles(finished: Project) -> None:
    """The catalogue's scores against the styles that no stage has seen, test artists only."""
    folder = finished.folder
    truth = pd.read_csv(folder / "data/truth.csv").set_index("mbid")
    catalogue = Catalogue.read(folder / "artifacts/catalogue")
    test = Split.read(folder / "artifacts/split.csv").members("test")
    rows = catalogue.rows(test)
    styles = truth.loc[test].select_dtypes("number").to_numpy()
    pairs = np.triu_indices(len(test), k=1)
    closeness = -cdist(styles, styles)[pairs]
    scores = catalogue.scores(rows, rows)[pairs]
    assert spearmanr(closeness, scores).statistic > 0.4
