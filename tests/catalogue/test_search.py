"""One contract over all searches, and what each does about damage."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.qdrant import engine_in_memory, qdrant_server
from twinear.base.errors import DataError, ParamsError
from twinear.catalogue.search import faiss_search
from twinear.catalogue.search.exact import ExactSearch
from twinear.catalogue.search.faiss_search import build_faiss, open_faiss, read_index_facts
from twinear.catalogue.search.names import build_search, choose_search, open_search
from twinear.catalogue.search.protocol import Floats, Search
from twinear.catalogue.search.qdrant_search import build_qdrant, open_qdrant

# the engine in this process is always exact
pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")

N, DIMS = 300, 8
PLACE = "qdrant://here:6333"
Make = Callable[[Floats], Search]


def drawn(n: int = N, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, DIMS)).astype(np.float32)


@pytest.fixture(params=["exact", "faiss", "qdrant", "qdrant server"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    def made(vectors: Floats) -> Search:
        if request.param == "qdrant":
            client = engine_in_memory()
            build_qdrant(client, PLACE, vectors, tmp_path / "index")
            return open_qdrant(client, PLACE, vectors, tmp_path / "index")
        build_search(name, vectors, tmp_path / "index")
        return open_search(name, vectors, tmp_path / "index")

    with (
        qdrant_server() if request.param == "qdrant server" else nullcontext(request.param) as name
    ):
        yield made


def brute_force(vectors: Floats, queries: Floats, n: int, allowed: Any = None) -> list[list[int]]:
    products = (queries.astype(np.float64) @ vectors.T.astype(np.float64)).tolist()
    rows = [row for row in range(len(vectors)) if allowed is None or allowed[row]]
    return [sorted(rows, key=lambda row: -of_query[row])[:n] for of_query in products]


# --- the contract -----------------------------------------------------------------------------


def test_the_nearest_come_first_with_their_products(make: Make) -> None:
    vectors, queries = drawn(), drawn(5, seed=1)
    hits = make(vectors).search(queries, 10)
    assert hits.rows.tolist() == brute_force(vectors, queries, 10)
    expected = np.take_along_axis(queries @ vectors.T, hits.rows, axis=1)
    np.testing.assert_allclose(hits.products, expected, rtol=1e-5)
    assert [array.dtype.name for array in hits] == ["int64", "float32"]


def test_longer_vectors_have_larger_products_and_are_preferred(make: Make) -> None:
    vectors = drawn()
    vectors[7] *= 100
    assert make(vectors).search(vectors[7:8], 1).rows.tolist() == [[7]]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_only_allowed_vectors_are_found(make: Make, share: float) -> None:
    vectors, queries = drawn(), drawn(3, seed=1)
    allowed = np.random.default_rng(2).random(N) < share
    found = make(vectors).search(queries, 5, allowed).rows
    assert found.tolist() == brute_force(vectors, queries, 5, allowed)


def test_places_are_empty_where_fewer_are_allowed_than_wanted(make: Make) -> None:
    allowed = np.zeros(N, dtype=bool)
    allowed[[4, 9]] = True
    hits = make(drawn()).search(drawn(1, seed=1), 4, allowed)
    assert sorted(hits.rows[0, :2].tolist()) == [4, 9]
    assert hits.rows[0, 2:].tolist() == [-1, -1]
    assert np.isneginf(hits.products[0, 2:]).all()


def test_nothing_is_found_where_nothing_is_allowed(make: Make) -> None:
    hits = make(drawn()).search(drawn(2, seed=1), 3, np.zeros(N, dtype=bool))
    assert hits.rows.tolist() == [[-1] * 3] * 2


def test_more_may_be_wanted_than_there_are(make: Make) -> None:
    vectors, queries = drawn(20), drawn(2, seed=1)
    rows = make(vectors).search(queries, 25).rows
    assert rows[:, :20].tolist() == brute_force(vectors, queries, 20)
    assert rows[:, 20:].tolist() == [[-1] * 5] * 2


def test_one_vector_is_an_index(make: Make) -> None:
    search = make(drawn(1))
    assert search.search(drawn(1, seed=1), 2).rows.tolist() == [[0, -1]]
    assert search.search(np.empty((0, DIMS), np.float32), 2).rows.shape == (0, 2)


def test_equal_vectors_are_found_each_once_the_lower_row_first(make: Make) -> None:
    vectors = drawn()
    vectors[[250, 30, 120]] = 3 * vectors[5]
    rows = make(vectors).search(vectors[5:6], 3).rows[0]
    assert rows.tolist() == [30, 120, 250]


def test_vectors_that_are_all_equal_are_found(make: Make) -> None:
    rows = make(np.ones((N, DIMS), np.float32)).search(np.ones((1, DIMS), np.float32), 10).rows[0]
    assert len(set(rows.tolist())) == 10
    assert rows.min() >= 0


def test_a_search_says_whether_it_is_exact(tmp_path: Path) -> None:
    vectors = drawn()
    build_faiss(vectors, tmp_path / "index")
    assert ExactSearch(vectors=vectors).exact
    assert not open_faiss(vectors, tmp_path / "index").exact


@given(st.integers(1, 40), st.integers(0, 12), st.integers(0, 2**16))
def test_exact_search_by_blocks_is_sorting(n_vectors: int, n: int, seed: int) -> None:
    # few values, so that there are ties within blocks and across them
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (n_vectors, 2)).astype(np.float32)
    queries = rng.integers(-1, 2, (3, 2)).astype(np.float32)
    allowed = rng.random(n_vectors) < 0.7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twinear.catalogue.search.exact.BLOCK", 7)
        patch.setattr("twinear.catalogue.search.exact.QUERIES", 2)
        rows = ExactSearch(vectors=vectors).search(queries, n, allowed).rows
    expected = brute_force(vectors, queries, n, allowed)
    assert [[row for row in of_query if row >= 0] for of_query in rows.tolist()] == expected


# --- faiss ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clustered() -> Floats:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(100, DIMS))
    return (centres[rng.integers(0, 100, 12_000)] + 0.3 * rng.normal(size=(12_000, DIMS))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def index(clustered: Floats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faiss") / "index"
    build_faiss(clustered, folder)
    return folder


def copied(index: Path, to: Path) -> Path:
    to.mkdir()
    for path in index.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_the_index_looks_into_few_lists_and_finds_almost_all(
    clustered: Floats, index: Path
) -> None:
    facts = read_index_facts(index)
    assert facts.n_probe < facts.n_lists / 4
    assert facts.recall >= faiss_search.RECALL
    queries = clustered[::100] + drawn(120, seed=4) * np.float32(0.1)
    found = open_faiss(clustered, index).search(queries, 10).rows
    nearest = ExactSearch(vectors=clustered).search(queries, 10).rows
    assert np.mean([np.isin(*both).mean() for both in zip(nearest, found, strict=True)]) > 0.98


def test_a_filter_looks_into_more_lists(clustered: Floats, index: Path) -> None:
    search = open_faiss(clustered, index)
    allowed = np.random.default_rng(5).random(len(clustered)) < 0.3
    queries = clustered[:50]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faiss_search, "EXACT_ALLOWED", 10)
        found = search.search(queries, 10, allowed).rows
    nearest = ExactSearch(vectors=clustered).search(queries, 10, allowed).rows
    assert allowed[found].all()
    assert np.mean([np.isin(*both).mean() for both in zip(nearest, found, strict=True)]) > 0.98


def test_a_query_whose_lists_hold_too_few_is_searched_exactly(
    clustered: Floats, index: Path
) -> None:
    search = replace(open_faiss(clustered, index), n_probe=1)
    hits = search.search(clustered[:2], 11_000)
    assert (hits.rows >= 0).all()
    assert len(np.unique(hits.rows[0])) == 11_000


def test_the_index_takes_half_a_byte_a_number(clustered: Floats, index: Path) -> None:
    size = (index / "vectors.faiss").stat().st_size
    # beside it the rows, and lists filled up to multiples of 32
    assert size < clustered.size / 2 + 8 * len(clustered) + 200_000


def test_the_same_vectors_make_the_same_index(tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_faiss(drawn(3000), tmp_path / name)
    for name in ("index.json", "vectors.faiss"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("vectors.faiss", lambda content: content[:-9], "bytes instead of"),
        ("vectors.faiss", lambda content: b"\0" * 99 + content[99:], "is not what was written"),
        ("vectors.faiss", lambda content: content[:-99] + b"\7" * 99, "is not what was written"),
        ("vectors.faiss", lambda content: b"", "is empty"),
        ("index.json", lambda content: content[:-9], "is not what was written"),
        ("index.json", lambda content: b'{"layout": 1}', "is not what was written"),
        ("index.json", lambda content: content.replace(b'"layout": 2', b'"layout": 9'), "layout 9"),
    ],
)
def test_a_damaged_index_is_an_error_with_a_remedy(
    clustered: Floats,
    index: Path,
    tmp_path: Path,
    name: str,
    damage: Callable[[bytes], bytes],
    said: str,
) -> None:
    folder = copied(index, tmp_path / "index")
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(DataError, match=f"{name}.*{said}.*dvc repro catalogue"):
        open_faiss(clustered, folder)


@pytest.mark.parametrize("name", ["vectors.faiss", "index.json"])
def test_a_missing_index_is_an_error_with_a_remedy(
    clustered: Floats, index: Path, tmp_path: Path, name: str
) -> None:
    folder = copied(index, tmp_path / "index")
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: is missing.*dvc repro catalogue"):
        open_faiss(clustered, folder)


def test_an_index_of_other_vectors_is_an_error(clustered: Floats, index: Path) -> None:
    with pytest.raises(DataError, match=r"12000 vectors.*expected 11999"):
        open_faiss(clustered[:-1], index)


# --- Qdrant -----------------------------------------------------------------------------------


def test_what_the_server_has_is_not_sent_again(tmp_path: Path) -> None:
    vectors, client = drawn(3000), engine_in_memory()
    sent: list[int] = []

    def interrupted(starts: Any) -> Any:
        for start in starts:
            if start == 2048:
                raise KeyboardInterrupt
            yield start

    def noted(starts: Any) -> Any:
        sent.extend(starts)
        return starts

    with pytest.raises(KeyboardInterrupt):
        build_qdrant(client, PLACE, vectors, tmp_path / "index", interrupted)
    assert not (tmp_path / "index").exists()
    build_qdrant(client, PLACE, vectors, tmp_path / "index", noted)
    assert sent == [2048]
    search = open_qdrant(client, PLACE, vectors, tmp_path / "index")
    assert search.search(vectors[2500:2501] * 9, 1).rows.shape == (1, 1)
    assert client.count(search.collection).count == 3000


def test_two_catalogues_live_on_one_server(tmp_path: Path) -> None:
    client, first, second = engine_in_memory(), drawn(seed=1), drawn(seed=2)
    for name, vectors in (("first", first), ("second", second)):
        build_qdrant(client, PLACE, vectors, tmp_path / name)
    for name, vectors in (("first", first), ("second", second)):
        search = open_qdrant(client, PLACE, vectors, tmp_path / name)
        assert search.search(vectors[:1], 3).rows.tolist() == brute_force(vectors, vectors[:1], 3)


def test_a_server_with_another_catalogue_is_an_error(tmp_path: Path) -> None:
    client = engine_in_memory()
    build_qdrant(client, PLACE, drawn(), tmp_path / "mine")
    emptied = engine_in_memory()
    with pytest.raises(DataError, match=r"here:6333: holds no catalogue.*dvc repro"):
        open_qdrant(emptied, PLACE, drawn(), tmp_path / "mine")
    build_qdrant(emptied, PLACE, drawn(seed=9), tmp_path / "another")
    with pytest.raises(DataError, match=r"here:6333: holds another catalogue.*dvc repro"):
        open_qdrant(emptied, PLACE, drawn(), tmp_path / "mine")


def test_a_collection_that_was_filled_in_part_is_an_error(tmp_path: Path) -> None:
    client = engine_in_memory()
    build_qdrant(client, PLACE, drawn(), tmp_path / "index")
    name = json.loads((tmp_path / "index" / "qdrant.json").read_text())["collection"]
    client.delete(name, [0, 1])
    with pytest.raises(DataError, match=r"holds 298 vectors.*expected 300.*dvc repro"):
        open_qdrant(client, PLACE, drawn(), tmp_path / "index")


def test_a_damaged_note_of_the_collection_is_an_error(tmp_path: Path) -> None:
    client = engine_in_memory()
    build_qdrant(client, PLACE, drawn(), tmp_path / "index")
    path = tmp_path / "index" / "qdrant.json"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"qdrant.json: is not what was written.*dvc repro"):
        open_qdrant(client, PLACE, drawn(), tmp_path / "index")
    path.unlink()
    with pytest.raises(DataError, match=r"qdrant.json: is missing.*dvc repro"):
        open_qdrant(client, PLACE, drawn(), tmp_path / "index")


def test_a_server_that_is_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    place = f"qdrant://127.0.0.1:{port}"
    with pytest.raises(DataError, match=rf"127.0.0.1:{port}: .*does not answer.*start the server"):
        build_search(place, drawn(), tmp_path / "index")


def test_a_server_that_refuses_is_an_error_that_says_why(tmp_path: Path) -> None:
    with (
        qdrant_server(refuse=True) as place,
        pytest.raises(DataError, match=rf"{place}: .*refuses .*No space left on device"),
    ):
        build_search(place, drawn(), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_server_that_goes_away_is_an_error_when_it_is_asked(tmp_path: Path) -> None:
    with qdrant_server() as place:
        build_search(place, drawn(), tmp_path / "index")
        search = open_search(place, drawn(), tmp_path / "index")
    with pytest.raises(DataError, match=rf"{place}: could not search.*does not answer"):
        search.search(drawn(1), 3)


def test_a_missing_client_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(DataError, match=r"qdrant-client.*pip install 'twinear\[qdrant\]'"):
        build_search("qdrant://127.0.0.1:1", drawn(), tmp_path / "index")


# --- names ------------------------------------------------------------------------------------


def test_auto_is_exact_below_a_size() -> None:
    assert [choose_search("auto", n, 100) for n in (99, 100)] == ["exact", "faiss"]
    assert choose_search("qdrant://10.0.0.5:6333", 5, 100) == "qdrant://10.0.0.5:6333"


@pytest.mark.parametrize("name", ["annoy", "qdrant://", "qdrant://host", "qdrant://host:x", ""])
def test_an_unknown_search_is_an_error(name: str) -> None:
    with pytest.raises(ParamsError, match=r"catalogue.search: .*faiss or qdrant://host:port"):
        choose_search(name, 5, 100)
