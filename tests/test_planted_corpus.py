"""The planted corpus of the benchmarks: it is read as artefacts, and its truth can be found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.planted_corpus import plant_corpus
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from tests.conftest import PARAMS
from twinear.base.params import read_params
from twinear.listens.listens import Listens
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms

N_ARTISTS, CLIPS = 200, 2


@pytest.mark.parametrize("embeddings", ["none", "concat", "only"])
def test_its_artefacts_are_read_and_its_listens_and_clips_follow_the_hidden_style(
    tmp_path: Path, embeddings: str
) -> None:
    front = read_params("spectrograms", SpectrogramsParams, PARAMS)
    front = front.model_copy(update={"n_frames": 32, "embeddings": embeddings})
    similarity = read_params("similarity", SimilarityParams, PARAMS)
    plant_corpus(tmp_path, N_ARTISTS, CLIPS, front, similarity)
    clips = Spectrograms.read(tmp_path / "spectrograms")
    similar = Similarity.read(tmp_path / "similarity")
    assert len(Listens.read(tmp_path / "listens").artists) == N_ARTISTS
    assert (tmp_path / "neighbours/neighbours.parquet").exists()
    assert set(clips.clips["artist"]) == set(similar.artists["artist"])
    assert (clips.clips.groupby("artist").size() == CLIPS).all()

    truth = pd.read_csv(tmp_path / "truth.csv").set_index("mbid").loc[similar.artists["artist"]]
    apart = pdist(truth.to_numpy())
    pairs = np.triu_indices(N_ARTISTS, 1)
    assert spearmanr(similar.matrix[pairs], -apart).statistic > 0.4
