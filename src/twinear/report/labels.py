"""Names in figures: which can be drawn, how long they may be, and where they do not overlap.

Figures use the font that comes with matplotlib, so that they are the same on every machine. A name
that it cannot draw is shown as a number, which the report explains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import findfont, get_font
from matplotlib.patheffects import withStroke

from twinear.metrics.ranking_metrics import Floats

FONT = "DejaVu Sans"
MAX_CHARACTERS = 24  # longer names end in an ellipsis


@dataclass(frozen=True, kw_only=True)
class FigureNames:
    """Names as figures show them."""

    shown: dict[str, str]  # the text for each name
    numbered: dict[str, str]  # the names shown as numbers, with their text


def figure_names(names: Iterable[str]) -> FigureNames:
    """Give each name the text that figures show for it."""
    unique = sorted(set(names))
    missing = [name for name in unique if not drawable(name)]
    numbered = {name: f"№ {number}" for number, name in enumerate(missing, start=1)}
    shown = {name: numbered.get(name, shortened(name)) for name in unique}
    return FigureNames(shown=shown, numbered=numbered)


def drawable(name: str) -> bool:
    """Whether the figures' font has every character of `name`."""
    font = get_font(findfont(FONT, fallback_to_default=False))
    return bool(name.strip()) and all(
        character.isprintable() and font.get_char_index(ord(character)) for character in name
    )


def shortened(name: str) -> str:
    """Cut a name to `MAX_CHARACTERS`.

    Examples
    --------
    >>> shortened("Godspeed You! Black Emperor")
    'Godspeed You! Black Emp…'
    """
    return name if len(name) <= MAX_CHARACTERS else name[: MAX_CHARACTERS - 1].rstrip() + "…"


def place_labels(axes: Axes, points: Floats, texts: Sequence[str], size: float) -> int:
    """Write `texts` beside the first of `points`; leave out labels that would overlap others.

    Labels are placed greedily in order, each in the first free position around its point. `axes`
    has its final limits and size; `points`, (points, 2), are in data coordinates. Returns the
    number of labels placed.
    """
    pixels = axes.transData.transform(points)
    taken = np.concatenate([pixels - 6, pixels + 6], axis=1)[: len(texts)]
    frame = np.asarray(axes.get_window_extent().extents)
    halo = [withStroke(linewidth=2, foreground="white")]
    placed = 0
    for index, text in enumerate(texts):
        label = axes.text(0, 0, text, fontsize=size, va="bottom", ha="left", path_effects=halo)
        label.set_parse_math(False)  # a name may hold a dollar sign
        extent = label.get_window_extent()
        box = _free_box(pixels[index], np.array([extent.width, extent.height]), taken, frame)
        if box is None:
            label.remove()
            continue
        label.set_position(tuple(axes.transData.inverted().transform(box[:2])))
        taken = np.vstack([taken, box])
        placed += 1
    return placed


def _free_box(point: Floats, extent: Floats, taken: Floats, frame: Floats) -> Floats | None:
    """Find the first box around `point` that overlaps no other: (left, bottom, right, top)."""
    for gap in (7, 11, 16):
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            centre = point + np.array([x, y]) * (extent / 2 + gap * (1 if not x or not y else 0.7))
            box = np.concatenate([centre - extent / 2, centre + extent / 2])
            inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
            apart = (taken[:, :2] >= box[2:]) | (taken[:, 2:] <= box[:2])
            if inside and apart.any(axis=1).all():
                return box
    return None
