"""Each measure on listens counted by hand, and the laws they obey."""

import json
import runpy
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from tests.conftest import PARAMS, ROOT
from tests.support.checksums import forget_checksums
from twinear.artists.clip_table import read_clip_table, resolve
from twinear.base.errors import DataError, ParamsError
from twinear.base.params import parse_params, read_params, read_sections
from twinear.listens.listens import Listens, ListensParams, read_listens
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import Measure, SimilarityParams
from twinear.similarity.neighbours import find_similar
from twinear.similarity.similarity import Similarity

MEASURES = get_args(Measure)
REAL = ROOT.parent / "shared" / "real"

# Five listeners (rows) of artists a, b, c: n = 4, 2, 2; both: ab 2, ac 1, bc 0
PLAYS = np.array(
    [
        [10, 30, 0],
        [20, 10, 0],
        [60, 0, 5],
        [10, 0, 0],
        [0, 0, 15],
    ]
)


def params(measure: Measure, top_artists: int = 1000) -> SimilarityParams:
    return read_params("similarity", SimilarityParams, PARAMS).model_copy(
        update={"measure": measure, "top_artists": top_artists}
    )


def listens(plays: npt.NDArray[np.int64]) -> Listens:
    ids = [chr(ord("a") + i) for i in range(plays.shape[1])]
    artists = pd.DataFrame(
        {
            "artist": ids,
            "name": [each.upper() for each in ids],
            "mbid": "",
            "listeners": (plays > 0).sum(axis=0),
            "plays": plays.sum(axis=0),
        }
    )
    return Listens(artists=artists, plays=csr_array(plays))


def similarity(plays: npt.NDArray[np.int64], measure: Measure) -> npt.NDArray[np.float32]:
    everyone = listens(plays)
    return compute_similarity(everyone, list(everyone.artists["artist"]), params(measure)).matrix


@pytest.mark.parametrize(
    ("measure", "by_hand"),
    [
        # ab 2/4, ac 1/4, bc 0: scaled by 2
        ("minimum", [[1, 1, 0.5], [1, 1, 0], [0.5, 0, 1]]),
        # a: b 2/4, c 1/4; b: a 2/2, c 0; c: a 1/2, b 0: scaled by 1
        ("asymmetric", [[1, 0.5, 0.25], [1, 1, 0], [0.5, 0, 1]]),
        # of a's 100 plays 30 by listeners of b, 60 of c; of b's 40 all by listeners of a; of c's
        # 20, 5 by listeners of a: ab min(.3, 1), ac min(.6, .25), bc 0: scaled by 1 / .3
        ("plays_minimum", [[1, 1, 0.25 / 0.3], [1, 1, 0], [0.25 / 0.3, 0, 1]]),
        # ab 2 / sqrt(8), ac 1 / sqrt(8), bc 0: scaled by sqrt(8) / 2
        ("cosine", [[1, 1, 0.5], [1, 1, 0], [0.5, 0, 1]]),
    ],
)
def test_each_measure_is_as_counted_by_hand(measure: Measure, by_hand: list[list[float]]) -> None:
    np.testing.assert_allclose(similarity(PLAYS, measure), by_hand, rtol=1e-6)


def test_minimum_and_cosine_differ_where_popularity_does() -> None:
    # n = 4, 1, 1: ab 1, ac 0, bc 0, and d (n = 2) shares 1 with a: min 1/4, 1/4; cos 1/2, 1/sqrt 8
    plays = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]])
    assert similarity(plays, "minimum")[0, [1, 3]] == pytest.approx([0.5, 0.5])  # cd 1/2 is the top
    cosine = np.array([1 / 2, 1 / np.sqrt(8)]) * np.sqrt(2)  # cd 1/sqrt 2 is the top
    assert similarity(plays, "cosine")[0, [1, 3]] == pytest.approx(cosine)


def test_the_least_similar_two_are_at_zero_and_the_most_at_one() -> None:
    plays = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]])  # ab 2/3, ac 1/3, bc 1/2
    expected = np.array([[1, 1, 0], [1, 1, 0.5], [0, 0.5, 1]])
    np.testing.assert_allclose(similarity(plays, "minimum"), expected, rtol=1e-6)


several = arrays(
    np.int64, st.tuples(st.integers(2, 12), st.integers(3, 6)), elements=st.integers(0, 3)
)


@given(plays=several, measure=st.sampled_from(MEASURES), seed=st.integers(0, 9))
def test_similarity_is_in_range_and_blind_to_who_the_listeners_are(
    plays: npt.NDArray[np.int64], measure: Measure, seed: int
) -> None:
    plays[0] += 1  # nobody is unheard
    try:
        matrix = similarity(plays, measure)
    except DataError as error:
        assert "equally similar" in str(error)  # noqa: PT017
        return
    assert matrix.dtype == np.float32
    assert matrix.min() == 0
    assert matrix.max() == 1
    assert (matrix.diagonal() == 1).all()
    if measure != "asymmetric":
        assert (matrix == matrix.T).all()
    relabelled = np.random.default_rng(seed).permutation(plays)
    assert (similarity(relabelled, measure) == matrix).all()


@given(plays=several, measure=st.sampled_from(["minimum", "asymmetric", "cosine"]))
def test_only_plays_minimum_reads_how_often_something_was_played(
    plays: npt.NDArray[np.int64], measure: Measure
) -> None:
    plays[0] = np.arange(1, plays.shape[1] + 1)
    try:
        matrix = similarity(plays, measure)
    except DataError:
        return
    assert (similarity((plays > 0).astype(np.int64), measure) == matrix).all()


def test_only_the_most_listened_artists_that_have_clips_are_compared() -> None:
    plays = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    found = compute_similarity(listens(plays), {"b", "c", "d", "e", "z"}, params("minimum", 3))
    assert list(found.artists["artist"]) == ["b", "c", "d"]
    assert list(found.artists.columns) == ["artist", "name", "mbid", "listeners", "plays"]
    assert found.matrix.shape == (3, 3)


@pytest.mark.parametrize(
    ("with_clips", "message"),
    [
        ({"x"}, r"similarity: no artist has both .*3 have listens, 1 clips.*3 or more"),
        ({"a"}, "similarity: 1 artist has both"),
        ({"a", "b"}, r"2 artists have both.*listens\.min_listeners"),
    ],
)
def test_too_few_artists_are_an_error(with_clips: set[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_similarity(listens(PLAYS), with_clips, params("minimum"))


def test_artists_that_are_all_equally_similar_are_an_error() -> None:
    with pytest.raises(DataError, match=r"similarity: .*3 artists are equally similar \(1\)"):
        similarity(np.ones((4, 3), np.int64), "minimum")
    with pytest.raises(DataError, match=r"equally similar \(0\).*more listens"):
        similarity(np.eye(3, dtype=np.int64), "minimum")


def test_an_unknown_measure_is_named() -> None:
    section = read_sections(PARAMS)["similarity"] | {"measure": "maximum"}
    with pytest.raises(ParamsError, match=r"similarity\.measure: found 'maximum'.*'minimum'"):
        parse_params("similarity", SimilarityParams, section)


def test_a_similarity_survives_writing(tmp_path: Path) -> None:
    written = compute_similarity(listens(PLAYS), {"a", "b", "c"}, params("minimum"))
    written.write(tmp_path / "similarity")
    read = Similarity.read(tmp_path / "similarity")
    pd.testing.assert_frame_equal(read.artists, written.artists)
    assert (read.matrix == written.matrix).all()


def test_a_matrix_of_another_shape_or_kind_is_refused(tmp_path: Path) -> None:
    compute_similarity(listens(PLAYS), {"a", "b", "c"}, params("minimum")).write(tmp_path / "s")
    forget_checksums(tmp_path / "s")
    np.save(tmp_path / "s" / "similarity.npy", np.eye(2))
    with pytest.raises(DataError, match=r"is float64 \(2, 2\), expected float32 \(3, 3\)"):
        Similarity.read(tmp_path / "s")
    (tmp_path / "s" / "similarity.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"is not an array.*dvc repro similarity"):
        Similarity.read(tmp_path / "s")
    with pytest.raises(DataError, match=r"artists\.csv: is missing; run 'dvc repro similarity'"):
        Similarity.read(tmp_path / "nowhere")


def test_the_stage_compares_artists_that_have_listens_and_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listens(PLAYS).write(tmp_path / "listens")
    table = tmp_path / "clips.csv"
    table.write_text("file,artist\n1.mp3,c\n2.mp3,The A\n3.mp3,B\n4.mp3,nobody heard\n")
    outs = [tmp_path / name for name in ("similarity", "neighbours", "similarity.json")]
    paths = [tmp_path / "listens", tmp_path / "redirects.csv", table, *outs]
    monkeypatch.setattr(sys, "argv", ["2_similarity.py", *map(str, paths)])
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "src/stages/2_similarity.py"), run_name="__main__")
    assert list(Similarity.read(outs[0]).artists["artist"]) == ["a", "b", "c"]
    assert [row["name"] for row in find_similar(outs[1], "A", 9).table.to_dict("records")] == [
        "B",
        "C",
    ]
    assert json.loads(outs[2].read_text())["with_neighbours"] == 3
    assert "similarity: of 3 artists, fewer than top_artists" in capsys.readouterr().err


@pytest.mark.skipif(not REAL.exists(), reason="the acceptance corpus is not here")
def test_the_acceptance_corpus_has_its_175_artists_and_272_clips() -> None:
    rules = {"require_mbid": False, "min_listeners": 5}
    cleaning = read_params("listens", ListensParams, PARAMS).model_copy(update=rules)
    heard, _ = read_listens(REAL / "hetrec2011-lastfm-2k", cleaning)
    clips = resolve(read_clip_table(REAL / "clips.csv"), heard.artists)
    found = compute_similarity(heard, set(clips["artist"]), params("minimum"))
    assert len(found.artists) == 175
    assert clips["artist"].isin(found.artists["artist"]).sum() == 272
