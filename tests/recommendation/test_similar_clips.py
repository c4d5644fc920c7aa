"""Similar clips: ranked by the network, one of each artist by choice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Project
from tests.support.planted_catalogue import EVERYTHING, planted, written
from twinear.base.errors import ClipError, DataError
from twinear.recommendation.collection import Collection
from twinear.recommendation.similar_clips import find_similar_clips


@pytest.fixture(name="collection", scope="module")
def _collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    ids = [f"id-{row:03}" for row in range(60)]
    table = pd.DataFrame({"artist": ids, "name": [f"Artist {row}" for row in range(60)]})
    folder = tmp_path_factory.mktemp("clips") / "catalogue"
    return Collection.open(written(folder, table, planted(), EVERYTHING))


def test_clips_are_ranked_by_the_network(collection: Collection) -> None:
    embeddings = planted().artists.embeddings
    own = collection.catalogue.artists.find_clip("clips/id-007-0.mp3").row
    found = find_similar_clips(collection, "clips/id-007-0.mp3", top=len(embeddings))
    head = collection.catalogue.scoring.head
    scores = 1 / (1 + np.exp(-head.logit(embeddings[[own]], embeddings)[0].astype(float)))
    assert len(found) == len(embeddings) - 1
    rows = [collection.catalogue.artists.find_clip(clip.file).row for clip in found]
    assert own not in rows
    np.testing.assert_allclose([clip.score for clip in found], scores[rows], atol=1e-5)
    assert (np.diff(scores[rows]) <= 1e-6).all()


def test_one_clip_of_each_artist_is_its_best(collection: Collection) -> None:
    every = find_similar_clips(collection, "clips/id-007-0.mp3", top=999)
    one = find_similar_clips(collection, "clips/id-007-0.mp3", top=999, one_per_artist=True)
    first: dict[str, str] = {}
    for clip in every:
        first.setdefault(clip.artist, clip.file)
    assert [clip.file for clip in one] == list(first.values())
    assert [clip.rank for clip in one] == list(range(1, len(one) + 1))


def test_a_file_is_encoded_and_finds_itself_in_the_catalogue(finished: Project) -> None:
    collection = Collection.open(finished.folder / "artifacts/catalogue")
    file = collection.catalogue.artists.clip(4).file
    found = find_similar_clips(collection, finished.folder / "data" / file, top=3)
    assert found[0].file == file
    again = find_similar_clips(collection, file, top=2)
    assert [clip.file for clip in again] == [clip.file for clip in found[1:]]


def test_neither_a_clip_nor_a_file_names_the_nearest(collection: Collection) -> None:
    with pytest.raises(DataError, match=r"no clip 'id-007-9\.mp3'.*clips/id-007-0\.mp3"):
        find_similar_clips(collection, "id-007-9.mp3")
    with pytest.raises(DataError, match="top: is 0"):
        find_similar_clips(collection, "clips/id-007-0.mp3", top=0)


def test_a_text_file_cannot_be_heard(finished: Project, tmp_path: Path) -> None:
    collection = Collection.open(finished.folder / "artifacts/catalogue")
    (tmp_path / "notes.mp3").write_text("la la la")
    with pytest.raises(ClipError, match=r"notes\.mp3: is not audio"):
        find_similar_clips(collection, tmp_path / "notes.mp3")
