"""The map of planted artists: the same each time, near where they are similar, and read back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.planted_catalogue import planted, written
from twinear.base.errors import DataError
from twinear.catalogue.catalogue import Catalogue
from twinear.recommendation.collection import Collection
from twinear.serve.projection import Projection, measure_trust, nearest_by_score, project


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    some = planted()
    ids = [f"a{row:02}" for row in range(len(some.artists))]
    table = pd.DataFrame({"artist": ids, "name": ids})
    folder = written(tmp_path_factory.mktemp("planted") / "catalogue", table, some)
    return Collection(catalogue=Catalogue.read(folder))


def test_the_same_catalogue_gives_the_same_map_and_it_is_read_as_it_was_written(
    collection: Collection, tmp_path: Path
) -> None:
    made = project(collection)
    assert np.array_equal(made.points, project(collection).points)
    assert made.points.shape == (len(collection), 2)
    assert np.abs(made.points).max() == pytest.approx(1)
    assert 0.5 < made.trust.neighbours_kept < 1
    assert 0.8 < made.trust.trustworthiness < 1
    made.write(tmp_path / "map.npz")
    read = Projection.read(tmp_path / "map.npz", len(collection))
    assert np.array_equal(read.points, made.points)
    assert read.trust == made.trust
    with pytest.raises(DataError, match=r"map\.npz"):
        Projection.read(tmp_path / "map.npz", len(collection) + 1)


def test_places_drawn_at_random_are_trusted_less(collection: Collection) -> None:
    pooled = np.zeros((len(collection), 2), np.float32)
    neighbours, totals = nearest_by_score(collection, pooled, 30)
    assert (np.diff(totals, axis=1) <= 0).all()
    assert (neighbours != np.arange(len(collection))[:, None]).all()
    random = np.random.default_rng(0).random((len(collection), 2)).astype(np.float32)
    trust = measure_trust(collection, neighbours, random)
    assert trust.neighbours_kept < 0.35  # ten of 59 by chance: 0.17
    assert trust.trustworthiness < 0.7
