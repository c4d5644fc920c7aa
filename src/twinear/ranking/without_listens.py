"""The ranking without listens: there is no truth to rank by, and only hubs can be counted."""

import numpy as np
import pandas as pd

from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.encoded import evenly_spaced
from twinear.metrics.hubness import K
from twinear.ranking.ranking import CATALOGUE, SIAMESE, Ranking, RankingParams
from twinear.ranking.summary import Numbers, measure_hubness

MOST = 1000  # artists whose hubs are counted; of more, evenly spaced ones


def rank_nothing() -> Ranking:
    """Give the ranking of no test artists."""
    nothing = np.empty((0, 0))
    text = {name: pd.Series(dtype=str) for name in ("query", "system", "metric")}
    return Ranking(
        artists=pd.DataFrame({name: pd.Series(dtype=str) for name in ("artist", "name")}),
        truth=nothing,
        scores={CATALOGUE: nothing, SIAMESE: nothing},
        queries=pd.DataFrame(text | {"value": pd.Series(dtype=np.float64)}),
        candidates="fold",
    )


def hubness_of_catalogue(catalogue: Catalogue, params: RankingParams) -> dict[str, Numbers]:
    """Measure the hubness of the catalogue and of its scorer.

    The result is empty with so few artists that every list holds all others.
    """
    rows = evenly_spaced(np.arange(len(catalogue)), MOST)
    if len(rows) <= K + 1:
        return {}
    scores = {
        CATALOGUE: catalogue.scores(rows, rows),
        SIAMESE: catalogue.siamese(rows, rows).astype(np.float64),
    }
    return measure_hubness(scores, params)
