"""`import twinear`: fast, and every public name is there when it is asked for."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import twinear
from tests.conftest import Project
from twinear.spectrograms.spectrograms import Spectrograms

TABLES = ("pandas", "polars", "pyarrow", "duckdb")
LEARNING = ("torch", "librosa", "numba", "sklearn", "scipy.stats", "scipy.signal")
HEAVY = {*TABLES, *LEARNING, "mlflow", "optuna", "matplotlib", "httpx", "ruamel.yaml"}

COMMAND = """
import atexit, sys
atexit.register(lambda: print("\\n", *sys.modules))
sys.argv[0] = "twinear"
from twinear.cli.main import main
main()
"""


def loaded(project: Project, code: str, *arguments: str) -> set[str]:
    """The modules that some code has imported, there, when it ends."""
    return set(project.must(sys.executable, "-c", code, *arguments).splitlines()[-1].split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    here = Project(folder=Path.cwd())
    modules = loaded(here, "import sys, twinear; print(*sys.modules)")
    assert "twinear" in modules
    assert not modules & (HEAVY | {"numpy", "pydantic", "typer"})


@pytest.mark.parametrize(
    ("question", "besides"),
    [
        ("--help", {"numpy", "pydantic"}),
        ("similar ARTIST", {"rich", "scipy", "av"}),
        ("similar --clip CLIP", {"rich"}),
        ("score CLIP CLIP", {"rich"}),
    ],
)
def test_a_question_imports_nothing_that_it_does_not_need(
    finished: Project, question: str, besides: set[str]
) -> None:
    clip = min((finished.folder / "data/clips").iterdir())
    artist = twinear.load_catalogue(finished.folder / "artifacts/catalogue").artists.records([0])[0]
    named = {"CLIP": str(clip), "ARTIST": artist.name}
    modules = loaded(finished, COMMAND, *(named.get(word, word) for word in question.split()))
    assert "twinear.cli.similar" in modules
    assert not modules & (HEAVY | besides)


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
    assert u.shape == (2, scorer.units)
    assert twinear.score(scorer, a, b) == pytest.approx(float(scorer.score(u[:1], u[1:])[0, 0]))
    catalogue = twinear.load_catalogue(artifacts / "catalogue")
    name = catalogue.artists.record(0).name
    similar = twinear.similar_artists(artifacts / "catalogue", name, top=3)
    assert [artist.rank for artist in similar] == [1, 2, 3]
    assert similar[0].score >= similar[1].score
    assert name not in {artist.name for artist in similar}


def test_a_trained_scorer_encodes_the_same_with_torch_and_without(finished: Project) -> None:
    artifacts = finished.folder / "artifacts"
    scorer = twinear.load_scorer(artifacts / "training/scorer.safetensors")
    clips = Spectrograms.read(artifacts / "spectrograms").values[:20]
    u, v = scorer.encode(clips), scorer.encode_many(clips)
    np.testing.assert_allclose(u, v, atol=5e-5)
    np.testing.assert_allclose(scorer.score(u, u), scorer.score(v, v), atol=2e-5)


def test_no_files_give_no_embeddings(finished: Project) -> None:
    scorer = twinear.load_scorer(finished.folder / "artifacts/training/scorer.safetensors")
    assert twinear.embed(scorer, []).shape == (0, scorer.units)
