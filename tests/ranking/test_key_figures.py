"""The ten figures of `dvc metrics`: taken from the tables, none made up."""

import json
from typing import Any

import pandas as pd

from tests.conftest import ROOT
from twinear.ranking.key_figures import key_figures


def read(name: str) -> Any:
    return json.loads((ROOT / "reports" / name).read_text(encoding="utf-8"))


def test_ten_figures_are_those_of_the_catalogue_and_of_its_lead_on_the_best_baseline() -> None:
    ranking, differences, hubness = map(read, ("ranking.json", "differences.json", "hubness.json"))
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "chosen": [0, 1, 0]})
    ranking["popularity"]["ndcg@10"]["value"] = 0.85  # now the best of all baselines
    figures = key_figures(ranking, differences, hubness, epochs)
    assert len(figures) == 10
    ours, lead = ranking["catalogue"], differences["popularity"]["ndcg@10"]
    assert figures["ndcg_low"] == round(ours["ndcg@10"]["low"], 3)
    assert figures["recall"] == round(ours["recall@10"]["value"], 3)
    assert figures["hub"] == hubness["catalogue"]["largest_hub"]
    assert [figures[name] for name in ("lead", "lead_low", "lead_high")] == [
        round(lead[end], 3) for end in ("value", "low", "high")
    ]
    assert figures["epochs"] == 2
    assert key_figures(ranking, differences, hubness, epochs.head(0))["epochs"] == 0
