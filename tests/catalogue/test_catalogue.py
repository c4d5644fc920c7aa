"""The catalogue: mean over clip pairs, ranked, the artist itself never among its neighbours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from tests.conftest import PARAMS
from tests.support.scorers import clip_spectrograms, small_scorer
from twinear.base.errors import DataError
from twinear.base.params import parse_params
from twinear.catalogue.catalogue import Catalogue, CatalogueParams, build_catalogue, score_artists
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.search import find_neighbours
from twinear.model.scorer import Scorer
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split

NAMES = {"b": "Sigur Rós", "a": "The Beatles", "c": "“Weird”, Al", "d": "Björk"}
OWNERS = ["b", "a", "a", "c", "d", "b", "a"]


PLAIN = {  # the sound alone
    "csls_weight": 0.0, "collaborative_weight": 0.0, "collaborative_inverse_temperature": 1.0,
    "popularity_weight": 0.0,
    "pooling_power": 1.0, "n_neighbours": 100,
}  # fmt: skip
EVERYTHING = {"csls_weight": 0.5, "collaborative_weight": 2.0, "popularity_weight": 0.5}


def params(**changes: float) -> CatalogueParams:
    return parse_params("catalogue", CatalogueParams, {**PLAIN, **changes}, PARAMS)


def clips_of(artist_indices: list[str]) -> Spectrograms:
    clips = clip_spectrograms(len(artist_indices))
    table = clips.clips.assign(
        artist=artist_indices, name=[NAMES.get(each, each) for each in artist_indices]
    )
    return replace(clips, clips=table)


def catalogue(**changes: float) -> Catalogue:
    return build_catalogue(clips_of(OWNERS), small_scorer(), params(**changes))


def test_an_artist_pairs_score_is_the_mean_over_its_clip_pairs() -> None:
    made = catalogue()
    assert list(made.artists["artist"]) == ["a", "b", "c", "d"]
    assert list(made.artists["clips"]) == [3, 2, 1, 1]
    assert np.array_equal(made.embeddings, small_scorer().encode_spectrograms(clips_of(OWNERS)))
    clip_scores = small_scorer().score(made.embeddings, made.embeddings)
    for i, a in enumerate("abcd"):
        for j, b in enumerate("abcd"):
            rows = [k for k, artist_index in enumerate(OWNERS) if artist_index == a]
            columns = [k for k, artist_index in enumerate(OWNERS) if artist_index == b]
            expected = clip_scores[np.ix_(rows, columns)].mean()
            assert made.siamese[i, j] == pytest.approx(expected, abs=1e-6)
            assert made.scores[i, j] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(made.siamese, made.siamese.T)
    assert np.array_equal(made.scores, made.scores.T)


def test_the_more_clips_are_pooled_by_a_power_the_more_the_most_similar_pair_counts() -> None:
    clip_scores = small_scorer().score(*[catalogue().embeddings] * 2)
    a, b = ([k for k, artist_index in enumerate(OWNERS) if artist_index == each] for each in "ab")
    pairs = clip_scores[np.ix_(a, b)]
    pooled = [catalogue(pooling_power=power).siamese[0, 1] for power in (0.5, 1.0, 4.0, 40.0)]
    assert pooled == sorted(pooled)
    assert pooled[1] == pytest.approx(pairs.mean(), abs=1e-6)
    assert pooled[2] == pytest.approx((pairs**4).mean() ** 0.25, rel=1e-5)
    assert pairs.max() * 0.9 < pooled[3] <= pairs.max()


def test_scores_too_low_for_a_high_power_are_still_told_apart() -> None:
    """`1e-4 ** 40` is nothing in single precision."""

    class Low(Scorer):
        def score(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
            return (1e-4 * super().score(u, v)).astype(np.float32)

    plain = small_scorer()
    low = Low(
        spectrograms=plain.spectrograms, inputs=plain.inputs, model=plain.model, net=plain.net
    )
    embeddings, artist_index = plain.encode_spectrograms(clips_of(OWNERS)), catalogue().artist_index
    expected = score_artists(plain, embeddings, artist_index, power=40.0)
    np.testing.assert_allclose(
        score_artists(low, embeddings, artist_index, 40.0), 1e-4 * expected, rtol=1e-4
    )


# --- with listens -----------------------------------------------------------------------------

MANY = [f"a{i:02}" for i in range(24) for _ in range(2)]


def listened(test: float = 0.5) -> TrainingArtists:
    """Of the 24 artists, the last six are test; `test` is what their listens say."""
    rng = np.random.default_rng(3)
    ids = sorted(set(MANY))
    values = rng.random((24, 24))
    matrix = ((values + values.T) / 2).astype(np.float32)
    listeners = rng.integers(2, 999, 24)
    matrix[18:], matrix[:, 18:], listeners[18:] = test, test, int(1000 * test)
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": listeners})
    split = ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    table = pd.DataFrame({"artist": ids, "name": ids, "split": split})
    return TrainingArtists.from_split(
        Similarity(artists=artists.assign(plays=1), matrix=matrix), Split(artists=table)
    )


def test_listens_of_test_artists_never_matter() -> None:
    made = [
        build_catalogue(
            clips_of(MANY), small_scorer(), params(**EVERYTHING), listened(test), small_scorer(1)
        )
        for test in (0.1, 0.9)
    ]
    assert np.array_equal(made[0].scores, made[1].scores)
    pd.testing.assert_frame_equal(made[0].neighbours, made[1].neighbours)


def test_listens_of_known_artists_do_matter_and_the_sound_stays() -> None:
    clips, scorer = clips_of(MANY), small_scorer()
    alone = build_catalogue(clips, scorer, params(**EVERYTHING))
    known = build_catalogue(clips, scorer, params(**EVERYTHING), listened(), scorer)
    assert np.array_equal(known.siamese, alone.siamese)
    assert not np.array_equal(np.argsort(known.scores), np.argsort(alone.scores))


def test_calibration_changes_no_ranking() -> None:
    clips, scorer = clips_of(MANY), small_scorer()
    plain, calibrated = (
        build_catalogue(clips, scorer, params(**EVERYTHING), listened(), judged)
        for judged in (None, small_scorer(1))
    )
    assert not np.array_equal(plain.scores, calibrated.scores)
    for before, after in zip(logit(plain.scores), calibrated.scores, strict=True):
        order = np.argsort(before)
        rises = np.diff(after[order])
        assert rises.min() >= 0
        assert rises[np.diff(before[order]) > 0.01].min() > 0
    assert calibrated.scores.min() >= 0
    assert calibrated.scores.max() <= 1


def test_clips_of_another_front_end_are_refused() -> None:
    other = replace(
        clips_of(OWNERS), front=small_scorer().spectrograms.model_copy(update={"sr": 1})
    )
    with pytest.raises(DataError, match=r"sr 1, .*sr 22050"):
        build_catalogue(other, small_scorer(), params())


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
    assert np.array_equal(again.siamese, made.siamese)


def test_a_catalogue_whose_shapes_disagree_is_refused(tmp_path: Path) -> None:
    catalogue().write(tmp_path / "catalogue")
    np.save(tmp_path / "catalogue" / "scores.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"catalogue: .*4 artists, scores \(2, 2\)"):
        Catalogue.read(tmp_path / "catalogue")


@pytest.mark.parametrize("wanted", ["b", "Sigur Rós", "sigur ros", "SIGUR RÓS"])
def test_an_artist_is_found_by_id_or_name_whatever_case_and_accents(
    tmp_path: Path, wanted: str
) -> None:
    catalogue().write(tmp_path / "catalogue")
    found = find_neighbours(tmp_path / "catalogue", wanted, top=2)
    assert (found.artist, found.name) == ("b", "Sigur Rós")
    assert [similar.rank for similar in found.similar] == [1, 2]
    assert "b" not in {similar.artist for similar in found.similar}


def test_an_unknown_artist_names_the_nearest(tmp_path: Path) -> None:
    catalogue().write(tmp_path / "catalogue")
    with pytest.raises(DataError, match=r"catalogue: .*'Beetles'.*'The Beatles'"):
        find_neighbours(tmp_path / "catalogue", "Beetles", top=2)
    with pytest.raises(DataError, match=r"see artists\.csv"):
        find_neighbours(tmp_path / "catalogue", "zzzzqqqq", top=2)


def test_no_catalogue_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing.*dvc repro catalogue"):
        find_neighbours(tmp_path / "catalogue", "Björk", top=2)


def test_namesakes_are_told_apart_by_id(tmp_path: Path) -> None:
    made = catalogue()
    made.artists.loc[made.artists["artist"] == "c", "name"] = "Bjork"
    made.write(tmp_path / "catalogue")
    with pytest.raises(DataError, match=r"'björk'.*Bjork \(c\), Björk \(d\)"):
        find_neighbours(tmp_path / "catalogue", "björk", top=2)
    assert find_neighbours(tmp_path / "catalogue", "D", top=2).artist == "d"


@pytest.mark.parametrize(
    "name", ["artists.csv", "siamese.npy", "scores.npy", "artist_index.npy", "neighbours.parquet"]
)
def test_a_damaged_catalogue_is_one_line(tmp_path: Path, name: str) -> None:
    catalogue().write(tmp_path / "catalogue")
    path = tmp_path / "catalogue" / name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="dvc repro catalogue"):
        Catalogue.read(tmp_path / "catalogue")
