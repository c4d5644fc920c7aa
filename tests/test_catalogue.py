"""The catalogue: mean over clip pairs, ranked, the artist itself never among its neighbours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.test_scorer import small_scorer, spectrograms
from twinear.catalogue import Catalogue, CatalogueParams, build_catalogue, find_neighbours
from twinear.errors import DataError
from twinear.spectrograms import Spectrograms

NAMES = {"b": "Sigur Rós", "a": "The Beatles", "c": "“Weird”, Al", "d": "Björk"}
OWNERS = ["b", "a", "a", "c", "d", "b", "a"]


def catalogue(n_neighbours: int = 100) -> Catalogue:
    n = len(OWNERS)
    clips = pd.DataFrame({"file": [f"clips/{i}.mp3" for i in range(n)], "artist": OWNERS})
    heard = Spectrograms(
        clips=clips.assign(name=clips["artist"].map(NAMES)),
        values=spectrograms(n),
        mfcc_mean=np.zeros((n, 20), np.float32),
        mfcc_cov=np.zeros((n, 20, 20), np.float32),
        front=small_scorer().spectrograms,
        vectors=np.empty((n, 0), np.float32),
    )
    return build_catalogue(heard, small_scorer(), CatalogueParams(n_neighbours=n_neighbours))


def test_an_artist_pairs_score_is_the_mean_over_its_clip_pairs() -> None:
    made = catalogue()
    assert list(made.artists["artist"]) == ["a", "b", "c", "d"]
    assert list(made.artists["clips"]) == [3, 2, 1, 1]
    clip_scores = small_scorer().score(made.embeddings, made.embeddings)
    for i, a in enumerate("abcd"):
        for j, b in enumerate("abcd"):
            rows = [k for k, owner in enumerate(OWNERS) if owner == a]
            columns = [k for k, owner in enumerate(OWNERS) if owner == b]
            expected = clip_scores[np.ix_(rows, columns)].mean()
            assert made.scores[i, j] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(made.scores, made.scores.T)


def test_neighbours_are_ranked_and_never_the_artist_itself() -> None:
    neighbours = catalogue().neighbours
    assert (neighbours["artist"] != neighbours["neighbour"]).all()
    for _, ranked in neighbours.groupby("artist"):
        assert list(ranked["rank"]) == [1, 2, 3]
        assert ranked["score"].is_monotonic_decreasing


def test_only_the_wanted_number_of_neighbours_is_kept() -> None:
    assert catalogue(n_neighbours=2).neighbours["rank"].max() == 2


def test_a_catalogue_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = catalogue()
    made.write(tmp_path / "catalogue")
    again = Catalogue.read(tmp_path / "catalogue")
    pd.testing.assert_frame_equal(again.artists, made.artists)
    pd.testing.assert_frame_equal(again.neighbours, made.neighbours)
    assert np.array_equal(again.scores, made.scores)


def test_a_catalogue_whose_shapes_disagree_is_refused(tmp_path: Path) -> None:
    catalogue().write(tmp_path / "catalogue")
    np.save(tmp_path / "catalogue" / "scores.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"4 artists, scores \(2, 2\).*expected shapes that agree"):
        Catalogue.read(tmp_path / "catalogue")


@pytest.mark.parametrize("wanted", ["b", "Sigur Rós", "sigur ros", "SIGUR RÓS"])
def test_an_artist_is_found_by_id_or_name_whatever_case_and_accents(
    tmp_path: Path, wanted: str
) -> None:
    catalogue().write(tmp_path / "catalogue")
    found = find_neighbours(tmp_path / "catalogue", wanted, top=2)
    assert (found.artist, found.name) == ("b", "Sigur Rós")
    assert list(found.table.columns) == ["rank", "neighbour", "name", "score"]
    assert len(found.table) == 2
    assert "b" not in set(found.table["neighbour"])


def test_an_unknown_artist_names_the_nearest(tmp_path: Path) -> None:
    catalogue().write(tmp_path / "catalogue")
    with pytest.raises(DataError, match="no artist 'Beetles' among 4; did you mean 'The Beatles'"):
        find_neighbours(tmp_path / "catalogue", "Beetles", top=2)
    with pytest.raises(DataError, match=r"see artists\.csv"):
        find_neighbours(tmp_path / "catalogue", "zzzzqqqq", top=2)


def test_no_catalogue_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing; run 'dvc repro catalogue'"):
        find_neighbours(tmp_path / "catalogue", "Björk", top=2)


def test_namesakes_are_told_apart_by_id(tmp_path: Path) -> None:
    made = catalogue()
    made.artists.loc[made.artists["artist"] == "c", "name"] = "Bjork"
    made.write(tmp_path / "catalogue")
    with pytest.raises(DataError, match=r"several artists 'björk': Bjork \(c\), Björk \(d\)"):
        find_neighbours(tmp_path / "catalogue", "björk", top=2)
    assert find_neighbours(tmp_path / "catalogue", "D", top=2).artist == "d"


@pytest.mark.parametrize("name", ["artists.csv", "scores.npy", "owner.npy", "neighbours.parquet"])
def test_a_damaged_catalogue_is_one_line(tmp_path: Path, name: str) -> None:
    catalogue().write(tmp_path / "catalogue")
    path = tmp_path / "catalogue" / name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="dvc repro catalogue"):
        Catalogue.read(tmp_path / "catalogue")
