"""Asking a catalogue: one artist, several, new clips; filters, balance, diversity."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Project
from tests.support.checksums import forget_checksums
from tests.support.planted_catalogue import EVERYTHING, PLAIN, planted, written
from twinear.base.errors import ClipError, DataError
from twinear.base.files import write_text
from twinear.catalogue.catalogue import FACTS, SCORER, Catalogue
from twinear.recommendation.collection import Collection
from twinear.recommendation.similar_artists import (
    SimilarArtists,
    SimilarOptions,
    ask,
    default_balance,
    similar_artists,
)
from twinear.recommendation.similar_artists import (
    find_similar as find_similar_to_asked,
)

NAMES = ["Sigur Rós", "The Beatles", "“Weird”, Al", "Björk", "Bjork"]


@pytest.fixture(name="collection", scope="module")
def _collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    names = NAMES + [f"Artist {row}" for row in range(5, 60)]
    table = pd.DataFrame({"artist": [f"id-{row:03}" for row in range(60)], "name": names})
    table["listeners"] = np.arange(60) * 10
    folder = tmp_path_factory.mktemp("asked") / "catalogue"
    return Collection.open(written(folder, table, planted(), EVERYTHING))


def find_similar(
    collection: Collection,
    artists: Sequence[str] = (),
    clips: Sequence[Path] = (),
    options: SimilarOptions | None = None,
) -> SimilarArtists:
    return find_similar_to_asked(collection, ask(collection, artists, clips), options)


def ids(found: SimilarArtists) -> list[str]:
    return [artist.artist for artist in found.similar]


def rows(found: SimilarArtists) -> list[int]:
    return [int(artist.removeprefix("id-")) for artist in ids(found)]


def test_the_answer_is_the_catalogues_neighbours(collection: Collection) -> None:
    found = find_similar(collection, ["The Beatles"], options=SimilarOptions(top=59))
    assert rows(found) == collection.catalogue.neighbours[1].tolist()
    scores = [artist.score for artist in found.similar]
    np.testing.assert_allclose(scores, collection.catalogue.neighbour_scores[1], atol=1e-6)
    assert [artist.rank for artist in found.similar] == list(range(1, 60))
    assert [(seed.artist, seed.name) for seed in found.seeds] == [("id-001", "The Beatles")]
    assert found.exact
    assert not found.calibrated  # the planted catalogue has no validation artists
    assert found.listens


@pytest.mark.parametrize("asked", ["id-000", "Sigur Rós", "sigur ros", "SIGUR RÓS"])
def test_an_artist_is_found_by_id_or_name_whatever_case_and_accents(
    collection: Collection, asked: str
) -> None:
    assert find_similar(collection, [asked]).seeds[0].artist == "id-000"


def test_an_unknown_artist_names_the_nearest(collection: Collection) -> None:
    with pytest.raises(DataError, match=r"'Beetles'.*'The Beatles'"):
        find_similar(collection, ["Beetles"])


def test_namesakes_are_listed_with_their_ids(collection: Collection) -> None:
    with pytest.raises(DataError, match=r"'björk'.*Björk \(id-003\), Bjork \(id-004\)"):
        find_similar(collection, ["björk"])
    assert find_similar(collection, ["ID-004"]).seeds[0].name == "Bjork"


def test_what_is_near_to_all_of_several_is_the_geometric_mean(collection: Collection) -> None:
    seeds = [1, 7, 20]
    found = find_similar(
        collection, [f"id-{row:03}" for row in seeds], options=SimilarOptions(top=57)
    )
    scores = collection.catalogue.scores(seeds, np.arange(60))
    expected = np.exp(np.log(scores).mean(axis=0))
    assert not set(rows(found)) & set(seeds)
    np.testing.assert_allclose(
        [artist.score for artist in found.similar], expected[rows(found)], rtol=1e-5
    )
    assert (np.diff(expected[rows(found)]) <= 1e-9).all()


def test_the_order_of_several_does_not_matter(collection: Collection) -> None:
    first = find_similar(collection, ["id-001", "id-007"])
    assert ids(first) == ids(find_similar(collection, ["id-007", "id-001"]))


def test_artists_are_left_out_by_name_and_by_listeners(collection: Collection) -> None:
    every = find_similar(collection, ["id-001"], options=SimilarOptions(top=59))
    first = every.similar[0].name
    found = find_similar(collection, ["id-001"], options=SimilarOptions(top=59, without=(first,)))
    assert ids(found) == ids(every)[1:]
    few = find_similar(collection, ["id-001"], options=SimilarOptions(top=59, max_listeners=100))
    assert ids(few) == [artist.artist for artist in every.similar if artist.listeners <= 100]
    assert len(few.similar) == 10


def test_the_default_balance_is_that_of_the_build(collection: Collection) -> None:
    balance = default_balance(collection)
    assert balance == pytest.approx(2 / 3)
    found = find_similar(collection, ["id-001"], options=SimilarOptions(top=59, balance=balance))
    again = find_similar(collection, ["id-001"], options=SimilarOptions(top=59))
    assert ids(found) == ids(again)


def test_balance_goes_from_sound_alone_to_listeners_alone(collection: Collection) -> None:
    parts = collection.catalogue.score(collection.encoded([1]))
    popularity = parts.popularity[0]
    others = np.delete(np.arange(60), 1)
    for balance, values in (
        (0.0, 3 * (parts.sound + parts.csls)[0] + popularity),
        (1.0, 3 * parts.colistening[0] + popularity),
    ):
        found = find_similar(
            collection, ["id-001"], options=SimilarOptions(top=59, balance=balance)
        )
        expected = others[np.argsort(-values[others], kind="stable")]
        assert rows(found) == expected.tolist()
        assert found.listens == (balance > 0)


def test_diverse_artists_are_not_near_duplicates_of_each_other(tmp_path: Path) -> None:
    some = planted(n_artists=40, n_known=20)
    copies = some.artists.select([*range(40), 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3])
    known = replace(some, artists=copies)
    table = pd.DataFrame({"artist": [f"id-{row:03}" for row in range(52)]})
    folder = written(tmp_path / "catalogue", table.assign(name=table["artist"]), known, PLAIN)
    collection = Collection.open(folder)
    same = {3, *range(40, 52)}
    alike = find_similar(collection, ["id-003"], options=SimilarOptions(top=12))
    assert set(rows(alike)) <= same
    diverse = find_similar(collection, ["id-003"], options=SimilarOptions(top=6, diverse=True))
    assert len(diverse.similar) == 6
    assert len(set(rows(diverse)) & same) == 1
    scores = [artist.score for artist in diverse.similar]
    assert scores == sorted(scores, reverse=True)


def test_where_nobody_is_left_the_answer_is_empty(collection: Collection) -> None:
    everyone = tuple(f"id-{row:03}" for row in range(60))
    for options in (
        SimilarOptions(without=everyone),
        SimilarOptions(without=everyone, diverse=True),
    ):
        assert find_similar(collection, ["id-001"], options=options).similar == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SimilarOptions(top=0), "top: is 0"),
        (SimilarOptions(balance=1.5), r"balance: is 1\.5, expected 0"),
        (SimilarOptions(max_listeners=-1), "max-listeners: is -1"),
        (SimilarOptions(without=("Nobody At All",)), "no artist 'Nobody At All'"),
    ],
)
def test_options_out_of_range_are_one_line(
    collection: Collection, options: SimilarOptions, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        find_similar(collection, ["id-001"], options=options)


def test_nothing_asked_about_is_one_line(collection: Collection) -> None:
    with pytest.raises(DataError, match="nothing asked about"):
        find_similar(collection)


def test_a_balance_without_listens_is_one_line(tmp_path: Path) -> None:
    table = pd.DataFrame({"artist": [f"id-{row:03}" for row in range(60)]})
    folder = written(
        tmp_path / "catalogue", table.assign(name="x"), planted(), EVERYTHING, listens=False
    )
    with pytest.raises(DataError, match=r"balance: .*none entered"):
        similar_artists(folder, "id-001", balance=0.5)
    assert similar_artists(folder, "id-001", balance=0.0)


# --- new clips, on the bundled sample ---------------------------------------------------------


def test_an_artist_of_new_clips_is_answered_as_one_of_the_catalogue(finished: Project) -> None:
    folder = finished.folder / "artifacts/catalogue"
    collection = Collection.open(folder)
    catalogue = collection.catalogue
    new = int(np.setdiff1d(np.arange(80), catalogue.scoring.colistening.rows)[0])  # type: ignore[union-attr]
    record = catalogue.artists.record(new)
    files = [finished.folder / "data" / clip.file for clip in catalogue.artists.clips_of(new)]
    asked = find_similar(collection, clips=files, options=SimilarOptions(without=(record.name,)))
    known = find_similar(collection, [record.name])
    assert ids(asked) == ids(known)
    assert asked.calibrated
    other = SimilarOptions(balance=0.1)
    assert not find_similar(collection, [record.name], options=other).calibrated
    assert asked.seeds[0].clips == tuple(map(str, files))
    again = similar_artists(folder, clips=files, without=[record.name])
    assert again == asked.similar


def test_a_text_file_is_no_clip(finished: Project, tmp_path: Path) -> None:
    collection = Collection.open(finished.folder / "artifacts/catalogue")
    text = tmp_path / "song.mp3"
    text.write_text("la la la")
    with pytest.raises(ClipError, match=r"song\.mp3: is not audio"):
        find_similar(collection, clips=[text])
    with pytest.raises(ClipError, match=r"missing\.mp3: is no file"):
        find_similar(collection, clips=[tmp_path / "missing.mp3"])


def test_a_catalogue_with_another_scorer_is_refused(spoiled: Project) -> None:
    folder = spoiled.folder / "artifacts/catalogue"
    clip = next((spoiled.folder / "data/clips").iterdir())
    scorer = folder / SCORER
    scorer.unlink()  # it may be a link into DVC's cache
    shutil.copy(folder.parent / "training/before_refit.safetensors", scorer)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    facts["files"][SCORER] = scorer.stat().st_size
    write_text(folder / FACTS, json.dumps(facts))
    forget_checksums(folder)
    with pytest.raises(DataError, match=r"is scorer .*which encoded the catalogue.*dvc repro"):
        find_similar(Collection(catalogue=Catalogue.read(folder)), clips=[clip])
