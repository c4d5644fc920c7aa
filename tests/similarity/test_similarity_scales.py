"""Every measure, for some artists and for all, in memory and in parts, is what brute force says."""

import json
import os
from dataclasses import dataclass
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

from tests.conftest import PARAMS
from tests.support.checksums import forget_checksums
from tests.support.command import run_twinear
from twinear.base.errors import DataError, ParamsError, TwinearError
from twinear.base.params import parse_params, read_sections
from twinear.listens.listens import Listens
from twinear.similarity import cooccurrence
from twinear.similarity.computation import compute, compute_neighbours, compute_similarity
from twinear.similarity.cooccurrence import CoListening
from twinear.similarity.measures import Measure, SimilarityParams, capped, count_totals
from twinear.similarity.neighbours import ListenNeighbours, find_similar
from twinear.similarity.partitions import (
    Baskets,
    ListenerRange,
    ListensParts,
    in_memory,
    in_ranges,
    open_listens,
)

MEASURES = get_args(Measure)
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SLOW = pytest.mark.slow(reason="the other measures go the same way")


def params(measure: Measure, **changes: object) -> SimilarityParams:
    section = read_sections(PARAMS)["similarity"] | {"measure": measure} | changes
    return parse_params("similarity", SimilarityParams, section)


def listens(plays: Ints) -> Listens:
    """Listens of a table of plays; artists as they come."""
    ids = [f"artist {i}" for i in range(plays.shape[1])]
    heard = (plays > 0).sum(axis=0)
    artists = pd.DataFrame({"artist": ids, "name": [each.title() for each in ids], "mbid": ""})
    artists = artists.assign(listeners=heard, plays=plays.sum(axis=0))
    return Listens(artists=artists, plays=csr_array(plays))


def random_plays(seed: int, n_listeners: int, n_artists: int) -> Ints:
    """Long-tailed plays; every artist has a listener, and every listener an artist."""
    random = np.random.default_rng(seed)
    chance = 0.6 / np.arange(1, n_artists + 1) ** 0.7
    heard = np.asarray(random.random((n_listeners, n_artists)) < chance)
    heard[np.arange(n_artists) % n_listeners, np.arange(n_artists)] = True
    heard[:, 0] |= ~heard.any(axis=1)
    counts = np.ceil(random.lognormal(2, 1.5, heard.shape)).astype(np.int64)
    return np.where(heard, counts, 0)


def by_brute_force(plays: Ints, chosen: SimilarityParams) -> Floats:
    """The measure of every two artists by the formulas, with dense float matrices."""
    heard = (plays > 0).astype(float)
    both, n = heard.T @ heard, heard.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values: dict[Measure, Floats] = {
            "minimum": np.minimum(both / n, both / n[:, None]),
            "asymmetric": both / n[:, None],
            "cosine": both / np.sqrt(np.outer(n, n)),
            "jaccard": both / (n + n[:, None] - both),
            "plays_minimum": _smaller_share(plays.astype(float), heard),
            "pmi": np.maximum(0, np.log(both * len(plays) / np.outer(n, n)))
            * (both / (both + chosen.pmi_shrinkage)),
            "bm25": _bm25_cosine(plays.astype(float), chosen),
        }
    return np.where(both >= chosen.min_colisteners, values[chosen.measure], 0)


def _smaller_share(plays: Floats, heard: Floats) -> Floats:
    share = (plays.T @ heard) / plays.sum(axis=0)[:, None]
    return np.asarray(np.minimum(share, share.T))


def _bm25_cosine(plays: Floats, chosen: SimilarityParams) -> Floats:
    k1, b = chosen.bm25.k1, chosen.bm25.b
    items = plays.T  # implicit's bm25_weight: rows are documents, columns words
    idf = np.log(len(items)) - np.log1p((items > 0).sum(axis=0))
    lengths = items.sum(axis=1)
    norm = 1 - b + b * lengths / lengths.mean()
    weights = items * (k1 + 1) / (k1 * norm[:, None] + items) * idf
    unit = weights / np.maximum(np.linalg.norm(weights, axis=1), 1e-300)[:, None]
    return np.asarray(unit @ unit.T)


def matrix_of(source: ListensParts, chosen: SimilarityParams, workers: int | str = 2) -> Floats:
    everyone = np.arange(len(source.artists))
    compared = CoListening(
        parts=source,
        totals=count_totals(source, chosen),
        artists=everyone,
        memory=300_000,
        workers=workers,
    )
    return compared.matrix().astype(np.float64)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("least", [1, 3])
def test_the_matrix_is_that_of_brute_force(measure: Measure, least: int) -> None:
    plays = random_plays(1, 90, 40)
    chosen = params(measure, min_colisteners=least)
    expected = by_brute_force(plays, chosen)
    np.fill_diagonal(expected, 0)
    found = matrix_of(in_memory(listens(plays)), chosen)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("dense", [0, 3, 1000])  # no artists, popular ones, all
def test_neighbours_are_the_best_of_the_matrix(
    measure: Measure, least: int, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "DENSE", dense)
    plays = random_plays(2, 80, 60)
    chosen = params(measure, min_colisteners=least, neighbours=7)
    found = compute_neighbours(listens(plays), chosen)
    matrix = matrix_of(in_memory(listens(plays)), chosen).astype(np.float32)
    both = (plays > 0).astype(int).T @ (plays > 0).astype(int)
    for a, row in enumerate(matrix):
        order = [b for b in np.argsort(-row, kind="stable") if b != a and row[b] > 0][:7]
        assert [b for b in found.neighbour[a] if b >= 0] == order
        np.testing.assert_array_equal(found.similarity[a][: len(order)], row[order])
        np.testing.assert_array_equal(found.listeners[a][: len(order)], both[a, order])
        assert (found.neighbour[a][len(order) :] == -1).all()


def test_of_equally_similar_artists_the_more_listened_goes_first() -> None:
    plays = np.ones((4, 5), np.int64)
    found = compute_neighbours(listens(plays), params("minimum", neighbours=3))
    assert found.neighbour.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]


def test_a_similarity_does_not_depend_on_how_many_artists_are_compared() -> None:
    everyone = listens(random_plays(3, 70, 30))
    ids = list(everyone.artists["artist"])
    for measure in MEASURES:
        few = compute_similarity(everyone, ids[:10], params(measure)).matrix
        many = matrix_of(in_memory(everyone), params(measure))[:10, :10]
        off = ~np.eye(10, dtype=bool)
        scaled = (many - many[off].min()) / (many[off].max() - many[off].min())
        np.testing.assert_allclose(few[off], scaled[off], rtol=1e-5, atol=1e-7)


several = arrays(
    np.int64, st.tuples(st.integers(2, 12), st.integers(3, 9)), elements=st.integers(0, 4)
)


@given(plays=several, measure=st.sampled_from(MEASURES), seed=st.integers(0, 9))
def test_the_laws_of_every_measure_at_both_scales(plays: Ints, measure: Measure, seed: int) -> None:
    plays[0] += 1  # nobody is unheard
    chosen = params(measure, neighbours=20)
    everyone = listens(plays)
    matrix = matrix_of(in_memory(everyone), chosen)
    assert matrix.min() >= 0
    assert measure == "pmi" or matrix.max() <= 1 + 1e-8
    if measure != "asymmetric":
        assert (matrix == matrix.T).all()
    random = np.random.default_rng(seed)
    order = random.permutation(plays.shape[1])  # artists under other numbers
    relabelled = matrix_of(in_memory(listens(random.permutation(plays)[:, order])), chosen)
    np.testing.assert_allclose(relabelled, matrix[np.ix_(order, order)], rtol=1e-6, atol=1e-8)
    near = compute_neighbours(everyone, chosen)
    for a, row in enumerate(near.similarity):
        kept = near.neighbour[a] >= 0
        assert set(near.neighbour[a][kept]) == set(np.flatnonzero(matrix[a].astype(np.float32)))
        assert (np.diff(row) <= 0).all()


# listeners with very many artists


def test_of_a_listener_with_too_many_artists_the_most_played_count() -> None:
    plays = np.array([[5, 9, 9, 1, 9], [1, 0, 0, 2, 0]])
    kept = capped(csr_array(plays), 3).toarray()
    assert kept.tolist() == [[0, 9, 9, 0, 9], [1, 0, 0, 2, 0]]
    assert capped(csr_array(plays), 2).toarray()[0].tolist() == [0, 9, 9, 0, 0]


def test_capped_listeners_are_counted_and_do_not_dominate() -> None:
    plays = random_plays(4, 50, 200)
    plays[0] = np.arange(1, 201)  # one who has heard everything
    everyone = listens(plays)
    source, ids = in_memory(everyone), list(everyone.artists["artist"])
    chosen = params("minimum", max_artists_per_listener=60, neighbours=200)
    told = compute(source, ids, chosen, 2**30, 2)[2]
    assert told.capped_listeners == (np.count_nonzero(plays, axis=1) > 60).sum()
    free = compute(source, ids, params("minimum", neighbours=200), 2**30, 2)[2]
    assert free.capped_listeners == 0
    assert free.similar_pairs > 0.99  # through that one listener
    assert told.similar_pairs < 0.9


def test_a_listener_with_fifty_thousand_artists_is_no_danger() -> None:
    plays = csr_array(np.ones((1, 50_000), np.int64))
    wide = csr_array((plays.data, plays.indices, [0, 50_000, 50_000]), shape=(2, 50_000))
    names = [str(i) for i in range(50_000)]
    artists = pd.DataFrame({"artist": names, "name": names, "mbid": "", "listeners": 1, "plays": 1})
    found = compute_neighbours(
        Listens(artists=artists, plays=wide),
        params("minimum", max_artists_per_listener=2000, neighbours=5),
    )
    assert (found.neighbour[:, 0] >= 0).sum() == 2000


# in parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    listens(random_plays(5, 300, 80)).write(tmp_path / "listens")
    return tmp_path / "listens"


@pytest.mark.parametrize(
    "measure", [pytest.param(each, marks=SLOW if each != "cosine" else []) for each in MEASURES]
)
def test_parts_and_blocks_change_no_bit(
    folder: Path, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_ranges(folder, 6 * 48 * 300)
    assert len(source.parts) > 3
    whole = in_memory(Listens.read(folder))
    chosen = params(measure, neighbours=9, max_artists_per_listener=20)
    assert (matrix_of(source, chosen) == matrix_of(whole, chosen)).all()
    _same(_near(source, chosen, 60_000), _near(whole, chosen, 2**30))


def _near(source: ListensParts, chosen: SimilarityParams, memory: int) -> ListenNeighbours:
    ids = list(source.artists["artist"])
    return compute(source, ids, chosen, memory, 2)[1]


def _same(found: ListenNeighbours, expected: ListenNeighbours) -> None:
    np.testing.assert_array_equal(found.neighbour, expected.neighbour)
    np.testing.assert_array_equal(found.similarity, expected.similarity)
    np.testing.assert_array_equal(found.listeners, expected.listeners)


def test_a_part_is_as_large_as_memory_allows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_listens(folder, 2**30, 2).parts[0], Baskets)
    assert len(open_listens(folder, 2**30, "tcp://a:1").parts) >= 1
    assert isinstance(open_listens(folder, 2**30, "tcp://a:1").parts[0], ListenerRange)
    few = open_listens(folder, 60_000, 2)
    entries = [part.plays.nnz for part in few]
    assert sum(entries) == Listens.read(folder).plays.nnz
    assert max(entries) < 60_000 / 6 / 48 + 80


@dataclass(frozen=True, kw_only=True)
class Deadly(ListenerRange):
    """A part that kills the first cluster's worker that counts it."""

    mark: Path
    safe: int  # the process that only looks at the facts

    def read(self, n_artists: int) -> Baskets:
        if not self.mark.exists() and os.getpid() != self.safe:
            self.mark.touch()
            os._exit(1)
        return super().read(n_artists)


@pytest.mark.slow(reason="a cluster; the pool's own tests have one always")
@pytest.mark.parametrize("measure", ["minimum", "bm25"])
def test_a_cluster_counts_the_same_bits_though_a_worker_is_killed(
    folder: Path, cluster: str, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_ranges(folder, 6 * 48 * 300)
    chosen = params(measure)
    mark = folder / "killed"
    middle = [Deadly(**vars(part), mark=mark, safe=os.getpid()) for part in source.parts[2:3]]
    deadly = (*source.parts[:2], *middle, *source.parts[3:])
    found = matrix_of(ListensParts(artists=source.artists, parts=deadly), chosen, cluster)
    assert mark.exists()
    assert (found == matrix_of(in_memory(Listens.read(folder)), chosen)).all()


@pytest.mark.slow(reason="a cluster; the pool's own tests have one always")
def test_a_part_that_kills_its_worker_twice_is_one_clear_error(
    folder: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinear.similarity.cooccurrence._count_part", _die)
    with pytest.raises(
        TwinearError, match=r"tcp://.*died twice counting listeners 0 to .*TWINEAR_MEMORY"
    ):
        matrix_of(in_ranges(folder, 2**20), params("minimum"), cluster)


def _die(*_: object, **__: object) -> None:
    os._exit(1)


# bad input


def test_nothing_in_common_names_the_params_that_may_be_too_strict() -> None:
    everyone = listens(random_plays(6, 30, 5))
    ids = list(everyone.artists["artist"])
    with pytest.raises(DataError, match=r"equally similar \(0\).*similarity\.min_colisteners"):
        compute_similarity(everyone, ids, params("minimum", min_colisteners=99))
    lonely = np.array([[9, 5, 0, 0, 0], [9, 0, 5, 0, 0], [9, 8, 0, 5, 5]])
    chosen = params("minimum", max_artists_per_listener=2)
    with pytest.raises(DataError, match=r"1 of 3 listeners capped.*similarity\.max_artists_per_"):
        compute_similarity(listens(lonely), {f"artist {i}" for i in (1, 2, 4)}, chosen)


def test_a_cap_that_leaves_no_pair_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"max_artists_per_listener: found '?1'?, expected"):
        params("minimum", max_artists_per_listener=1)


def test_neighbours_survive_writing(tmp_path: Path) -> None:
    written = compute_neighbours(listens(random_plays(7, 60, 20)), params("cosine", neighbours=4))
    written.write(tmp_path / "neighbours")
    for a in range(20):
        found = find_similar(tmp_path / "neighbours", f"ARTIST {a}", 3)
        kept = written.neighbour[a][written.neighbour[a] >= 0][:3]
        assert list(found.table["artist"]) == [f"artist {b}" for b in kept]
        np.testing.assert_array_equal(found.table["similarity"], written.similarity[a][: len(kept)])
        np.testing.assert_array_equal(found.table["listeners"], written.listeners[a][: len(kept)])


def test_no_neighbours_is_a_choice_and_said_to_who_asks(tmp_path: Path) -> None:
    compute_neighbours(listens(random_plays(7, 9, 5)), params("cosine", neighbours=0)).write(
        tmp_path / "near"
    )
    with pytest.raises(
        DataError, match=r"neighbours\.parquet: holds no neighbours; .*similarity\.neighbours"
    ):
        find_similar(tmp_path / "near", "artist 1", 3)
    with pytest.raises(DataError, match=r"no artist 'artist 77' among 5; did you mean"):
        find_similar(tmp_path / "near", "artist 77", 3)
    forget_checksums(tmp_path / "near")
    (tmp_path / "near" / "neighbours.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match="is not a table of neighbours"):
        find_similar(tmp_path / "near", "artist 1", 3)


def test_neighbours_are_shown_as_text_and_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compute_neighbours(listens(random_plays(8, 60, 20)), params("minimum")).write(
        tmp_path / "artifacts/neighbours"
    )
    monkeypatch.chdir(tmp_path)
    words = ("neighbours", "Artist 3", "--top", "2")
    shown = run_twinear(capsys, *words).stdout.splitlines()
    told = json.loads(run_twinear(capsys, *words, "--json").stdout)
    names = [each["name"] for each in told["similar"]]
    assert all(name in line for name, line in zip(names, shown, strict=True))
    assert set(told["similar"][0]) == {"rank", "artist", "name", "similarity", "listeners"}
    wrong = run_twinear(capsys, "neighbours", "Nobody")
    assert wrong.status == 1
    assert wrong.stderr.startswith("error: ")
