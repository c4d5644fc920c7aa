"""Reasons: the steps add up to the score, and the artists named are those whose listeners count."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Project
from tests.support.planted_catalogue import COSINE, EVERYTHING, MEAN, planted, written
from twinear.base.errors import DataError
from twinear.recommendation.collection import Collection
from twinear.recommendation.reasons import ClipPairs, give_reasons
from twinear.recommendation.similar_artists import ask, find_similar
from twinear.recommendation.why import certainty, explain, format_why


@pytest.fixture(name="collection", scope="module")
def _collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    ids = [f"id-{row:03}" for row in range(60)]
    table = pd.DataFrame({"artist": ids, "name": [f"Artist {row}" for row in range(60)]})
    folder = tmp_path_factory.mktemp("reasons") / "catalogue"
    return Collection.open(written(folder, table, planted(), EVERYTHING))


@pytest.mark.parametrize("row", [5, 17, 44])
def test_steps_add_up_to_the_score_and_end_at_the_rank_of_the_answer(
    collection: Collection, row: int
) -> None:
    asked = ask(collection, ["id-001"])
    reasons = give_reasons(collection, asked[0].query, row, asked[0].row)
    total = sum(step.contribution for step in reasons.steps)
    calibration = collection.catalogue.calibration
    assert float(calibration.apply(total)) == pytest.approx(reasons.score, abs=1e-6)
    found = find_similar(collection, asked)
    ranks = {artist.artist: artist.rank for artist in found.similar}
    assert reasons.steps[-1].rank == ranks.get(reasons.artist, reasons.steps[-1].rank)
    parts = collection.catalogue.score(asked[0].query)
    others = np.delete(np.arange(60), 1)
    by_sound = others[np.argsort(-parts.sound[0, others])]
    assert by_sound[reasons.steps[0].rank - 1] == row
    assert reasons.siamese == pytest.approx(float(parts.siamese[0, row]))


def test_two_known_artists_come_together_through_each_other(collection: Collection) -> None:
    known = collection.catalogue.scoring.colistening
    assert known is not None
    similarity = planted().known.similarity
    first, second = np.argwhere(np.triu(similarity, k=1) > 0.3)[0]
    rows = known.rows[[first, second]]
    query = collection.encoded([rows[0]])
    reasons = give_reasons(collection, query, int(rows[1]), int(rows[0]))
    (through,) = reasons.through
    assert (through.first, through.second) == (f"Artist {rows[0]}", f"Artist {rows[1]}")
    assert through.similarity == pytest.approx(similarity[first, second])
    assert through.share == pytest.approx(1)


def test_a_new_artist_comes_together_with_another_through_those_it_sounds_like(
    collection: Collection,
) -> None:
    new = int(np.setdiff1d(np.arange(60), planted().known.rows)[0])
    query = collection.encoded([new])
    row = int(collection.catalogue.neighbours[new][0])
    reasons = give_reasons(collection, query, row, new)
    shares = [through.share for through in reasons.through]
    assert 0 < len(shares) <= 3
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-6
    assert reasons.steps[2].contribution > 0


def test_shared_neighbours_are_near_to_both(collection: Collection) -> None:
    asked = ask(collection, ["id-001"])
    row = int(collection.catalogue.neighbours[1][0])
    reasons = give_reasons(collection, asked[0].query, row, 1)
    near = [set(collection.catalogue.neighbours[each][:11].tolist()) for each in (1, row)]
    names = {f"Artist {each}" for each in near[0] & near[1]}
    assert set(reasons.shared_neighbours) <= names
    assert f"Artist {row}" not in reasons.shared_neighbours


def test_the_pairs_of_clips_are_those_of_the_two_artists(collection: Collection) -> None:
    query, other = collection.encoded([3]), collection.encoded([8])
    reasons = give_reasons(collection, query, 8, 3)
    head = collection.catalogue.scoring.head
    scores = 1 / (1 + np.exp(-head.logit(query.embeddings, other.embeddings)))
    pairs = reasons.clip_pairs
    assert pairs.pairs == scores.size
    assert pairs.highest == pytest.approx(scores[pairs.first, pairs.second], abs=1e-6)
    assert pairs.highest == pytest.approx(scores.max(), abs=1e-6)
    assert pairs.mean == pytest.approx(reasons.siamese, abs=1e-6)


def test_the_pair_that_scores_highest_has_a_part_of_the_logit_of_mean_embeddings(
    collection: Collection, tmp_path: Path
) -> None:
    table = pd.DataFrame({"artist": [f"id-{row:03}" for row in range(60)], "name": "x"})
    pooled = Collection.open(written(tmp_path / "catalogue", table, planted(), MEAN))
    query, other = pooled.encoded([3]), pooled.encoded([8])
    reasons = give_reasons(pooled, query, 8, 3)
    pairs = reasons.clip_pairs
    u, v = query.embeddings, other.embeddings
    products = (u[:, None] * v).sum(axis=2)
    lengths = np.linalg.norm(u.sum(axis=0)) * np.linalg.norm(v.sum(axis=0))
    parts = COSINE.scale * products / lengths
    logit = np.log(reasons.siamese / (1 - reasons.siamese))
    assert parts.sum() + COSINE.bias == pytest.approx(logit, abs=1e-4)
    assert pairs.part == pytest.approx(parts[pairs.first, pairs.second], abs=1e-5)
    assert pairs.part == pytest.approx(parts.max(), abs=1e-5)
    assert pairs.share == pytest.approx(parts.max() / np.abs(parts).sum(), abs=1e-5)
    assert give_reasons(collection, collection.encoded([3]), 8, 3).clip_pairs.share is None


def test_certainty_says_whether_the_clips_agree() -> None:
    apart = ClipPairs(pairs=4, lowest=0.1, mean=0.3, highest=0.6, spread=3.0, first=0, second=0)
    near = ClipPairs(pairs=4, lowest=0.2, mean=0.3, highest=0.4, spread=0.5, first=0, second=0)
    assert "others do not" in certainty(apart)
    assert "they agree" in certainty(near)


def test_why_explains_the_pair_of_clips_that_scores_highest(finished: Project) -> None:
    collection = Collection.open(finished.folder / "artifacts/catalogue")
    asked = ask(collection, ["The Mandrouxs"])
    artist = find_similar(collection, asked).similar[0]
    why = explain(collection, asked[0], artist.artist, finished.folder / "data")
    assert why.sound is not None
    assert why.sound.score == pytest.approx(
        why.reasons.clip_pairs.highest, abs=1e-3
    )  # from float16
    text = format_why(why)
    assert max(map(len, text.splitlines())) <= 84
    assert artist.name in text
    assert "after the listeners" in text
    assert "Which seconds agree" in text


def test_why_without_the_audio_tells_the_rest(finished: Project, tmp_path: Path) -> None:
    collection = Collection.open(finished.folder / "artifacts/catalogue")
    asked = ask(collection, ["The Mandrouxs"])
    artist = find_similar(collection, asked).similar[0]
    why = explain(collection, asked[0], artist.artist, tmp_path)
    assert why.sound is None
    assert why.missing.startswith(str(tmp_path))
    assert "is missing" in format_why(why)


def test_an_artist_is_not_similar_to_itself(collection: Collection) -> None:
    asked = ask(collection, ["id-001"])
    with pytest.raises(DataError, match="is what was asked about"):
        explain(collection, asked[0], "Artist 1")
