"""A library in memory: what is similar in it, paths, and artists new to the catalogue."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.support.planted_library import NEW_MBID, PlantedLibrary, mbid, write_planted_library
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.catalogue.catalogue import SCORER
from twinear.recommendation.collection import Collection
from twinear.recommendation.item_library import ItemLibrary
from twinear.recommendation.library_cache import LibraryCache
from twinear.recommendation.library_table import LibraryItem, write_library_table
from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar


@pytest.fixture(name="planted", scope="module")
def _planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedLibrary:
    return write_planted_library(tmp_path_factory.mktemp("library"))


def opened(planted: PlantedLibrary, table: Path | None = None) -> ItemLibrary:
    collection = Collection.open(planted.catalogue)
    scorer_sha256 = sha256(planted.catalogue / SCORER)
    with LibraryCache.open(planted.cache, scorer_sha256, 12) as cache:
        return ItemLibrary.open(table or planted.table, cache, collection)


@pytest.fixture(name="library", scope="module")
def _library(planted: PlantedLibrary) -> ItemLibrary:
    return opened(planted)


def test_items_are_ranked_by_the_network_and_no_recording_comes_twice(
    library: ItemLibrary,
) -> None:
    found = library.similar(0, 100)
    assert len(found) == len(library.items) - 1
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    rows = [library.find(each.item.item_id) for each in found]
    head = library.collection.catalogue.scoring.head
    logits = head.logit(library.embeddings[[0]], library.embeddings[rows])[0]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert found[:3] == library.similar(0, 3)
    each_once = library.similar(0, 100, per_artist=1)
    artists = [each.item.artist for each in each_once]
    assert sorted(artists) == sorted({item.artist for item in library.items})


def test_a_path_has_the_ends_no_artist_twice_in_a_row_and_at_most_the_steps(
    library: ItemLibrary,
) -> None:
    path = library.path(0, len(library.items) - 1, 6)
    assert [path[0].item, path[-1].item] == [library.items[0], library.items[-1]]
    assert len(path) == 6
    assert path[0].score == 1
    assert all(a.item.artist != b.item.artist for a, b in pairwise(path))
    rows = [library.find(step.item.item_id) for step in path]
    steps = library.embeddings[rows]
    logits = np.diagonal(library.collection.catalogue.scoring.head.logit(steps[:-1], steps[1:]))
    np.testing.assert_allclose([s.score for s in path[1:]], 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_a_path_is_as_long_as_the_library_allows(library: ItemLibrary) -> None:
    assert len(library.path(0, 2, 100)) == len(library.items)
    assert library.path(3, 3, 9)[0].item == library.items[3]


def test_two_recordings_of_the_only_artist_have_no_path(
    planted: PlantedLibrary, tmp_path: Path
) -> None:
    write_library_table(planted.items[:2], tmp_path / "one.csv")
    with pytest.raises(DataError, match="one artist"):
        opened(planted, tmp_path / "one.csv").path(0, 1, 5)


def test_artists_of_the_catalogue_stay_and_new_ones_can_be_asked_about(
    library: ItemLibrary, planted: PlantedLibrary
) -> None:
    built, known = Collection.open(planted.catalogue), library.collection
    assert [record.name for record in known.added] == ["Nobody & Söhne", "Somebody"]
    assert known.find(NEW_MBID).name == "Nobody & Söhne"
    artist = library.artist_rows[library.find("s-20")]
    assert known.records([artist])[0].artist == "artist 35"  # known by its name alone
    assert library.mbids[int(artist)] == mbid(35)
    new = find_similar(known, ask(known, [NEW_MBID]), SimilarOptions(top=3)).similar
    of_clips = built.catalogue.represent(library.embeddings[22:24])
    total = built.score(of_clips, np.arange(len(built))).total[0]
    expected = [record.artist for record in built.records(np.argsort(-total)[:3])]
    assert [each.artist for each in new if each.name != "Somebody"] == expected[: len(new)]


def test_artists_of_the_library_are_ranked_as_among_all(library: ItemLibrary) -> None:
    known = library.collection
    everyone = find_similar(known, ask(known, [mbid(0)]), SimilarOptions(top=len(known)))
    own = {record.artist for record in known.records(np.unique(library.artist_rows))}
    expected = [(each.artist, each.score) for each in everyone.similar if each.artist in own]
    found = library.similar_artists(0, 100)
    assert [record.artist for record, _ in found] == [artist for artist, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])


def test_what_cannot_be_used_is_counted_by_reason(planted: PlantedLibrary, tmp_path: Path) -> None:
    changed = tmp_path / "changed.flac"
    changed.write_bytes(b"never encoded")
    gone = LibraryItem(item_id="gone", file=tmp_path / "gone.flac")
    new = LibraryItem(item_id="new", file=changed)
    write_library_table([gone, new, *planted.items], tmp_path / "library.csv")
    left_out = opened(planted, tmp_path / "library.csv").left_out
    assert left_out.counts == {"unreadable": 1, "not encoded by the catalogue's scorer": 1}
    write_library_table([gone], tmp_path / "library.csv")
    with pytest.raises(DataError, match=r"no item to use .*1 unreadable"):
        opened(planted, tmp_path / "library.csv")


def test_items_are_found_by_title_and_artist_whatever_the_spelling(library: ItemLibrary) -> None:
    assert library.find_title("sigur ros feat. X", "TITLE 2 <&> of Sigur Ros") == 1
    with pytest.raises(DataError, match="nope"):
        library.find("nope")
    with pytest.raises(DataError, match="nope"):
        library.find_title("Air", "nope")
