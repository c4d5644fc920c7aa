"""A catalogue with an index: built, opened and asked, beside the same artists scored exactly."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.planted_catalogue import COSINE, EVERYTHING, planted, written
from twinear.base.errors import DataError, ParamsError
from twinear.catalogue.building import prepare
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.head import L1Head
from twinear.catalogue.indexing import search_of
from twinear.catalogue.recall import search_recall
from twinear.recommendation.collection import Collection
from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar

N, N_KNOWN = 2600, 600  # more artists than are all scored
PARAMS = EVERYTHING.model_copy(
    update={
        "collaborative_artists": 8,
        "collaborative_neighbours": 50,
        "search": "faiss",
        "exact_below": 0,
    }
)
SOME = planted(n_artists=N, n_known=N_KNOWN, units=16, max_clips=2)


def table() -> pd.DataFrame:
    ids = [f"id-{row:04}" for row in range(N)]
    return pd.DataFrame({"artist": ids, "name": [f"Artist {row}" for row in range(N)]})


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed") / "catalogue"
    return written(folder, table(), SOME, PARAMS)


def test_what_the_index_prepares_is_nearly_what_all_pairs_give(folder: Path) -> None:
    exact = PARAMS.model_copy(update={"search": "exact"})
    _, expected = prepare(SOME.artists, COSINE, exact, SOME.known)
    found = Catalogue.read(folder).encoded
    apart = np.abs(found.nearness - expected.nearness)
    assert np.median(apart) < 0.03  # standard deviations: an artist that is missed is seldom near
    assert np.quantile(apart, 0.95) < 0.1
    new = np.setdiff1d(np.arange(N), SOME.known.rows)
    kept = [
        expected.weights[row][np.isin(expected.representatives[row], found.representatives[row])]
        for row in new
    ]
    assert np.mean([weights.sum() for weights in kept]) > 0.85
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, rtol=1e-5)


def test_the_search_finds_the_best_artists(folder: Path) -> None:
    catalogue = Catalogue.read(folder)
    assert catalogue.search == "faiss"
    recall = search_recall(catalogue, np.arange(0, N, 13))
    assert recall.mean() > 0.98


def test_an_index_of_mean_embeddings_holds_them_at_length_1(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"pooling": "mean"})
    folder = written(tmp_path / "catalogue", table(), SOME, params)
    lengths = np.linalg.norm(np.load(folder / "search/vectors.npy"), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert search_recall(Catalogue.read(folder), np.arange(0, N, 40)).mean() > 0.98


def test_no_neighbours_are_kept_where_there_is_an_index(folder: Path) -> None:
    assert Catalogue.read(folder).neighbours.shape == (N, 0)


def test_an_answer_by_the_index_has_the_scores_of_the_exact_one(folder: Path) -> None:
    collection = Collection.open(folder)
    asked = ask(collection, ["Artist 7"])
    quick = find_similar(collection, asked, SimilarOptions(top=20))
    exact = find_similar(collection, asked, SimilarOptions(top=20, exact=True))
    assert (quick.exact, exact.exact) == (False, True)
    both = {artist.artist for artist in quick.similar} & {artist.artist for artist in exact.similar}
    assert len(both) >= 18
    scores = {artist.artist: artist.score for artist in exact.similar}
    for artist in quick.similar:
        if artist.artist in both:
            assert artist.score == pytest.approx(scores[artist.artist], abs=1e-5)


def test_filters_are_kept_by_the_index(folder: Path) -> None:
    collection = Collection.open(folder)
    asked = ask(collection, ["Artist 7", "Artist 70"])
    without = tuple(f"Artist {row}" for row in range(100, 200))
    found = find_similar(collection, asked, SimilarOptions(top=50, without=without))
    assert len(found.similar) == 50
    assert not {artist.name for artist in found.similar} & {"Artist 7", "Artist 70", *without}


def test_new_clips_are_represented_by_the_index_as_by_all(folder: Path) -> None:
    catalogue = Catalogue.read(folder)
    offsets, shared, apart = catalogue.encoded.clip_offsets, [], []
    for row in range(0, N, 50):
        embeddings = np.array(catalogue.encoded.embeddings[offsets[row] : offsets[row + 1]])
        quick, exact = catalogue.represent(embeddings), catalogue.represent(embeddings, exact=True)
        shared.append(np.isin(quick.representatives, exact.representatives).mean())
        apart.append(abs(quick.nearness[0] - exact.nearness[0]))
    # an artist of two clips that have little in common is not found by their mean
    assert np.mean(shared) > 0.95
    assert np.median(apart) < 0.03


@pytest.mark.parametrize(
    "name", ["vectors.npy", "sound/vectors.faiss", "sound/index.json", "represented_artists.npy"]
)
def test_a_damaged_index_is_one_line(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "catalogue")
    path = copy / "search" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"dvc repro catalogue"):
        Catalogue.read(copy)
    path.unlink()
    with pytest.raises(DataError, match=r"is missing.*dvc repro catalogue"):
        Catalogue.read(copy)


def test_only_a_cosine_has_an_index() -> None:
    l1 = L1Head(weight=(1.0,), bias=0.0)
    auto = PARAMS.model_copy(update={"search": "auto"})
    assert search_of(auto, COSINE, N) == "faiss"
    assert search_of(auto, l1, N) == "exact"
    assert search_of(auto.model_copy(update={"exact_below": N + 1}), COSINE, N) == "exact"
    with pytest.raises(ParamsError, match=r"catalogue\.search: is 'faiss'.*head is l1"):
        search_of(PARAMS, l1, N)
