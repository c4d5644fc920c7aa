"""Similarity by sessions: counted by hand, by brute force, and as the laws ask."""

import json
import os
import random
import runpy
import sys
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import PARAMS, ROOT
from tests.support.dumps import listens_params, mbid
from tests.support.scrobbles import Scrobble, write_scrobbles
from twinear.base.errors import DataError, ParamsError
from twinear.base.params import parse_params, read_sections
from twinear.cli.app import app
from twinear.listens.listens import Listens, clean_listens, read_listens
from twinear.similarity import cooccurrence
from twinear.similarity.computation import compute, compute_neighbours, compute_similarity
from twinear.similarity.cooccurrence import CoListening
from twinear.similarity.measures import Measure, SimilarityParams, count_totals
from twinear.similarity.neighbours import find_similar
from twinear.similarity.partitions import ListensParts, in_memory, in_ranges, open_listens

MEASURES = get_args(Measure)
COUNTED: tuple[Measure, ...] = ("minimum", "asymmetric", "cosine", "jaccard", "pmi")
FOREVER = 10**9  # seconds, about 30 years
Floats = npt.NDArray[np.float64]

SLOW = pytest.mark.slow(reason="the other measures go the same way")


def params(measure: Measure = "minimum", **changes: object) -> SimilarityParams:
    section = read_sections(PARAMS)["similarity"] | {"basket": "session", "measure": measure}
    return parse_params("similarity", SimilarityParams, section | changes)


def read(folder: Path, scrobbles: list[Scrobble], gap: int = 1800) -> Listens:
    return read_listens(write_scrobbles(folder, scrobbles), listens_params(), gap)[0]


def matrix_of(parts: ListensParts, chosen: SimilarityParams, memory: int = 2**30) -> Floats:
    """The measure of every two artists, sorted by the artists' ids; not scaled."""
    compared = CoListening(
        parts=parts,
        totals=count_totals(parts, chosen),
        artists=np.arange(len(parts.artists)),
        memory=memory,
        workers=2,
    )
    order = np.argsort(parts.artists["artist"])
    return compared.matrix().astype(np.float64)[np.ix_(order, order)]


def similarity(listens: Listens, chosen: SimilarityParams) -> dict[tuple[int, int], float]:
    """Numbers of two artists -> the measure, where it is above 0."""
    matrix = matrix_of(in_memory(listens, chosen.basket), chosen)
    numbers = sorted(int(artist[:8], 16) for artist in listens.artists["artist"])
    pairs = combinations(range(len(numbers)), 2)
    return {(numbers[a], numbers[b]): matrix[a, b] for a, b in pairs if matrix[a, b]}


# counted by hand: artist 1 is in sessions 0, 1 and 2, artist 2 in 0 and 2, artist 3 in 1 and 3
ONE: list[Scrobble] = [
    *[("u", 0, 1), ("u", 10, 2), ("u", 40, 2)],
    *[("u", 71, 1), ("u", 75, 3)],
    *[("u", 200, 1), ("u", 203, 2), ("u", 206, 1)],
    ("u", 300, 3),
]


@pytest.mark.parametrize(
    ("measure", "of_1_and_2", "of_1_and_3"),
    [
        ("minimum", 2 / 3, 1 / 3),
        ("cosine", 2 / np.sqrt(6), 1 / np.sqrt(6)),
        ("jaccard", 2 / 3, 1 / 4),
        ("plays_minimum", 3 / 4, 1 / 4),  # 3 of 4 plays of 1, all of 2; 1 of 4 of 1, 1 of 2 of 3
        ("pmi", np.log(4 * 2 / 6) * 2 / 12, 0),
    ],
)
def test_one_persons_listens_give_a_similarity(
    tmp_path: Path, measure: Measure, of_1_and_2: float, of_1_and_3: float
) -> None:
    found = similarity(read(tmp_path, ONE), params(measure))
    expected = {(1, 2): of_1_and_2} | ({(1, 3): of_1_and_3} if of_1_and_3 else {})
    assert found == pytest.approx(expected)


def test_the_least_number_of_colisteners_counts_sessions(tmp_path: Path) -> None:
    assert set(similarity(read(tmp_path, ONE), params(min_colisteners=2))) == {(1, 2)}


# u: three sessions with 1 and 2, one with 1; v: one with both, one with 2
TWO: list[Scrobble] = [
    *[("u", 100 * i, 1 + j) for i in range(3) for j in range(2)],
    *[("u", 300, 1), ("v", 0, 1), ("v", 0, 2), ("v", 100, 2), ("w", 0, 3)],
]


@pytest.mark.parametrize(
    ("contribution", "minimum", "cosine", "pmi"),
    [
        (0, 4 / 5, 4 / 5, np.log(7 * 4 / 25) * 4 / 14),
        (1, 2 / 2, 2 / 2, np.log(3 * 2 / 4) * 2 / 12),
        (2, 3 / 4, 3 / np.sqrt(12), np.log(5 * 3 / 12) * 3 / 13),
        (3, 4 / 5, 4 / np.sqrt(20), np.log(6 * 4 / 20) * 4 / 14),
        (9, 4 / 5, 4 / 5, np.log(7 * 4 / 25) * 4 / 14),
    ],
)
def test_a_listener_counts_at_most_so_often_for_an_artist_or_a_pair(
    tmp_path: Path, contribution: int, minimum: float, cosine: float, pmi: float
) -> None:
    listens = read(tmp_path, TWO)
    values: dict[Measure, float] = {"minimum": minimum, "cosine": cosine, "pmi": pmi}
    for measure, expected in values.items():
        chosen = params(measure, session_contribution=contribution)
        assert similarity(listens, chosen) == pytest.approx({(1, 2): expected})


def random_scrobbles(seed: int, n: int) -> list[Scrobble]:
    chance = random.Random(seed)
    return [
        (
            f"u{chance.randrange(12)}",
            chance.randrange(3 * n),
            1 + int(chance.paretovariate(0.9)) % 40,
        )
        for _ in range(n)
    ]


def by_brute_force(listens: Listens, most: int) -> tuple[Floats, Floats]:
    """Capped counts of every two artists and of every artist."""
    assert listens.sessions is not None
    heard = (listens.sessions.plays.toarray() > 0).astype(int)
    both = [
        np.minimum(
            heard[listens.sessions.listener == who].T @ heard[listens.sessions.listener == who],
            most,
        )
        for who in np.unique(listens.sessions.listener)
    ]
    counts = np.sum(both, axis=0).astype(float)
    return counts, counts.diagonal()


@pytest.mark.parametrize("dense", [0, 3, 1000])  # no artists, popular ones, all
@pytest.mark.parametrize("most", [1, 2, 5])
def test_capped_counts_are_those_of_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dense: int, most: int
) -> None:
    monkeypatch.setattr(cooccurrence, "DENSE", dense)
    listens = read(tmp_path, random_scrobbles(most, 1500))
    both, n = by_brute_force(listens, most)
    expected = both / np.sqrt(np.outer(n, n))
    chosen = params("cosine", session_contribution=most, neighbours=50)
    found = compute_neighbours(listens, chosen)
    for a, row in enumerate(found.neighbour):
        others = row[row >= 0]
        assert set(others) == set(np.flatnonzero(both[a])) - {a}
        np.testing.assert_array_equal(found.listeners[a][: len(others)], both[a, others])
        np.testing.assert_allclose(found.similarity[a][: len(others)], expected[a, others], 1e-6)
    order = np.argsort(listens.artists["artist"])
    np.fill_diagonal(expected, 0)
    matrix = matrix_of(in_memory(listens, "session"), chosen)
    np.testing.assert_allclose(matrix, expected[np.ix_(order, order)], 1e-12)


@pytest.mark.parametrize(
    ("measure", "most"),
    [
        ("cosine", 2),
        *(pytest.param(each, 0, marks=SLOW if each != "cosine" else []) for each in MEASURES),
    ],
)
def test_parts_and_blocks_change_no_bit(tmp_path: Path, measure: Measure, most: int) -> None:
    folder = tmp_path / "a[b]*"  # as a pattern it is also the name of the other
    read(tmp_path / "other", ONE).write(tmp_path / "ab")
    listens = read(tmp_path / "raw", random_scrobbles(7, 3000))
    listens.write(folder)
    chosen = params(measure, session_contribution=most, neighbours=9, max_artists_per_listener=5)
    parts = in_ranges(folder, 6 * 48 * 300, "session")
    assert len(parts.parts) > 3
    whole = open_listens(folder, 2**40, 2, "session")
    assert len(whole.parts) == 1
    assert (matrix_of(parts, chosen, 20_000) == matrix_of(whole, chosen)).all()
    ids = list(listens.artists["artist"])
    ours, theirs = (compute(each, ids, chosen, 20_000, 2) for each in (parts, whole))
    assert (ours[0].matrix == theirs[0].matrix).all()
    np.testing.assert_array_equal(ours[1].neighbour, theirs[1].neighbour)
    np.testing.assert_array_equal(ours[1].listeners, theirs[1].listeners)
    assert ours[2] == theirs[2]


# laws


@settings(max_examples=25 if os.environ.get("CI") else 10)
@given(seed=st.integers(0, 99), measure=st.sampled_from(MEASURES), most=st.sampled_from([0, 2]))
def test_the_order_of_the_lines_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, measure: Measure, most: int
) -> None:
    scrobbles = random_scrobbles(seed, 200)
    shuffled = random.Random(seed).sample(scrobbles, len(scrobbles))
    first, second = (read(tmp_path_factory.mktemp("law"), each) for each in (scrobbles, shuffled))
    assert first.artists.equals(second.artists)
    chosen = params(measure, session_contribution=most if measure in COUNTED else 0)
    found, again = (matrix_of(in_memory(each, "session"), chosen) for each in (first, second))
    if measure == "bm25":  # its norm is a sum of floats in the order of the baskets
        np.testing.assert_allclose(found, again, 1e-8)
    else:
        np.testing.assert_array_equal(found, again)


@settings(max_examples=25 if os.environ.get("CI") else 10)
@given(seed=st.integers(0, 99), measure=st.sampled_from(MEASURES), most=st.sampled_from([0, 1]))
def test_without_a_gap_a_listener_is_one_session(
    tmp_path_factory: pytest.TempPathFactory, seed: int, measure: Measure, most: int
) -> None:
    listens = read(tmp_path_factory.mktemp("law"), random_scrobbles(seed, 200), FOREVER)
    capped = params(measure, session_contribution=most if measure in COUNTED else 0)
    by_session = matrix_of(in_memory(listens, "session"), capped)
    by_listener = matrix_of(in_memory(listens), params(measure, basket="listener"))
    np.testing.assert_array_equal(by_session, by_listener)


# which artists are compared


def test_the_artists_of_most_sessions_are_compared(tmp_path: Path) -> None:
    log: list[Scrobble] = [("u", 100 * i + k, k) for k in (1, 2, 3, 4) for i in range(k)]
    listens = read(tmp_path, log)
    ids = list(listens.artists["artist"])
    assert ids == [mbid(k) for k in (1, 2, 3, 4)]  # of one listener each
    found = compute_similarity(listens, ids, params(top_artists=3))
    assert list(found.artists["artist"]) == [mbid(k) for k in (2, 3, 4)]
    told = compute(in_memory(listens, "session"), ids, params(), 2**30, 2)[2]
    assert (told.basket, told.listeners) == ("session", 4)


# from end to end


def test_ten_years_of_one_person_go_through_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections: dict[str, Any] = read_sections(PARAMS)
    sections["listens"]["min_listeners"] = 1
    sections["similarity"]["basket"] = "session"
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(sections, file)
    write_scrobbles(tmp_path / "raw", ONE)
    rows = "".join(f"{k}.mp3,Artist {k}\n" for k in (1, 2, 3))
    (tmp_path / "clips.csv").write_text(f"file,artist\n{rows}")
    monkeypatch.chdir(tmp_path)
    run("1_listens", "raw", "listens", "redirects.csv", "listens.json")
    assert json.loads(Path("listens.json").read_text())["sessions"] == 4
    run("2_similarity", "listens", "redirects.csv", "clips.csv", "similarity", "near", "s.json")
    near = find_similar(Path("near"), "Artist 1", 9).table
    assert list(near["name"]) == ["Artist 2", "Artist 3"]
    assert list(near["sessions"]) == [2, 1]
    assert list(near["similarity"]) == pytest.approx([2 / 3, 1 / 3])
    assert json.loads(Path("s.json").read_text())["basket"] == "session"
    shown = CliRunner().invoke(app, ["neighbours", "Artist 3", "--neighbours", "near"]).stdout
    assert shown == "  1  Artist 1  0.333  1 sessions\n"


def run(stage: str, *words: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", [f"{stage}.py", *words])
        runpy.run_path(str(ROOT / f"src/stages/{stage}.py"), run_name="__main__")


# bad input


@pytest.mark.parametrize("measure", ["plays_minimum", "bm25"])
def test_measures_of_plays_have_no_contribution(measure: Measure) -> None:
    with pytest.raises(
        ParamsError, match=rf"similarity.*expected session_contribution 0.*{measure}"
    ):
        params(measure, session_contribution=5)
    assert params(measure, session_contribution=5, basket="listener").measure == measure


def test_listens_without_sessions_name_the_param(tmp_path: Path) -> None:
    source = write_scrobbles(tmp_path / "raw", ONE)
    listens = read_listens(source, listens_params())[0]
    with pytest.raises(ParamsError, match=r"similarity\.basket: session, .*; set it to listener"):
        compute_neighbours(listens, params())
    clean_listens(source, listens_params(), tmp_path / "listens", 10**10)
    with pytest.raises(DataError, match=r"sessions\.parquet: is missing; run 'dvc repro listens'"):
        open_listens(tmp_path / "listens", 2**30, 2, "session")
