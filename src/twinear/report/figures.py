"""The figures: arrays in, matplotlib figures out; equal numbers give equal bytes.

Colours are those of Okabe and Ito (2008) and of colour maps that are safe for the colour-blind.
pyplot is not used, because it keeps figures in a global state.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from twinear.metrics.bootstrap import Interval
from twinear.ranking.summary import Numbers
from twinear.report.labels import FONT, place_labels
from twinear.report.wording import number

Floats = npt.NDArray[np.floating[Any]]

BLUE, ORANGE, GREY, PALE, INK = "#0072B2", "#D55E00", "#8C8C8C", "#E3E3E3", "#222222"
SPLITS = {  # colour, marker, size
    "train": (GREY, "o", 14),
    "validation": ("#E69F00", "s", 22),
    "test": (BLUE, "^", 36),
    "no listens": ("#CC79A7", "D", 20),
}
DPI = 120
STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": [FONT],
    "font.size": 9,
    "legend.frameon": False,
    "text.color": INK,
}
MAX_NAMED = 60  # artists whose names fit beside a heat map
MAX_NAMES_ON_MAP = 80
MAX_ROWS = 250  # of a heat map; larger ones are averaged over blocks


def style() -> AbstractContextManager[None]:
    """Use matplotlib's defaults with ours on top, whatever the settings of the machine."""
    return matplotlib.rc_context(dict(matplotlib.rcParamsDefault) | STYLE)  # type: ignore[arg-type]


def save(figure: Figure, path: Path | IO[bytes]) -> None:
    """Write a PNG without date and version, so that equal figures are equal files."""
    extra: dict[str, Any] = {"metadata": {"Software": None}, "pil_kwargs": {"optimize": True}}
    figure.savefig(path, format="png", dpi=DPI, **extra)


def draw_systems(systems: Sequence[tuple[str, Interval]], chance: Interval, metric: str) -> Figure:
    """Draw a dot and an interval for each system, over the band of chance."""
    figure = _figure(7.5, 1.1 + 0.36 * len(systems))
    axes = figure.subplots()
    axes.axvspan(chance.low, chance.high, color=PALE, lw=0)
    axes.vlines(chance.value, -0.75, len(systems) - 0.5, color=GREY, lw=1)
    text: dict[str, Any] = {"ha": "center", "fontsize": 8.5}
    axes.text(chance.value, -0.98, "chance", color="#444444", va="center", **text)
    for row, (_, at) in enumerate(systems):
        colour, place = BLUE if row == 0 else INK, (at.value, row)
        axes.plot([at.low, at.high], [row, row], color=colour, lw=2, solid_capstyle="butt")
        axes.plot(at.value, row, "o", color=colour, ms=7)
        label = number(at.value)
        axes.annotate(label, place, (0, 6), textcoords="offset points", color=colour, **text)
    axes.set_yticks(range(len(systems)), [name for name, _ in systems])
    axes.set_ylim(len(systems) - 0.5, -1.1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(metric)
    return figure


def draw_listeners(
    curve: Sequence[tuple[int, Numbers]],
    systems: Sequence[tuple[str, Numbers, Numbers]],
    metric: str,
) -> Figure:
    """Draw how well numbers of listeners rank, with every system where it meets the curve.

    `curve` holds numbers of listeners and their NDCG, the last is the ceiling; `systems` are names,
    listeners and NDCG, the first is drawn as ours.
    """
    figure = _figure(7.5, 4.6)
    axes = figure.subplots()
    numbers = [n for n, _ in curve]
    low, value, high = ([at[part] for _, at in curve] for part in ("low", "value", "high"))
    axes.fill_between(numbers, low, high, color=PALE, lw=0)
    axes.plot(numbers, value, color=GREY, lw=1.8)
    axes.axhline(value[-1], color=ORANGE, lw=1, ls="--")
    text: dict[str, Any] = {"fontsize": 8.5, "va": "bottom"}
    axes.text(numbers[0], value[-1], f"ceiling {number(value[-1])}", color=ORANGE, **text)
    axes.set_xscale("log")
    axes.set_xlim(numbers[0] * 0.85, numbers[-1] * 1.3)
    axes.set_ylim(0, max(max(high), *(at["value"] for _, _, at in systems)) * 1.08)
    axes.xaxis.set_major_formatter(lambda each, _: f"{each:,.0f}")
    axes.set_xlabel("listeners that rank by what they listen to together")
    axes.set_ylabel(f"{metric}, judged by other listeners")
    points = []
    for row, (_, listeners, ndcg) in enumerate(systems):
        drawn: dict[str, Any] = {"color": BLUE if row == 0 else INK, "zorder": 3 + (row == 0)}
        ends = [listeners["low"], listeners["high"]]
        axes.plot(ends, [ndcg["value"]] * 2, lw=1.2, alpha=0.35, **drawn)
        axes.plot(listeners["value"], ndcg["value"], "o", ms=6, **drawn)
        points.append((listeners["value"], ndcg["value"]))
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    names = [f"{name} ({at['value']:,.0f})" for name, at, _ in systems]
    place_labels(axes, np.array(points), names, size=8.5)
    return figure


def draw_training(training: pd.DataFrame, chosen: int) -> Figure:
    """Draw loss and validation NDCG by epoch, the chosen epoch marked."""
    figure = _figure(9, 3.1)
    loss, ndcg = figure.subplots(1, 2)
    epochs = training["epoch"]
    loss.plot(epochs, training["train_loss"], color=GREY, lw=1.8, label="training")
    loss.plot(epochs, training["validation_loss"], color=BLUE, lw=1.8, label="validation")
    loss.set_title("Loss")
    loss.set_ylim(bottom=0)
    loss.legend()
    ndcg.plot(epochs, training["validation_ndcg"], color=BLUE, lw=1.8)
    best = training.loc[epochs == chosen, "validation_ndcg"].iloc[0]
    ndcg.plot(chosen, best, "o", color=ORANGE, ms=8)
    ndcg.set_title(f"Validation NDCG: {number(best)} at the chosen epoch, {chosen}")
    for axes in (loss, ndcg):
        axes.axvline(chosen, color=ORANGE, lw=1, ls="--")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.03)
    return figure


def draw_heat_maps(truth: Floats, scores: Floats, names: Sequence[str]) -> Figure:
    """Draw similarity from listens and scores of the same artists in the same order.

    Both are (artists, artists), closeness in [0, 1]; more than `MAX_NAMED` names are not shown.
    """
    named = len(names) <= MAX_NAMED
    side = max(3.9, 0.088 * len(names)) if named else 4.0
    figure = _figure(2 * side + (2.2 if named else 1), side + 0.8)
    left, right = figure.subplots(1, 2)
    image = _heat(left, truth, "Similarity from listens")
    _heat(right, scores, "Score of the catalogue")
    if named:
        left.set_yticks(range(len(names)), names, fontsize=8.5 if len(names) <= 30 else 6.5)
        for label in left.get_yticklabels():
            label.set_parse_math(False)
    bar = figure.colorbar(image, ax=[left, right], shrink=0.8, aspect=30, pad=0.015)
    bar.set_label("share of pairs with a lower value")
    bar.outline.set_visible(False)
    return figure


def draw_reliability(bins: pd.DataFrame) -> Figure:
    """Draw mean similarity against mean score, and the number of pairs of each point."""
    figure = _figure(5.2, 5.2)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    axes.annotate("similarity = score", (0.66, 0.7), ha="right", va="bottom", color=GREY)
    axes.plot(bins["score"], bins["similarity"], "o-", color=BLUE, lw=1.4, ms=6)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel("mean similarity from listens")
    counts.bar(bins["score"], bins["pairs"], width=0.06, color=GREY)
    counts.set_ylabel("pairs")
    counts.set_xlabel("score of the catalogue")
    return figure


def draw_filters(weights: Floats, hz: Floats) -> Figure:
    """Draw the first layer's filters, ordered by centre frequency.

    `weights` are (channels, n_mels, kernel_size), `hz`, (n_mels,), is the frequency of each band.
    """
    bands = np.array([0, len(hz) // 3, 2 * len(hz) // 3, len(hz) - 1])
    filters = np.asarray(weights, dtype=np.float64)
    energy = (filters**2).sum(axis=2)  # (channels, n_mels)
    centres = energy @ np.arange(len(hz)) / np.maximum(energy.sum(axis=1), 1e-30)
    n_filters, _, width = filters.shape
    rows = -(-n_filters * (width + 1) // 180)  # about 180 cells wide
    columns = -(-n_filters // rows)
    # side by side in each row, NaN between: (rows, n_mels, columns * (kernel_size + 1) - 1)
    padding = ((0, rows * columns - n_filters), (0, 0), (0, 1))
    ordered = filters[np.argsort(centres, kind="stable")]
    padded = np.pad(ordered, padding, constant_values=np.nan).reshape(rows, columns, len(hz), -1)
    strips = padded.transpose(0, 2, 1, 3).reshape(rows, len(hz), -1)[:, :, :-1]
    figure = _figure(9, 0.4 + 1.4 * rows)
    panels = figure.subplots(rows, 1, squeeze=False)[:, 0]
    limit = float(np.percentile(np.abs(weights), 99.5)) or 1.0
    image_style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
    for axes, strip in zip(panels, strips, strict=True):
        image = axes.imshow(strip, aspect="auto", origin="lower", **image_style)
        axes.set_xticks([])
        axes.set_yticks(bands, [f"{band:,.0f}" for band in hz[bands]], fontsize=8)
        axes.spines[:].set_visible(False)
    figure.supylabel("mel bands, Hz", fontsize=9)
    bar = figure.colorbar(image, ax=list(panels), aspect=15 * rows, pad=0.012)
    bar.set_label("weight")
    bar.outline.set_visible(False)
    return figure


def draw_map(points: Floats, splits: Sequence[str], names: Sequence[str]) -> Figure:
    """Draw artists on a plane, (artists, 2); of the names the first `MAX_NAMES_ON_MAP` at most."""
    figure = _figure(9, 7.6)
    axes = figure.subplots()
    FigureCanvasAgg(figure)
    for split, (colour, marker, size) in SPLITS.items():
        inside = np.asarray(splits) == split
        label = f"{split} ({inside.sum()})"
        if inside.any():
            x, y = points[inside].T
            axes.scatter(x, y, s=size, c=colour, marker=marker, lw=0, label=label)
    axes.margins(0.06)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(PALE)
    axes.spines[:].set_visible(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    place_labels(axes, np.asarray(points, dtype=np.float64), names[:MAX_NAMES_ON_MAP], size=8)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="compressed")


def _heat(axes: Axes, values: Floats, title: str) -> AxesImage:
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes.imshow(_coarse(values), cmap="viridis", vmin=0, vmax=1, interpolation="nearest")


def _coarse(values: Floats) -> Floats:
    """Average over square blocks so that at most `MAX_ROWS` rows remain."""
    block = -(-len(values) // MAX_ROWS)
    edges = np.arange(0, len(values), block)
    sums = np.add.reduceat(np.add.reduceat(values, edges, axis=0), edges, axis=1)
    sizes = np.diff([*edges, len(values)])
    return np.asarray(sums / np.outer(sizes, sizes))
