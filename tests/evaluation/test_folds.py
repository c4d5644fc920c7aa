"""Folds: every artist held out once, parts that never meet, and the rules of other studies."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.planting import plant_similarity, plant_spectrograms
from twinear.artists.redirects import write_redirects
from twinear.base.errors import DataError
from twinear.evaluation.comparison import candidate_masks
from twinear.evaluation.crossval.folds import (
    Fold,
    On,
    cut_folds,
    cut_sources,
    fold_by_column,
    left_out_mask,
    select_part,
)
from twinear.evaluation.dataset import EvaluationData
from twinear.spectrograms.sources import find_sources
from twinear.split import fold_of

IDS = [f"artist {at}" for at in range(40)]


def folds(on: On, n_folds: int = 4) -> list[Fold]:
    return cut_folds(IDS, fold_of(IDS, n_folds), n_folds, on, 3)


@pytest.mark.parametrize("on", ["test", "validation"])
def test_every_artist_is_a_query_once_and_never_trained_on(on: On) -> None:
    cut = folds(on)
    assert sorted(each for fold in cut for each in fold.queries) == sorted(IDS)
    for fold in cut:
        assert not set(fold.queries) & set(fold.train)
        assert not set(fold.queries) & set(fold.with_listens)
        assert not set(fold.left_out) & {*fold.train, *fold.validation, *fold.queries}
        assert set(IDS) == {*fold.train, *fold.validation, *fold.queries, *fold.left_out}


def test_the_validation_fold_is_the_next_one() -> None:
    cut = folds("test")
    assert [set(each.validation) for each in cut] == [
        set(cut[(each.number + 1) % 4].queries) for each in cut
    ]


def test_on_validation_the_test_artists_are_candidates_of_no_query() -> None:
    cut = folds("validation")
    mask = left_out_mask(IDS, cut)
    number = {query: fold.number for fold in cut for query in fold.queries}
    fold = np.array([number[each] for each in IDS])
    candidates = candidate_masks(fold, mask)
    for at, query in enumerate(IDS):
        out = set(cut[number[query]].left_out)
        ranked = {IDS[column] for column in np.flatnonzero(candidates["all"][at])}
        assert ranked == set(IDS) - out - {query}
        beside = {IDS[column] for column in np.flatnonzero(candidates["fold"][at])}
        assert beside == set(cut[number[query]].queries) - {query}


def test_a_fold_with_too_few_artists_is_refused() -> None:
    expected = r"fold \d of 12: has \d of 40 artists, expected at least 5; bring more artists"
    with pytest.raises(DataError, match=expected):
        cut_folds(IDS, fold_of(IDS, 12), 12, "test", 5)
    with pytest.raises(DataError, match="folds: 2, expected 3 or more"):
        cut_folds(IDS, fold_of(IDS, 2), 2, "test", 5)


def clip_table(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    path = folder / "clips.csv"
    pd.DataFrame(rows, columns=["file", "artist", "hetrec_artist_id"]).to_csv(path, index=False)
    return path


ARTISTS = pd.DataFrame({"artist": ["a", "b"], "name": ["A", "B"], "mbid": ["", ""]})


def test_a_column_of_the_clips_may_say_the_fold(tmp_path: Path) -> None:
    path = clip_table(tmp_path, [("1.mp3", "A", "15"), ("2.mp3", "B", "52"), ("3.mp3", "a", "15")])
    expected = [int(hashlib.sha256(each).hexdigest(), 16) % 5 for each in (b"15", b"52")]
    assert list(fold_by_column(ARTISTS, path, "hetrec_artist_id", 5)) == expected


def test_a_clip_of_an_artist_that_was_merged_is_the_others(tmp_path: Path) -> None:
    old, new = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    path = clip_table(tmp_path, [("1.mp3", "Once A", "15"), ("2.mp3", "B", "52")])
    table = pd.read_csv(path).assign(mbid=[old, ""])
    table.to_csv(path, index=False)
    (tmp_path / "listens").mkdir()
    artists = pd.DataFrame({"artist": [new, "b"], "name": ["A", "B"], "mbid": [new, ""]})
    with pytest.raises(DataError, match="holds nothing for A"):
        fold_by_column(artists, path, "hetrec_artist_id", 5)
    write_redirects({old: new}, tmp_path / "listens/redirects.csv")
    expected = [int(hashlib.sha256(each).hexdigest(), 16) % 5 for each in (b"15", b"52")]
    assert list(fold_by_column(artists, path, "hetrec_artist_id", 5)) == expected


@pytest.mark.parametrize("second", ["", "16"])
def test_an_artist_whose_clips_do_not_agree_on_the_column_is_refused(
    tmp_path: Path, second: str
) -> None:
    path = clip_table(
        tmp_path, [("1.mp3", "A", "15"), ("2.mp3", "B", "52"), ("3.mp3", "A", second)]
    )
    with pytest.raises(DataError, match=r"hetrec_artist_id: holds .* for A, expected one value"):
        fold_by_column(ARTISTS, path, "hetrec_artist_id", 5)


def test_an_unknown_column_is_refused_with_the_likely_one(tmp_path: Path) -> None:
    path = clip_table(tmp_path, [("1.mp3", "A", "15"), ("2.mp3", "B", "52")])
    with pytest.raises(DataError, match=r"clips.csv:1: has no column 'hetrec_id'.*did you mean"):
        fold_by_column(ARTISTS, path, "hetrec_id", 5)


def clips_of_sources() -> pd.DataFrame:
    """Artists 0 to 19 of a radio, 20 to 39 of a shop; 0 to 4 have a clip of the shop too."""
    rows = [(artist, "radio" if row < 20 else "shop") for row, artist in enumerate(IDS)]
    rows = [rows[0], *rows, *((artist, "shop") for artist in IDS[:5])]  # two of the radio for one
    return pd.DataFrame(rows, columns=["artist", "source"])


def test_a_held_out_source_is_disjoint_in_clips_and_in_artists() -> None:
    clips = clips_of_sources()
    cut = cut_sources(IDS, find_sources(clips, 5), 5, 5)
    assert sorted(each for fold in cut for each in fold.queries) == sorted(IDS)
    spectrograms = plant_spectrograms(np.zeros((len(clips), 3)), np.random.default_rng(1))
    spectrograms = replace(spectrograms.select(np.arange(len(clips))), clips=clips)
    similarity = plant_similarity(np.zeros((len(IDS), 3)), np.random.default_rng(1))
    data = EvaluationData(similarity=similarity, spectrograms=spectrograms)
    for fold in cut:
        part = select_part(data, fold).spectrograms.clips
        asked = part["artist"].isin(fold.queries)
        assert fold.source is not None
        assert set(part["source"][asked]) == set(fold.source)
        assert not set(part["source"][~asked]) & set(fold.source)
        assert set(part["artist"]) == set(IDS)  # everyone is still ranked
        assert not set(fold.queries) & {*fold.train, *fold.validation}


def test_one_source_cannot_be_held_out() -> None:
    clips = clips_of_sources().assign(source="radio")
    with pytest.raises(DataError, match=r"sources: all clips come from one: 'radio'.*two or more"):
        cut_sources(IDS, find_sources(clips, 5), 5, 5)
    few = find_sources(clips_of_sources(), 30)  # both too small, so they are joined
    with pytest.raises(DataError, match="'radio', 'shop'"):
        cut_sources(IDS, few, 5, 30)
