"""Artists are split once, reproducibly, and nobody is in two splits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from tests.conftest import PARAMS
from twinear.base.errors import DataError, ParamsError
from twinear.base.params import parse_params, read_params
from twinear.split import SPLITS, Split, SplitParams, fold_of, split_artists


def params(**changes: object) -> SplitParams:
    values = read_params("split", SplitParams, PARAMS).model_dump(mode="json")
    return parse_params("split", SplitParams, values | changes, PARAMS)


def artists(n: int) -> pd.DataFrame:
    ids = [f"artist {i}" for i in range(n)]
    return pd.DataFrame({"artist": ids, "name": ids})


def test_the_originals_split_is_reproduced_from_its_list_of_975() -> None:
    ids = list(artists(975)["artist"])
    train, rest = train_test_split(ids, test_size=0.10, random_state=1)
    validation, test = train_test_split(rest, test_size=0.5, random_state=2)
    split = split_artists(artists(975), params(fractions=[0.90, 0.05, 0.05], seeds=[1, 2]))
    assert set(split.members("train")) == set(train)
    assert set(split.members("validation")) == set(validation)
    assert set(split.members("test")) == set(test)
    assert [len(split.members(each)) for each in SPLITS] == [877, 49, 49]


@given(n=st.integers(60, 200), method=st.sampled_from(["fractions", "folds"]))
def test_every_artist_is_in_exactly_one_split(n: int, method: str) -> None:
    chosen = params(method=method, min_test=3)
    split = split_artists(artists(n), chosen)
    members = [each for name in SPLITS for each in split.members(name)]
    assert sorted(members) == sorted(artists(n)["artist"])


def test_an_artist_keeps_its_fold_when_others_come_and_go() -> None:
    ids = list(artists(100)["artist"])
    assert np.array_equal(fold_of(ids, 5)[::2], fold_of(ids[::2], 5))


def test_the_folds_together_test_every_artist_once() -> None:
    tested = [
        each
        for fold in range(5)
        for each in split_artists(artists(200), params(method="folds", test_fold=fold)).members(
            "test"
        )
    ]
    assert sorted(tested) == sorted(artists(200)["artist"])


@pytest.mark.parametrize("n", [0, 3, 12])
def test_too_few_artists_are_refused(n: int) -> None:
    with pytest.raises(DataError, match=r"split: .*3 train, 3 validation and 5 test"):
        split_artists(artists(n), params(min_test=5))


def test_fractions_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"split: .*fractions.*0\.9"):
        params(fractions=[0.5, 0.2, 0.2])


def test_a_fold_beyond_the_last_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"split: .*test_fold.*n_folds"):
        params(n_folds=5, test_fold=5)


def test_a_split_is_read_as_it_was_written(tmp_path: Path) -> None:
    split = split_artists(artists(50), params())
    split.write(tmp_path / "split.csv")
    pd.testing.assert_frame_equal(Split.read(tmp_path / "split.csv").artists, split.artists)


def test_a_table_that_is_no_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("artist,name,split\na,A,dev\n")
    with pytest.raises(DataError, match=r"split\.csv: .*expected columns artist, name, split"):
        Split.read(tmp_path / "split.csv")
