"""The figures of the report, drawn from its inputs."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twinear.base.files import replacing
from twinear.ranking.listener_results import ListenerEquivalents
from twinear.ranking.ranking import CATALOGUE, CHANCE, HEADLINE
from twinear.report.figures import (
    Floats,
    draw_filters,
    draw_heat_maps,
    draw_listeners,
    draw_map,
    draw_reliability,
    draw_systems,
    draw_training,
    save,
    style,
)
from twinear.report.inputs import ReportInputs
from twinear.report.labels import FigureNames, figure_names
from twinear.report.ordering import closeness, clustered_order, positions
from twinear.report.reliability import reliability
from twinear.report.tables import ordered
from twinear.report.wording import metric_name, system_name
from twinear.similarity.similarity import dense
from twinear.spectrograms.front_end import mel_frequencies

MAX_ARTISTS = 1000  # in a heat map or on the map
SPLITS = ("test", "validation", "no listens", "train")  # in the order they are chosen and labelled


def chosen_epoch(training: pd.DataFrame) -> int:
    """The epoch whose weights were kept."""
    return int(training.loc[training["chosen"] == 1, "epoch"].item())


def names_in_figures(inputs: ReportInputs) -> FigureNames:
    """How figures show the artists' names."""
    return figure_names(pd.Series([artist.name for artist in inputs.catalogue.artists]))


def reliability_of_catalogue(inputs: ReportInputs) -> pd.DataFrame:
    """The bins of the catalogue's scores of the test artists."""
    return reliability(inputs.test.scores[CATALOGUE], inputs.test.truth)


def write_figures(inputs: ReportInputs, folder: Path) -> None:
    """Draw all figures and put them in `folder`, whole or not at all."""
    with replacing(folder) as temporary, style():
        temporary.mkdir()
        for name, figure in _draw(inputs).items():
            save(figure, temporary / f"{name}.png")


def _draw(inputs: ReportInputs) -> dict[str, Figure]:
    systems = [
        (system_name(system), inputs.ranking[system][HEADLINE])
        for system in ordered(inputs.ranking)
        if system != CHANCE
    ]
    shown = names_in_figures(inputs).shown
    test_names = [shown[name] for name in inputs.test.artists["name"]]
    similarity, scores = most_listened(inputs)
    on_map = artists_on_map(inputs)
    rows = on_map["row"].to_numpy(dtype=np.int64)
    figures = {
        "ranking": draw_systems(systems, inputs.ranking[CHANCE][HEADLINE], metric_name(HEADLINE)),
        "reliability": draw_reliability(reliability_of_catalogue(inputs)),
        "heatmap_test": _heat_maps(inputs.test.truth, inputs.test.scores[CATALOGUE], test_names),
        "heatmap": _heat_maps(similarity, scores, []),
        "map": draw_map(
            positions(inputs.catalogue.scores(rows, rows).astype(np.float32)),
            list(on_map["split"]),
            [shown[name] for name in on_map["name"]],
        ),
    }
    if len(inputs.training):
        figures["training"] = draw_training(inputs.training, chosen_epoch(inputs.training))
    if inputs.listeners is not None:
        figures["listeners"] = draw_worth(inputs.listeners)
    if inputs.filters is not None:
        front, weights = inputs.filters.spectrograms, inputs.filters.weights
        edges = weights.shape[1] + 2
        hz = mel_frequencies(edges, front["fmin"], front["fmax"])[1:-1]
        figures["filters"] = draw_filters(weights, hz)
    return figures


def artists_on_map(inputs: ReportInputs) -> pd.DataFrame:
    """List the catalogue's artists that the map shows, in the order they are labelled.

    Columns `row` (in the catalogue), `name`, `split` (one of `SPLITS`); at most `MAX_ARTISTS`.
    """
    by_listeners = pd.Index(inputs.similarity.artists["artist"])
    split = inputs.split.artists.set_index("artist")["split"]
    artists = list(inputs.catalogue.artists)
    ids = pd.Series([artist.artist for artist in artists])
    table = pd.DataFrame(
        {
            "row": np.arange(len(artists)),
            "name": [artist.name for artist in artists],
            "split": ids.map(split).fillna("no listens"),
            # -1 (no listens) becomes the last rank
            "rank": by_listeners.get_indexer(pd.Index(ids)) % (len(by_listeners) + 1),
        }
    )
    table["first"] = table["split"].map(SPLITS.index)
    return table.sort_values(["first", "rank"], kind="stable").head(MAX_ARTISTS)


def most_listened(inputs: ReportInputs) -> tuple[Floats, Floats]:
    """Select similarity and scores of the most listened artists with both listens and clips."""
    ids = pd.Index([artist.artist for artist in inputs.catalogue.artists])
    found = ids.get_indexer(pd.Index(inputs.similarity.artists["artist"]))
    inside = np.flatnonzero(found >= 0)[:MAX_ARTISTS]
    rows = found[inside]
    truth = dense(inputs.similarity.matrix[inside][:, inside])
    return truth, inputs.catalogue.scores(rows, rows)


def draw_worth(worth: ListenerEquivalents) -> Figure:
    """Draw the curve of `worth` and the systems on it, under their names."""
    systems = [
        (system_name(system), worth.systems[system].listeners, worth.systems[system].ndcg)
        for system in ordered(worth.systems)
    ]
    curve = [(point.listeners, point.ndcg) for point in worth.curve]
    return draw_listeners(curve, systems, metric_name(HEADLINE))


def write_worth(worth: ListenerEquivalents, path: Path) -> None:
    """Draw the curve of `worth` and the systems on it to a PNG."""
    with replacing(path) as temporary, style(), temporary.open("wb") as file:
        save(draw_worth(worth), file)


def _heat_maps(truth: Floats, scores: Floats, names: list[str]) -> Figure:
    order = clustered_order(truth)
    square = np.ix_(order, order)
    in_order = [names[row] for row in order] if names else []
    return draw_heat_maps(closeness(truth)[square], closeness(scores)[square], in_order)
