"""The figures of a study: pictures for a report, and one page to explore, which needs no network.

History: every trial, and the best so far. Importances: the share of the variance of the value that
each param explains among the completed trials (fANOVA; Hutter et al., 2014). Parallel coordinates:
a line for each trial, through its values to its NDCG.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twinear.base.files import replacing, write_text
from twinear.report.figures import BLUE, DPI, GREY, INK, ORANGE, style
from twinear.tuning.space import SECTION, Choices, NumberRange, Space
from twinear.tuning.study import Study, Trial

MIN_TRIALS = 3  # completed ones, for importances and parallel coordinates to mean anything
LABEL = "NDCG@10 of validation artists"
PICTURES = ("history", "importances", "parallel")
PAGE = "study.html"


def importances(study: Study, seed: int) -> dict[str, float]:
    """Compute the share of each param, greatest first; empty where too few trials differ."""
    values = [trial.value for trial in study.ended if trial.state == "complete"]
    if len(values) < MIN_TRIALS or len(set(values)) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    shares = optuna.importance.get_param_importances(study.optuna_study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def draw_figures(
    trials: Sequence[Trial], space: Space, shares: Mapping[str, float], folder: Path
) -> list[Path]:
    """Draw what these trials allow; pictures of an earlier search are removed."""
    complete = [trial for trial in trials if trial.state == "complete"]
    figures: dict[str, Callable[[], Figure]] = {"history": lambda: draw_history(trials)}
    if shares:
        figures["importances"] = lambda: draw_importances(shares)
    if len(complete) >= MIN_TRIALS:
        figures["parallel"] = lambda: draw_parallel(complete, space)
    for name in PICTURES:
        path = folder / f"{name}.png"
        if name not in figures:
            path.unlink(missing_ok=True)
            continue
        with style(), replacing(path) as temporary:
            figure = figures[name]()
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    return [folder / f"{name}.png" for name in figures]


def draw_history(trials: Sequence[Trial]) -> Figure:
    """Draw the value of each trial, in order, and the best so far."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    numbers = {
        state: [trial.number for trial in trials if trial.state == state]
        for state in ("complete", "pruned", "failed")
    }
    values = {trial.number: trial.value or 0.0 for trial in trials}
    looks = {"complete": (BLUE, "o", "completed"), "pruned": (GREY, "v", "pruned")}
    for state, (colour, marker, label) in looks.items():
        if at := numbers[state]:
            axes.scatter(at, [values[n] for n in at], c=colour, marker=marker, s=26, label=label)
    if complete := numbers["complete"]:
        best = np.maximum.accumulate(np.array([values[n] for n in complete], dtype=np.float64))
        axes.step(complete, best, where="post", color=ORANGE, lw=1.5, label="best so far")
    for number in numbers["failed"]:
        axes.axvline(number, color=INK, lw=0.8, ls=":", zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    n_failed = len(numbers["failed"])
    axes.set_xlabel("trial" + (f" (dotted: {n_failed} failed)" if n_failed else ""))
    axes.set_ylabel(LABEL)
    axes.legend(loc="lower right", ncols=3, bbox_to_anchor=(1, 1))
    return figure


def draw_importances(shares: Mapping[str, float]) -> Figure:
    """Draw a bar for each param, greatest first."""
    figure = Figure(figsize=(7.5, 1.2 + 0.36 * len(shares)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh([_short(name) for name in shares], list(shares.values()), color=BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for share in shares.values()], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("share of the variance of NDCG@10 among completed trials")
    return figure


def draw_parallel(trials: Sequence[Trial], space: Space) -> Figure:
    """Draw a line for each trial through one axis per param to its value; the best in orange."""
    values = np.array([trial.value for trial in trials], dtype=np.float64)
    low, high = values.min(), values.max()
    columns = [
        [_position(choices, trial.values[name]) for trial in trials]
        for name, choices in space.items()
    ]
    columns.append(list((values - low) / (high - low if high > low else 1)))
    positions = np.array(columns).T  # (trials, params + 1), 0 to 1
    figure = Figure(figsize=(max(7.5, 1.7 * len(columns)), 3.9), layout="constrained")
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["viridis_r"]
    for row in np.argsort(values):
        if row == values.argmax():
            axes.plot(positions[row], color=ORANGE, lw=2.4)
        else:
            axes.plot(positions[row], color=colours(positions[row, -1]), lw=1, alpha=0.75)
    labels = [*map(_tick_labels, space.values()), {0.0: f"{low:.3f}", 1.0: f"{high:.3f}"}]
    for at, ticks in enumerate(labels):
        axes.axvline(at, color=INK, lw=0.8)
        for height, text in ticks.items():
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
            axes.text(at + 0.03, height, text, ha="left", va="center", fontsize=8, bbox=box)
    axes.set_xticks(range(len(labels)), [*map(_short, space), "NDCG@10"])
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlim(-0.1, len(labels) - 1 + 0.35)
    axes.set_title(f"{len(trials)} completed trials; orange: the best", loc="left")
    return figure


def _position(values: Choices | NumberRange, value: Any) -> float:
    """Where a value is on its axis, 0 to 1."""
    if isinstance(values, Choices):
        return values.values.index(value) / max(1, len(values.values) - 1)
    ends = np.array([values.low, values.high, value], dtype=np.float64)
    low, high, at = np.log(ends) if values.log else ends
    return float((at - low) / (high - low)) if high > low else 0.0


def _tick_labels(values: Choices | NumberRange) -> dict[float, str]:
    if isinstance(values, NumberRange):
        return {0.0: f"{values.low:g}", 1.0: f"{values.high:g}"}
    return {_position(values, value): _text(value) for value in values.values}


def _text(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _short(name: str) -> str:
    return name.removeprefix(f"{SECTION}.")


def write_page(study: Study, shares: Mapping[str, float], path: Path) -> None:
    """Write the same figures as one interactive page: zoom, hover, select on an axis."""
    import plotly.graph_objects as go  # is slow to import
    from optuna import visualization

    plots = [visualization.plot_optimization_history(study.optuna_study)]
    if shares:
        bars = go.Bar(x=list(shares.values()), y=list(shares), orientation="h")
        plots.append(
            go.Figure(bars, layout={"title": "Importances", "yaxis": {"autorange": "reversed"}})
        )
        plots.append(visualization.plot_parallel_coordinate(study.optuna_study))
    parts = [plot.to_html(full_html=False, include_plotlyjs=plot is plots[0]) for plot in plots]
    title = html.escape(study.name)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    write_text(path, page + "\n".join(parts) + "</html>")
