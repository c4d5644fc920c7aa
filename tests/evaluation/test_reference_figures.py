"""The reference figures on real music, where that is at hand; nothing of it is in the project."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS, ROOT
from twinear.cli.main import main

REAL = ROOT.parent / "shared" / "real"
pytestmark = [
    pytest.mark.slow(reason="cross-validates real music"),
    pytest.mark.skipif(
        not (REAL / "musicnn.npz").exists(), reason="the acceptance corpus is not here"
    ),
]
# "all" and "fold" NDCG@10; three standard errors of .010 and .015
REFERENCE = {
    "popularity": (0.151, 0.326),
    "l2": (0.108, 0.227),
    "mfcc": (0.136, 0.257),
    "mfcc_mp": (0.142, 0.262),
}


def tell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, Any]:
    """What a command prints of every protocol."""
    monkeypatch.setattr(sys, "argv", ["twinear", *words])
    with pytest.raises(SystemExit):
        main()
    protocols: dict[str, Any] = json.loads(capsys.readouterr().out)["protocols"]
    return protocols


def ndcg(protocols: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The NDCG@10 of every system under each protocol."""
    return {
        protocol: {
            system: metrics["ndcg@10"]["value"]
            for system, metrics in numbers["metrics"]["similarity"].items()
        }
        for protocol, numbers in protocols.items()
    }


def test_baselines_and_a_pretrained_network_land_on_the_reference_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PARAMS.read_text(encoding="utf-8").replace("require_mbid: true", "require_mbid: false")
    text = text.replace("min_listeners: 2 ", "min_listeners: 5 ")
    # the means of systems need neither random rankings nor resamples
    text = text.replace("n_chance: 1000", "n_chance: 2").replace(
        "n_bootstrap: 2000", "n_bootstrap: 100"
    )
    Path("params.yaml").write_text(text, encoding="utf-8")
    clips = str(REAL / "clips.csv")
    listens = str(REAL / "hetrec2011-lastfm-2k")
    monkeypatch.setattr(sys, "argv", ["twinear", "import", "--listens", listens, "--clips", clips])
    with pytest.raises(SystemExit):
        main()
    capsys.readouterr()
    vectors = f"musicnn={REAL / 'musicnn.npz'}"
    lastfm, editors = (REAL / "truths" / name for name in ("lastfm_15k.csv.gz", "editors.csv"))
    truths = ["--truth", f"lastfm={lastfm}", "--truth", f"editors={editors}"]
    evaluated = tell(monkeypatch, capsys, "evaluate", "--embeddings", vectors, *truths, "--json")
    assert ndcg(evaluated)["all"]["musicnn_cosine"] == pytest.approx(0.268, abs=0.001)
    others = evaluated["all"]["others"]
    by_listens, by_pairs = (others[name]["metrics"]["musicnn_cosine"] for name in others)
    assert by_listens["ndcg@10"]["value"] == pytest.approx(0.529, abs=0.019)
    assert by_pairs["auc"]["value"] == pytest.approx(0.811, abs=0.018)
    assert (others["lastfm"]["queries"], others["lastfm"]["same"]) == (92, False)
    write_cosine(Path("musicnn.npz"))
    words = ["--data", "data", "--fold-by", "hetrec_artist_id", "--matrix", "musicnn=musicnn.npz"]
    words += ["--systems", ",".join([*REFERENCE, "musicnn"]), "--json"]
    judged = tell(monkeypatch, capsys, "crossval", *words)
    found = ndcg(judged)
    assert found["all"]["musicnn"] == pytest.approx(0.268, abs=0.001)
    assert found["fold"]["musicnn"] == pytest.approx(0.419, abs=0.002)
    worth = judged["all"]["listeners"]
    assert worth["ceiling"]["value"] == pytest.approx(0.442, abs=0.010)
    assert worth["systems"]["musicnn"]["ndcg"]["value"] == pytest.approx(0.229, abs=0.010)
    assert worth["systems"]["musicnn"]["listeners"]["value"] == pytest.approx(81, abs=15)
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
