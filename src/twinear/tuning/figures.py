"""The figures of a study: pictures for a report, and one page to explore, which needs no network.

History: every trial and the best so far. Importances: the share of the variance of the value that
each param explains among the trials that were completed (fANOVA; Hutter et al., 2014). Parallel
coordinates: a line a trial, through its values to what it is worth.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twinear.base.files import replacing
from twinear.report.figures import BLUE, DPI, GREY, INK, ORANGE, style
from twinear.tuning.space import SECTION, Choices, Range, Space
from twinear.tuning.study import Study, Trial

LEAST = 3  # completed trials, for importances and parallel coordinates to say anything
LABEL = "NDCG@10 of validation artists"
PICTURES = ("history", "importances", "parallel")
PAGE = "study.html"


def importances(study: Study, seed: int) -> dict[str, float]:
    """The share of each param, greatest first; empty where too few trials tell anything."""
    values = [each.value for each in study.ended if each.state == "complete"]
    if len(values) < LEAST or len(set(values)) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found = optuna.importance.get_param_importances(study.inner, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def draw_figures(
    trials: Sequence[Trial], space: Space, shares: Mapping[str, float], folder: Path
) -> list[Path]:
    """Draw what can be drawn of these trials; those of an earlier search go."""
    complete = [each for each in trials if each.state == "complete"]
    drawn: dict[str, Callable[[], Figure]] = {"history": lambda: draw_history(trials)}
    if shares:
        drawn["importances"] = lambda: draw_importances(shares)
    if len(complete) >= LEAST:
        drawn["parallel"] = lambda: draw_parallel(complete, space)
    for name in PICTURES:
        path = folder / f"{name}.png"
        if name not in drawn:
            path.unlink(missing_ok=True)
            continue
        with style(), replacing(path) as temporary:
            draw = drawn[name]
            draw().savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    return [folder / f"{name}.png" for name in drawn]


def draw_history(trials: Sequence[Trial]) -> Figure:
    """Draw what each trial is worth, in order, and the best so far."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    looks = {"complete": (BLUE, "o", "completed"), "pruned": (GREY, "v", "pruned")}
    for state, (colour, marker, label) in looks.items():
        of = [(each.number, each.value) for each in trials if each.state == state]
        if of:
            numbers, worth = zip(*of, strict=True)
            axes.scatter(numbers, worth, c=colour, marker=marker, s=26, label=label)
    complete = [(each.number, each.value) for each in trials if each.state == "complete"]
    if complete:
        at, values = np.array(complete, dtype=np.float64).T
        best = np.maximum.accumulate(values)
        axes.step(at, best, where="post", color=ORANGE, lw=1.5, label="best so far")
    for each in trials:
        if each.state == "failed":
            axes.axvline(each.number, color=INK, lw=0.8, ls=":", zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial" + _failed(trials))
    axes.set_ylabel(LABEL)
    axes.legend(loc="lower right", ncols=3, bbox_to_anchor=(1, 1))
    return figure


def _failed(trials: Sequence[Trial]) -> str:
    count = sum(each.state == "failed" for each in trials)
    return f" (dotted: {count} failed)" if count else ""


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
    """Draw a line a trial through an axis a param to its value; the best in full colour."""
    values = np.array([each.value for each in trials], dtype=np.float64)
    low, high = values.min(), values.max()
    columns = [np.array([_place(space[name], each.values[name]) for each in trials])
               for name in space]  # fmt: skip
    columns.append((values - low) / (high - low if high > low else 1))
    places = np.stack(columns, axis=1)  # (trials, params + 1)
    figure = Figure(figsize=(max(7.5, 1.7 * len(columns)), 3.9), layout="constrained")
    axes = figure.add_subplot()
    scale = matplotlib.colormaps["viridis_r"]
    for row in np.argsort(values):
        best = row == values.argmax()
        look = {"color": ORANGE, "lw": 2.4} if best else {"color": scale(places[row, -1]), "lw": 1}
        axes.plot(places[row], **look, alpha=1 if best else 0.75)
    labels = [_ends(space[name]) for name in space] + [{0.0: f"{low:.3f}", 1.0: f"{high:.3f}"}]
    _draw_axes(axes, [*map(_short, space), "NDCG@10"], labels)
    axes.set_title(f"{len(trials)} completed trials; orange: the best", loc="left")
    return figure


def _draw_axes(axes: Axes, names: Sequence[str], labels: Sequence[Mapping[float, str]]) -> None:
    for at, marks in enumerate(labels):
        axes.axvline(at, color=INK, lw=0.8)
        for height, text in marks.items():
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
            axes.text(at + 0.03, height, text, ha="left", va="center", fontsize=8, bbox=box)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlim(-0.1, len(names) - 1 + 0.35)


def _place(values: Choices | Range, value: Any) -> float:
    """Where on its axis a value stands, 0 to 1."""
    if isinstance(values, Choices):
        return values.values.index(value) / max(1, len(values.values) - 1)
    ends = np.array([values.low, values.high, value], dtype=np.float64)
    low, high, at = np.log(ends) if values.log else ends
    return float((at - low) / (high - low)) if high > low else 0.0


def _ends(values: Choices | Range) -> dict[float, str]:
    if isinstance(values, Choices):
        return {_place(values, each): _text(each) for each in values.values}
    return {0.0: f"{values.low:g}", 1.0: f"{values.high:g}"}


def _text(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _short(name: str) -> str:
    return name.removeprefix(f"{SECTION}.")


def write_page(study: Study, shares: Mapping[str, float], path: Path) -> None:
    """Write the same figures as one page to explore: zoom, hover, choose on an axis."""
    import plotly.graph_objects as go  # takes its time
    from optuna import visualization

    plots = [visualization.plot_optimization_history(study.inner)]
    if shares:
        bars = go.Bar(x=list(shares.values()), y=list(shares), orientation="h")
        plots.append(
            go.Figure(bars, layout={"title": "Importances", "yaxis": {"autorange": "reversed"}})
        )
        plots.append(visualization.plot_parallel_coordinate(study.inner))
    parts = [
        each.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, each in enumerate(plots)
    ]
    title = html.escape(study.name)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    with replacing(path) as temporary:
        temporary.write_text(page + "\n".join(parts) + "</html>\n", encoding="utf-8")
