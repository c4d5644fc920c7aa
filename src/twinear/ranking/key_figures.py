"""Ten figures by which experiments are compared: as many as a terminal shows side by side.

`dvc metrics show`, `dvc metrics diff` and `dvc exp show` read them from `reports/metrics.json`. The
table of all systems and metrics is `reports/ranking.json`.
"""

from collections.abc import Mapping

import pandas as pd

from twinear.ranking.ranking import CATALOGUE, CHANCE, HEADLINE, SIAMESE
from twinear.ranking.summary import MetricTable, Numbers

DIGITS = 3  # more would not fit, and intervals are wider by far


def key_figures(
    ranking: MetricTable,
    differences: MetricTable,
    hubness: Mapping[str, Numbers],
    training: pd.DataFrame,
) -> dict[str, float | int]:
    """Choose ten figures of the catalogue.

    Parameters
    ----------
    ranking, differences, hubness
        The content of `reports/ranking.json`, `differences.json` and `hubness.json`.
    training
        `reports/training.csv`, a row for each epoch; no row where no network was trained.

    Returns
    -------
    `ndcg` (NDCG@10) with its interval, `mrr`, `recall` (recall@10), `hub` (share of the lists that
    hold the most recommended artist), `lead` (of NDCG@10 over the best baseline, paired) with its
    interval, and `epochs` (of the chosen weights; 0 without a network).
    """
    ours, lead = ranking[CATALOGUE], differences[best_baseline(ranking)][HEADLINE]
    figures = {
        "ndcg": ours[HEADLINE]["value"],
        "ndcg_low": ours[HEADLINE]["low"],
        "ndcg_high": ours[HEADLINE]["high"],
        "mrr": ours["mrr"]["value"],
        "recall": ours["recall@10"]["value"],
        "hub": hubness[CATALOGUE]["largest_hub"],
        "lead": lead["value"],
        "lead_low": lead["low"],
        "lead_high": lead["high"],
    }
    epochs = int(training.loc[training["chosen"] == 1, "epoch"].sum())
    return {name: round(value, DIGITS) for name, value in figures.items()} | {"epochs": epochs}


def best_baseline(ranking: MetricTable) -> str:
    """Name the baseline with the best NDCG@10, of all systems but our own and chance; "": none.

    Examples
    --------
    >>> systems = {"catalogue": 0.9, "siamese": 0.8, "chance": 0.4, "l2": 0.5, "popularity": 0.6}
    >>> best_baseline({name: {"ndcg@10": {"value": value}} for name, value in systems.items()})
    'popularity'
    """
    baselines = [name for name in ranking if name not in (CATALOGUE, SIAMESE, CHANCE)]
    return max(baselines, key=lambda name: ranking[name][HEADLINE]["value"], default="")
