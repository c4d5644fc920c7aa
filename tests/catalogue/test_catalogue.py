"""The catalogue's folder: written whole, opened without being read, damage told in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.checksums import forget_checksums
from tests.support.disk import limited_disk
from tests.support.planted_catalogue import EVERYTHING, PLAIN, planted, written
from tests.support.scorers import clip_spectrograms, small_scorer
from twinear.base.errors import DataError
from twinear.catalogue.building import (
    ScoredArtists,
    find_neighbours,
    prepare,
    score_catalogue,
)
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.search.protocol import best_first
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split

MANY = [f"a{i:02}" for i in range(24) for _ in range(2)]


def clips_of(artists: list[str]) -> Spectrograms:
    clips = clip_spectrograms(len(artists))
    return replace(clips, clips=clips.clips.assign(artist=artists, name=artists))


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


def built(params: CatalogueParams = EVERYTHING, test: float = 0.5, seed: int = 1) -> ScoredArtists:
    clips = clips_of(MANY)
    return score_catalogue(clips, small_scorer(), params, listened(test), small_scorer(seed))


def table(n: int = 60) -> pd.DataFrame:
    names = [f"Artist {row}" for row in range(n)]
    return pd.DataFrame(
        {"artist": [f"id-{row:03}" for row in range(n)], "name": names, "listeners": range(n)}
    )


# --- building ---------------------------------------------------------------------------------


def test_clips_are_kept_by_artist_in_any_order_of_the_table() -> None:
    shuffled = ["b", "a", "a", "c", "d", "b", "a"]
    made = score_catalogue(clips_of(shuffled), small_scorer(), PLAIN)
    assert list(made.table["artist"]) == ["a", "b", "c", "d"]
    assert list(made.table["clips"]) == [3, 2, 1, 1]
    order = [1, 2, 6, 0, 5, 3, 4]
    embeddings = small_scorer().encode_spectrograms(clips_of(shuffled))
    assert np.array_equal(made.encoded.embeddings, embeddings[order])
    assert list(made.clips["file"]) == [f"clips/a{row}.mp3" for row in order]


def test_listens_of_test_artists_never_matter() -> None:
    every = np.arange(24)
    first, second = built(test=0.1), built(test=0.9)
    assert np.array_equal(first.scores(every, every), second.scores(every, every))


def test_listens_of_known_artists_do_matter_and_the_sound_stays() -> None:
    every = np.arange(24)
    known, alone = built(), score_catalogue(clips_of(MANY), small_scorer(), EVERYTHING)
    assert np.array_equal(known.siamese(every, every), alone.siamese(every, every))
    first, second = (np.argsort(made.scores(every, every)) for made in (known, alone))
    assert not np.array_equal(first, second)


def test_calibration_changes_no_ranking() -> None:
    made = built()
    totals = made.scoring.score(made.encoded, made.encoded).total
    scores = made.scores(np.arange(24), np.arange(24))
    for before, after in zip(totals, scores, strict=True):
        rises = np.diff(after[np.argsort(before, kind="stable")])
        assert (rises[np.diff(np.sort(before)) > 0] > 0).all()
    assert 0 < scores.min() < scores.max() < 1


def test_without_listens_the_score_is_the_networks() -> None:
    made = score_catalogue(clips_of(MANY), small_scorer(), PLAIN)
    every = np.arange(24)
    np.testing.assert_allclose(
        made.scores(every, every), made.siamese(every, every), rtol=0, atol=1e-6
    )


def test_clips_of_another_front_end_are_refused() -> None:
    other = replace(clips_of(MANY), front=small_scorer().spectrograms.model_copy(update={"sr": 1}))
    with pytest.raises(DataError, match=r"sr 1, .*sr 22050"):
        score_catalogue(other, small_scorer(), PLAIN)


def test_neighbours_are_the_best_of_all_others() -> None:
    made = built()
    scores = made.scores(np.arange(24), np.arange(24))
    found = find_neighbours(made, 5)
    for row in range(24):
        others = np.delete(np.arange(24), row)
        expected = others[np.argsort(-scores[row, others], kind="stable")][:5]
        assert found.rows[row].tolist() == expected.tolist()
        np.testing.assert_allclose(found.scores[row], scores[row, expected], atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 23, 100])
def test_at_most_the_wanted_number_of_neighbours_is_kept(n: int) -> None:
    assert find_neighbours(built(), n).rows.shape == (24, min(n, 23))


def test_of_equal_totals_the_first_come_first() -> None:
    assert best_first(np.array([2, 1, 2, 2, 3], np.float32), 3).tolist() == [4, 0, 2]


# --- files ------------------------------------------------------------------------------------


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    return written(tmp_path / "catalogue", table(), planted(), EVERYTHING)


def test_a_catalogue_is_read_as_it_was_written(folder: Path) -> None:
    some = planted()
    scoring, encoded = prepare(some.artists, some.head, EVERYTHING, some.known)
    read = Catalogue.read(folder)
    assert len(read) == len(read.artists) == 60
    np.testing.assert_array_equal(
        read.score(read.encoded).total, scoring.score(encoded, encoded).total
    )
    assert read.rows(["id-007", "id-003"]).tolist() == [7, 3]
    assert read.listeners.tolist() == list(range(60))
    assert read.artists.clips_of(7)[0].file == "clips/id-007-0.mp3"
    best = read.neighbours[7]
    np.testing.assert_allclose(read.scores([7], best)[0], read.neighbour_scores[7], atol=1e-6)


def test_a_new_artist_scores_as_the_same_clips_of_the_catalogue_do(folder: Path) -> None:
    """An artist without listens is asked about by its clips, with the same answer."""
    read = Catalogue.read(folder)
    new = int(np.setdiff1d(np.arange(60), planted().known.rows)[0])
    first, last = read.encoded.clip_offsets[[new, new + 1]]
    asked = read.represent(np.array(read.encoded.embeddings[first:last]))
    others = np.delete(np.arange(60), new)
    again, before = (read.score(query, others) for query in (asked, read.query(new)))
    np.testing.assert_allclose(again.sound, before.sound, atol=1e-5)
    np.testing.assert_allclose(again.collaborative, before.collaborative, atol=1e-5)
    # it is one of its own nearest, as another artist of the same sound would be
    shift = again.csls - before.csls
    assert np.ptp(shift) < 1e-5


def test_opening_maps_the_arrays_instead_of_reading_them(folder: Path) -> None:
    encoded = Catalogue.read(folder).encoded
    assert isinstance(encoded.embeddings.base, np.memmap)
    assert isinstance(encoded.representatives.base, np.memmap)


def test_equal_catalogues_have_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = written(tmp_path / "again", table(), planted(), EVERYTHING)
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "name",
    ["artists.sqlite", "catalogue.json", "embeddings.npy", "neighbours.npy", "scorer.safetensors"],
)
def test_a_file_cut_off_or_missing_is_one_line(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{name}: .*dvc repro catalogue"):
        Catalogue.read(folder)
    path.unlink()
    with pytest.raises(DataError, match=rf"{name}: is missing.*dvc repro catalogue"):
        Catalogue.read(folder)


@pytest.mark.parametrize("name", ["artists.sqlite", "nearness.npy"])
def test_a_file_of_the_right_size_with_other_bytes_is_one_line(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DataError, match="dvc repro catalogue"):
        Catalogue.read(folder)


def test_arrays_that_disagree_are_refused(folder: Path) -> None:
    forget_checksums(folder)
    np.save(folder / "nearness.npy", np.zeros(59, np.float32))
    facts = json.loads((folder / "catalogue.json").read_text())
    facts["files"]["nearness.npy"] = (folder / "nearness.npy").stat().st_size
    (folder / "catalogue.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"catalogue: nearness\.npy does not fit 60 artists"):
        Catalogue.read(folder)


def test_a_catalogue_of_another_layout_is_refused(folder: Path, tmp_path: Path) -> None:
    facts = json.loads((folder / "catalogue.json").read_text())
    (folder / "catalogue.json").write_text(json.dumps({**facts, "layout": 3}))
    with pytest.raises(DataError, match=r"layout 3, expected 2; .*dvc repro catalogue"):
        Catalogue.read(folder)
    old = tmp_path / "old"
    old.mkdir()
    np.save(old / "scores.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"old: .*before the catalogue was an index.*dvc repro"):
        Catalogue.read(old)
    with pytest.raises(DataError, match=r"nowhere: is missing.*dvc repro catalogue"):
        Catalogue.read(tmp_path / "nowhere")


@pytest.mark.parametrize("section", ["head", "params", "calibration"])
def test_facts_of_another_version_are_one_line(folder: Path, section: str) -> None:
    facts = json.loads((folder / "catalogue.json").read_text())
    forget_checksums(folder)
    facts[section].popitem()
    (folder / "catalogue.json").write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"catalogue\.json: .*lacks or misstates.*dvc repro"):
        Catalogue.read(folder)


def test_an_artist_that_is_not_there_is_told_by_its_id(folder: Path) -> None:
    with pytest.raises(DataError, match=r"lacks id-999"):
        Catalogue.read(folder).rows(["id-001", "id-999"])


def test_a_full_disk_leaves_the_last_catalogue(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match="could not be written"), limited_disk(1000):
        written(folder, table(), planted(seed=2))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
