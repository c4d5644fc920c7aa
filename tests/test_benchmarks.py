"""Benchmarks of learning and of mixed sources run with the defaults, on little data."""

from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Project

PYTHON = ("python", "-m")


@pytest.mark.slow(reason="synthesises clips and trains on them")
def test_learning_curves_of_planted_music_have_every_scorer(
    finished: Project, tmp_path: Path
) -> None:
    measure = (*PYTHON, "benchmarks.learning_curve", "measure")
    sizes = ("--sizes", "60", "--held-out", "20", "--draws", "1", "--network")
    settings = ("--set", "training.epochs=1", "training.listener_factors=8")
    for kind in ("spectrograms", "embeddings"):
        planted, curve = tmp_path / kind, tmp_path / f"{kind}.csv"
        plant = (*PYTHON, "benchmarks.planted_music", str(planted), "--artists", "80")
        finished.must(*plant, *(["--embeddings"] if kind == "embeddings" else []))
        finished.must(*measure, str(planted), str(curve), *sizes, *settings)
        table = pd.read_csv(curve)
        assert set(table["system"]) == {"untrained", "learned", "network"}
        assert (table["ndcg"] > 0).all()
    figure = tmp_path / "figure.png"
    finished.must(*(*PYTHON, "benchmarks.learning_curve", "plot"), str(figure), f"a title={curve}")
    assert figure.stat().st_size > 10_000


@pytest.mark.slow(reason="encodes all clips a second time by codecs and by musicnn")
def test_mixed_sources_are_ranked_by_statistics_and_by_embeddings(
    finished: Project, tmp_path: Path
) -> None:
    told = finished.must(
        *(*PYTHON, "benchmarks.mixed_sources"), "--seeds", "1", "--cache", str(tmp_path)
    )
    for arm in ("statistics", "musicnn"):
        assert f"\n{arm}, choosing shifts, 80 artists, validation\n" in told
    assert "catalogue, half shifted" in told
