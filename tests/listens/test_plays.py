"""Plays that are read back: whatever the kernels rely on is checked, in memory and in ranges."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import PARAMS
from twinear.artists.identity import write_artists
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.listens.plays import read_plays
from twinear.listens.sessions import Basket
from twinear.similarity.listener_sample import read_listener_sample
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import in_ranges

ARTISTS = 3
MEMORY = 2**30


def write(folder: Path, basket: Basket = "listener", **columns: Sequence[float | None]) -> Path:
    """Write a folder of listens whose plays have these columns, and no checksums."""
    names = [f"a{i}" for i in range(ARTISTS)]
    artists = pd.DataFrame({"artist": names, "name": names, "mbid": ""})
    write_artists(artists.assign(listeners=2, plays=9), folder / "artists.csv")
    good: dict[str, Sequence[float | None]] = {
        "listener": [0, 0, 0, 1, 1],
        "session": [0, 0, 1, 2, 2],
        "artist": [0, 2, 1, 0, 1],
        "plays": [5, 1, 1, 2, 7],
    }
    if basket == "listener":
        del good["session"]
        good["artist"] = [0, 1, 2, 0, 1]
    file = {"listener": "plays.parquet", "session": "sessions.parquet"}[basket]
    pq.write_table(pa.table({**good, **columns}), folder / file)
    return folder


def in_memory(folder: Path, basket: Basket) -> object:
    return read_plays(folder, basket, ARTISTS)


def by_ranges(folder: Path, basket: Basket) -> object:
    return list(in_ranges(folder, MEMORY, basket))


def sampled(folder: Path, basket: Basket) -> object:
    params = read_params("similarity", SimilarityParams, PARAMS)
    changed = params.model_copy(update={"basket": basket})
    return read_listener_sample(folder, changed, 100, np.random.default_rng(0))


READERS: dict[str, Callable[[Path, Basket], object]] = {
    "in memory": in_memory,
    "in ranges": by_ranges,
    "a sample": sampled,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("basket", ["listener", "session"])
def test_good_plays_are_read(tmp_path: Path, reader: str, basket: Basket) -> None:
    READERS[reader](write(tmp_path, basket), basket)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("basket", "columns"),
    [
        ("listener", {"artist": [0, 1, ARTISTS, 0, 1]}),
        ("listener", {"artist": [-1, 1, 2, 0, 1]}),
        ("listener", {"artist": [1, 0, 2, 0, 1]}),  # out of order within a listener
        ("listener", {"artist": [0, 0, 2, 0, 1]}),  # twice
        ("listener", {"listener": [0, 1, 0, 1, 1]}),
        ("listener", {"listener": [-1, -1, 0, 1, 1]}),
        ("listener", {"listener": [0, 0, 0, 1, None]}),
        ("listener", {"plays": [5, 1, 0, 2, 7]}),
        ("listener", {"plays": [5, 1, -3, 2, 7]}),
        ("listener", {"plays": [5, 1, 1.5, 2, 7]}),
        ("session", {"session": [1, 1, 0, 2, 2]}),
        ("session", {"listener": [0, 1, 1, 1, 1]}),  # a session of two
        ("session", {"listener": [1, 1, 1, 0, 0]}),
    ],
)
def test_plays_on_which_a_kernel_would_stumble_are_refused(
    tmp_path: Path, reader: str, basket: Basket, columns: dict[str, list[float]]
) -> None:
    folder = write(tmp_path, basket, **columns)
    with pytest.raises(DataError, match=r"\.parquet: is not a table of plays .*dvc repro listens"):
        READERS[reader](folder, basket)


def test_a_listener_number_that_needs_all_memory_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, listener=[0, 0, 0, 1, 2**31 - 1])
    with pytest.raises(DataError, match=r"plays\.parquet: is not a table of plays"):
        sampled(folder, "listener")


def test_a_table_without_plays_is_refused(tmp_path: Path) -> None:
    nothing: list[float] = []
    folder = write(tmp_path, listener=nothing, artist=nothing, plays=nothing)
    with pytest.raises(DataError, match=r"plays\.parquet: is not a table of plays"):
        read_plays(folder, "listener", ARTISTS)
