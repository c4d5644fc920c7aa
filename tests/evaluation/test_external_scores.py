"""Scores made elsewhere: put in our order by their artists, or refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twinear.base.errors import DataError
from twinear.evaluation.external_scores import align_matrix, read_matrix

ARTISTS = pd.DataFrame({"artist": ["a", "b", "id-3"], "name": ["A", "B", "The C"]})
SCORES = np.array([[1.0, 0.2, 0.3], [0.2, 1.0, 0.6], [0.3, 0.6, np.nan]])
UNDEFINED = np.array([[1.0, np.nan, 0.3], [0.2, 1.0, 0.6], [0.3, 0.6, 1.0]])


def npz(path: Path, artists: list[str], scores: np.ndarray) -> Path:
    np.savez(path, artists=np.array(artists), scores=scores)
    return path


def aligned(path: Path) -> np.ndarray:
    return align_matrix(read_matrix(path), ARTISTS, path)


def test_artists_in_any_order_by_id_or_name_are_put_in_ours(tmp_path: Path) -> None:
    order = [2, 0, 1]
    path = npz(tmp_path / "m.npz", ["the C", "a", "B"], SCORES[np.ix_(order, order)])
    np.testing.assert_array_equal(aligned(path), SCORES)


def test_a_csv_reads_as_the_same_matrix(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    table = pd.DataFrame(SCORES, index=["a", "b", "id-3"], columns=["a", "b", "id-3"])
    table.to_csv(path)
    np.testing.assert_array_equal(aligned(path), SCORES)
    swapped = table.iloc[[1, 0, 2]]
    swapped.to_csv(path)
    with pytest.raises(DataError, match=r"m.csv:2: row of 'b', expected 'a'"):
        read_matrix(path)


@pytest.mark.parametrize(
    ("artists", "scores", "message"),
    [
        (["a", "b"], SCORES, r"m.npz: scores \(3, 3\) of 2 artists"),
        (["a", "b", "id-3"], SCORES[:2], r"scores \(2, 3\) of 3 artists"),
        (["a", "b"], SCORES[:2, :2], r"has 2 of 3 artists, lacks 'id-3'"),
        (["a", "b", "id-4"], SCORES, r"unknown artist 'id-4'.*'id-3'"),
        (["a", "b", "b"], SCORES, r"'b' comes twice"),
        (["a", "A", "b"], SCORES, r"'a' comes twice"),
        (["a", "id-3", "b"], UNDEFINED, r"m.npz: nan for 'a' and 'id-3'"),
    ],
)
def test_a_matrix_of_other_artists_or_another_order_is_refused(
    tmp_path: Path, artists: list[str], scores: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        aligned(npz(tmp_path / "m.npz", artists, scores))


def test_a_file_that_is_no_matrix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing; name a matrix"):
        read_matrix(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", scores=SCORES)
    with pytest.raises(DataError, match=r"has no 'artists' but scores"):
        read_matrix(tmp_path / "m.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"broken.npz: cannot be read"):
        read_matrix(tmp_path / "broken.npz")
    np.savez(tmp_path / "objects.npz", artists=np.array(["a", None]), scores=SCORES)
    with pytest.raises(DataError, match=r"objects.npz: cannot be read"):
        read_matrix(tmp_path / "objects.npz")
    (tmp_path / "m.txt").write_text("a b")
    with pytest.raises(DataError, match=r"is a '.txt' file"):
        read_matrix(tmp_path / "m.txt")
    for text, message in (
        (",a\na,x\n", "m.csv:2: could not"),
        (",a\na,1,2\n", "m.csv:2: 3 fields"),
    ):
        (tmp_path / "m.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            read_matrix(tmp_path / "m.csv")
