"""Which figures the report holds, each drawn from the evidence."""

from collections.abc import Mapping
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from twinear.base.files import replacing
from twinear.ranking.ranking import CHANCE
from twinear.report.figures import (
    draw_filters,
    draw_heat_maps,
    draw_map,
    draw_reliability,
    draw_systems,
    draw_training,
    save,
    style,
)
from twinear.report.inputs import MODEL, Evidence, Filters
from twinear.report.labels import FigureNames, figure_names
from twinear.report.ordering import closeness, clustered_order, positions
from twinear.report.reliability import reliability
from twinear.report.tables import ordered
from twinear.report.wording import HEADLINE, metric_name, system_name

MOST_ARTISTS = 1000  # in a heat map or on the map
PLACES = ("test", "validation", "no listens", "train")  # in the order they are kept and labelled


def chosen_epoch(training: pd.DataFrame) -> int:
    """The epoch whose weights were kept."""
    return int(training.loc[training["chosen"] == 1, "epoch"].item())


def names_in_figures(evidence: Evidence) -> FigureNames:
    """How figures show the artists' names."""
    return figure_names(evidence.catalogue.artists["name"])


def write_figures(evidence: Evidence, folder: Path) -> None:
    """Draw all figures and put them in `folder`, whole or not at all."""
    with replacing(folder) as temporary, style():
        temporary.mkdir()
        for name, figure in _draw(evidence).items():
            save(figure, temporary / f"{name}.png")


def artists_on_map(evidence: Evidence) -> pd.DataFrame:
    """List the catalogue's artists that the map shows, those to be labelled first on top.

    Returns
    -------
    Columns `row` (in the catalogue), `name`, `place` (one of `PLACES`); at most `MOST_ARTISTS`.
    """
    listened = list(evidence.similarity.artists["artist"])
    split = evidence.split.artists.set_index("artist")["split"]
    artists = evidence.catalogue.artists
    table = pd.DataFrame(
        {
            "row": np.arange(len(artists)),
            "name": artists["name"],
            "place": artists["artist"].map(split).fillna("no listens"),
            "rank": pd.Index(listened).get_indexer(pd.Index(artists["artist"]))
            % (len(listened) + 1),
        }
    )
    table["first"] = table["place"].map(PLACES.index)
    return table.sort_values(["first", "rank"], kind="stable").head(MOST_ARTISTS)


def _draw(evidence: Evidence) -> Mapping[str, Figure]:
    figures = {
        "ranking": _systems(evidence),
        "training": draw_training(evidence.training, chosen_epoch(evidence.training)),
        "reliability": draw_reliability(reliability_of(evidence)),
        "heatmap_test": _test_heat_maps(evidence),
        "heatmap": _heat_maps(evidence),
        "map": _map(evidence),
    }
    if evidence.filters is not None:
        figures["filters"] = _filters(evidence.filters)
    return figures


def reliability_of(evidence: Evidence) -> pd.DataFrame:
    """The bins of the model's scores of the test artists."""
    return reliability(evidence.test.scores[MODEL], evidence.test.truth)


def _systems(evidence: Evidence) -> Figure:
    rows = [
        (system_name(system), evidence.ranking[system][HEADLINE])
        for system in ordered(evidence.ranking)
        if system != CHANCE
    ]
    return draw_systems(rows, evidence.ranking[CHANCE][HEADLINE], metric_name(HEADLINE))


def _test_heat_maps(evidence: Evidence) -> Figure:
    shown = names_in_figures(evidence).shown
    names = [shown[each] for each in evidence.test.artists["name"]]
    return _clustered(evidence.test.truth, evidence.test.scores[MODEL], names)


def _heat_maps(evidence: Evidence) -> Figure:
    """Draw the most listened artists that have both listens and clips."""
    catalogue = pd.Index(evidence.catalogue.artists["artist"])
    rows = catalogue.get_indexer(pd.Index(evidence.similarity.artists["artist"]))
    inside = np.flatnonzero(rows >= 0)[:MOST_ARTISTS]
    truth = evidence.similarity.matrix[np.ix_(inside, inside)]
    return _clustered(truth, evidence.catalogue.scores[np.ix_(rows[inside], rows[inside])], [])


def _clustered(
    truth: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], names: list[str]
) -> Figure:
    order = clustered_order(truth)
    square = np.ix_(order, order)
    in_order = [names[each] for each in order] if names else []
    return draw_heat_maps(closeness(truth)[square], closeness(scores)[square], in_order)


def _map(evidence: Evidence) -> Figure:
    table = artists_on_map(evidence)
    shown = names_in_figures(evidence).shown
    rows = table["row"].to_numpy(dtype=np.int64)
    points = positions(evidence.catalogue.scores[np.ix_(rows, rows)])
    return draw_map(points, list(table["place"]), [shown[each] for each in table["name"]])


def _filters(filters: Filters) -> Figure:
    front = filters.spectrograms
    n_mels = filters.weights.shape[1]
    hz = librosa.mel_frequencies(n_mels + 2, fmin=front["fmin"], fmax=front["fmax"])[1:-1]
    return draw_filters(filters.weights, hz)
