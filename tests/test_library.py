"""`import twinear`: fast, and every public name is there when it is asked for."""

import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

import twinear
from tests.conftest import Project

HEAVY = ("numpy", "pandas", "torch", "librosa", "mlflow", "numba", "sklearn", "typer")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, twinear; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "twinear" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("name", twinear.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    public = getattr(twinear, name)
    assert name in dir(twinear)
    assert name.startswith("__") or public.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'similar_artist'"):
        twinear.similar_artist  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert twinear.__version__ == version("twinear")


def test_the_ladder_from_a_file_to_similar_artists(finished: Project) -> None:
    artifacts, clips = (finished.folder / name for name in ("artifacts", "data/clips"))
    scorer = twinear.load_scorer(artifacts / "training/scorer.safetensors")
    a, b = sorted(clips.iterdir())[:2]
    waveforms = [
        twinear.load_waveform(path, scorer.spectrograms.sr, scorer.spectrograms.max_seconds)
        for path in (a, b)
    ]
    u = twinear.embed(scorer, [a, b])
    np.testing.assert_array_equal(twinear.embed_waveforms(scorer, waveforms), u)
    assert u.shape == (2, scorer.net.units)
    assert twinear.score(scorer, a, b) == pytest.approx(float(scorer.score(u[:1], u[1:])[0, 0]))
    catalogue = twinear.load_catalogue(artifacts / "catalogue")
    name = catalogue.artists.record(0).name
    similar = twinear.similar_artists(artifacts / "catalogue", name, top=3)
    assert [artist.rank for artist in similar] == [1, 2, 3]
    assert similar[0].score >= similar[1].score
    assert name not in {artist.name for artist in similar}


def test_no_files_give_no_embeddings(finished: Project) -> None:
    scorer = twinear.load_scorer(finished.folder / "artifacts/training/scorer.safetensors")
    assert twinear.embed(scorer, []).shape == (0, scorer.net.units)
