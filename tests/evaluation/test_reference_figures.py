"""The reference figures on real music, where that is at hand; nothing of it is in the project."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS, ROOT
from twinear.cli.main import main

REAL = ROOT.parent / "shared" / "real"
pytestmark = pytest.mark.skipif(
    not (REAL / "musicnn.npz").exists(),
    reason="the acceptance corpus is not here",
)
# "all" and "fold" NDCG@10; three standard errors of .010 and .015
REFERENCE = {
    "popularity": (0.151, 0.326),
    "l2": (0.108, 0.227),
    "mfcc": (0.136, 0.257),
    "mfcc_mp": (0.142, 0.262),
}


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, dict[str, float]]:
    """The NDCG@10 of every system under each protocol."""
    monkeypatch.setattr(sys, "argv", ["twinear", *words])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)["protocols"]
    return {
        protocol: {
            system: metrics["ndcg@10"]["value"]
            for system, metrics in verdict["metrics"]["similarity"].items()
        }
        for protocol, verdict in told.items()
    }


def test_baselines_and_a_pretrained_network_land_on_the_reference_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PARAMS.read_text(encoding="utf-8").replace("require_mbid: true", "require_mbid: false")
    text = text.replace("min_listeners: 2 ", "min_listeners: 5 ")
    # the means of systems need neither random rankings nor resamples
    text = text.replace("n_chance: 1000", "n_chance: 2").replace(
        "n_bootstrap: 2000", "n_bootstrap: 10"
    )
    Path("params.yaml").write_text(text, encoding="utf-8")
    clips = str(REAL / "clips.csv")
    listens = str(REAL / "hetrec2011-lastfm-2k")
    monkeypatch.setattr(sys, "argv", ["twinear", "import", "--listens", listens, "--clips", clips])
    with pytest.raises(SystemExit):
        main()
    capsys.readouterr()
    vectors = f"musicnn={REAL / 'musicnn.npz'}"
    found = run(monkeypatch, capsys, "evaluate", "--embeddings", vectors, "--json")
    assert found["all"]["musicnn_cosine"] == pytest.approx(0.268, abs=0.001)
    write_cosine(Path("musicnn.npz"))
    words = ["--data", "data", "--fold-by", "hetrec_artist_id", "--matrix", "musicnn=musicnn.npz"]
    words += ["--systems", ",".join([*REFERENCE, "musicnn"]), "--json"]
    found = run(monkeypatch, capsys, "crossval", *words)
    assert found["all"]["musicnn"] == pytest.approx(0.268, abs=0.001)
    assert found["fold"]["musicnn"] == pytest.approx(0.419, abs=0.002)
    for system, (whole, fold) in REFERENCE.items():
        assert found["all"][system] == pytest.approx(whole, abs=0.030)
        assert found["fold"][system] == pytest.approx(fold, abs=0.045)


def write_cosine(path: Path) -> None:
    """The cosine of each two artists' mean vectors, standardised, by a way of its own."""
    table = pd.read_csv("data/clips.csv").set_index("source")
    with np.load(REAL / "musicnn.npz") as made:
        vectors = pd.DataFrame(made["vector"], index=table["artist"].loc[list(made["clip"])])
    mean = ((vectors - vectors.mean()) / vectors.std()).groupby(level=0).mean()
    unit = mean.to_numpy() / np.linalg.norm(mean, axis=1, keepdims=True)
    np.savez(path, artists=list(mean.index), scores=unit @ unit.T)
