"""Numbers in words: what a result says, and no more than it says."""

import math
import re
from collections.abc import Mapping, Sequence
from statistics import median

from twinear.metrics.bootstrap import Interval
from twinear.ranking.ranking import CHANCE, CORRECTED_NDCG
from twinear.report.inputs import MODEL, Evidence

HEADLINE = "ndcg@10"
NAMES = {
    MODEL: "siamese network",
    "l2": "L2 of spectrograms",
    "mfcc": "MFCC Gaussians",
    "mfcc_mp": "MFCC Gaussians, mutual proximity",
    "popularity": "popularity",
    CHANCE: "chance",
}
ABOVE, BELOW, OPEN = "above", "below", "not distinguishable from"


def system_name(system: str) -> str:
    """Name a system in tables and sentences."""
    return NAMES.get(system, escape(system.replace("_", " ")))


def metric_name(metric: str) -> str:
    """Name a metric as the literature writes it."""
    if metric == CORRECTED_NDCG:
        return f"{metric_name(HEADLINE)}, corrected for popularity"
    name, at, n = metric.partition("@")
    return (name.upper() if name in ("ndcg", "map", "mrr") else name) + at + n


def number(value: float, decimals: int = 3) -> str:
    """Write some decimals, no leading zero: .612, −.031, 1.000."""
    if math.isnan(value):
        return "n/a"
    text = re.sub(r"^(-?)0\.", r"\1.", f"{value:.{decimals}f}")
    return text.replace("-", "−" if text.strip("-.0") else "")


def signed(value: float) -> str:
    """Write as `number`, with a plus sign where positive."""
    text = number(value)
    return text if text.startswith(("−", "n")) else f"+{text}"


def verdict(difference: Interval) -> str:
    """Say what a paired difference shows: `ABOVE`, `BELOW`, or `OPEN` when its interval holds 0."""
    if difference.low > 0:
        return ABOVE
    return BELOW if difference.high < 0 else OPEN


def verdict_on_chance(ours: Interval, chance: Interval, paired: Interval | None) -> str:
    """Say what a value shows of chance: out of the band of random orders, and so query by query.

    Parameters
    ----------
    chance
        The band that random orders fill.
    paired
        The model minus chance, where that is known: it must say the same.
    """
    found = ABOVE if ours.value > chance.high else BELOW if ours.value < chance.low else OPEN
    return found if paired is None or verdict(paired) == found else OPEN


def answer(evidence: Evidence, confidence: float) -> str:
    """Put the finding in one paragraph of Markdown."""
    ours, chance = (evidence.ranking[each][HEADLINE] for each in (MODEL, CHANCE))
    n, share = len(evidence.test.artists), f"{confidence:.0%}".replace("%", " %")
    return " ".join(
        (
            f"{n} test artists, whom the model never heard in training, each ranked the other "
            f"{n - 1} by sound alone. With {metric_name(HEADLINE)} as the measure (1 is the order "
            f"that the listeners give), the {NAMES[MODEL]} reaches **{number(ours.value)}** "
            f"({share} interval {number(ours.low)} to {number(ours.high)}).",
            _on_chance(ours, chance, evidence.differences.get(CHANCE, {}).get(HEADLINE), share),
            *_on_baselines(evidence.differences),
            f"With {n} test artists {_precision(ours, evidence.differences)}.",
        )
    )


def _on_chance(ours: Interval, chance: Interval, paired: Interval | None, share: str) -> str:
    found = {
        ABOVE: "**It ranks better than chance**",
        BELOW: "**It ranks worse than chance**",
        OPEN: "**It cannot be told from chance**",
    }[verdict_on_chance(ours, chance, paired)]
    return (
        f"{found}: a random order reaches {number(chance.value)}, and {share} of random orders "
        f"lie between {number(chance.low)} and {number(chance.high)}"
        + (f" (query by query: {_difference(paired)})." if paired else ".")
    )


def _on_baselines(differences: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """One sentence for each verdict that some baseline meets."""
    sentences = []
    for wanted in (ABOVE, OPEN, BELOW):
        found = [
            f"{system_name(name)} ({_difference(metrics[HEADLINE])})"
            for name, metrics in differences.items()
            if name != CHANCE and verdict(metrics[HEADLINE]) == wanted
        ]
        if found:
            sentences.append(
                f"It is **{wanted}** {_listed(found, 'or' if wanted == OPEN else 'and')}."
            )
    if sentences:
        sentences[0] = sentences[0].replace("It is", "Compared query by query, it is", 1)
    return sentences


def _precision(ours: Interval, differences: Mapping[str, Mapping[str, Interval]]) -> str:
    found = f"the value is known to about ±{number(_half(ours))}"
    halves = [_half(metrics[HEADLINE]) for metrics in differences.values()]
    if not halves:
        return found
    return f"{found} and a difference to about ±{number(median(halves))}: less cannot be seen here"


def _half(at: Interval) -> float:
    return (at.high - at.low) / 2


def _difference(at: Interval) -> str:
    return f"{signed(at.value)}, from {signed(at.low)} to {signed(at.high)}"


def _listed(words: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, ("; ".join(words[:-1]), words[-1])))


def escape(text: str) -> str:
    """Make `text` plain words in Markdown, tables included: no markup, HTML, link or formula."""
    return re.sub(r"([\\`*_\[\]<>&|~#$!:^=])", r"\\\1", " ".join(text.split()))
