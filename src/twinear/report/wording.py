"""Numbers in words: what a result shows, and no more than it shows."""

import re
from collections.abc import Mapping
from statistics import median

from twinear.base.text import format_interval, format_number
from twinear.metrics.bootstrap import Interval
from twinear.ranking.listener_results import STRICT
from twinear.ranking.ranking import CATALOGUE, CHANCE, CORRECTED_NDCG, HEADLINE, SIAMESE
from twinear.report.inputs import ReportInputs
from twinear.training.keeping import KeepDecision, Step

NAMES = {
    CATALOGUE: "catalogue",
    STRICT: "catalogue, strict",
    SIAMESE: "siamese network alone",
    "l2": "L2 of spectrograms",
    "mfcc": "MFCC Gaussians",
    "mfcc_mp": "MFCC Gaussians, mutual proximity",
    "popularity": "popularity",
    CHANCE: "chance",
}
STEPS: dict[Step, str] = {"listener_factors": "listener factors", "network": "the network"}
ABOVE, BELOW, OPEN = "above", "below", "not distinguishable from"


def system_name(system: str) -> str:
    """Name a system in tables and sentences."""
    return NAMES.get(system, escape(system.replace("_", " ")))


def metric_name(metric: str) -> str:
    """Name a metric as the literature writes it.

    Examples
    --------
    >>> metric_name("ndcg@10"), metric_name("edit@3"), metric_name("map")
    ('NDCG@10', 'edit@3', 'MAP')
    """
    if metric == CORRECTED_NDCG:
        return f"{metric_name(HEADLINE)}, corrected for popularity"
    name, at, n = metric.partition("@")
    return (name.upper() if name in ("ndcg", "map", "mrr") else name) + at + n


def number(value: float, decimals: int = 3, sign: str = "") -> str:
    """Write a number with a typographic minus: .612, −.031, 1.000."""
    return format_number(value, decimals, sign).replace("-", "−")


def interval(at: Interval, sign: str = "") -> str:
    """Write a value and its interval: .612 [.550, .660]."""
    return format_interval(at.value, at.low, at.high, sign=sign).replace("-", "−")


def conclude(difference: Interval) -> str:
    """Conclude from a paired difference: `ABOVE`, `BELOW`, or `OPEN` if its interval holds 0.

    Examples
    --------
    >>> conclude(Interval(value=0.1, low=0.02, high=0.2))
    'above'
    """
    if difference.low > 0:
        return ABOVE
    return BELOW if difference.high < 0 else OPEN


def answer(inputs: ReportInputs, confidence: float) -> str:
    """Put the main result in one paragraph of Markdown."""
    ours, chance = inputs.ranking[CATALOGUE][HEADLINE], inputs.ranking[CHANCE][HEADLINE]
    n, share = len(inputs.test.artists), f"{confidence:.0%}".replace("%", " %")
    differences = {
        system: metrics[HEADLINE]
        for system, metrics in inputs.differences.items()
        if HEADLINE in metrics
    }
    sentences = [
        f"Each of {n} test artists ranked the other {n - 1}. Neither their clips nor their listens "
        f"were used in training. With {metric_name(HEADLINE)} as the measure (1 is the order by "
        f"similarity from listens), the {NAMES[CATALOGUE]} reaches **{number(ours.value)}** "
        f"({share} interval {number(ours.low)} to {number(ours.high)})."
    ]
    if SIAMESE in inputs.ranking:
        network = number(inputs.ranking[SIAMESE][HEADLINE].value)
        sentences.append(f"The {NAMES[SIAMESE]} reaches {network}.")
    sentences.append(_on_chance(ours, chance, differences.get(CHANCE), share))
    sentences += _on_systems(differences)
    precision = f"the value is known to about ±{number((ours.high - ours.low) / 2)}"
    halves = [(at.high - at.low) / 2 for name, at in differences.items() if name != SIAMESE]
    if halves:
        precision += f" and a difference to about ±{number(median(halves))}"
        precision += "; smaller differences cannot be seen"
    return " ".join([*sentences, f"With {n} test artists, {precision}."])


def learning_added(decision: KeepDecision) -> str:
    """Say in a sentence what learning added to the untrained scorer, on held-out artists.

    Examples
    --------
    >>> learning_added(KeepDecision(kept="untrained", keep="better"))
    'Nothing was learned: the scorer is the untrained one.'
    """
    kept = [
        f"{STEPS[step.step]} {interval(step.difference, sign='+')} on {step.queries:,}"
        for step in decision.steps
        if (step.better or decision.keep == "always") and step.difference is not None
    ]
    if not kept:
        return "Nothing was learned: the scorer is the untrained one."
    return (
        f"What learning added to {metric_name(HEADLINE)}, on training and validation artists that "
        f"were held out: {', then '.join(kept)} artists."
    )


def _on_chance(ours: Interval, chance: Interval, paired: Interval | None, share: str) -> str:
    # beyond the band of random orders, and the paired difference, if known, must agree
    band = ABOVE if ours.value > chance.high else BELOW if ours.value < chance.low else OPEN
    result = {
        ABOVE: "ranks better than chance",
        BELOW: "ranks worse than chance",
        OPEN: "cannot be distinguished from chance",
    }[band if paired is None or conclude(paired) == band else OPEN]
    return (
        f"**The {NAMES[CATALOGUE]} {result}**: a random order reaches {number(chance.value)}, and "
        f"{share} of random orders lie between {number(chance.low)} and {number(chance.high)}"
        + (f" (query by query: {_difference(paired)})." if paired else ".")
    )


def _on_systems(differences: Mapping[str, Interval]) -> list[str]:
    """Write one sentence for each conclusion that some system has."""
    sentences: list[str] = []
    for conclusion in (ABOVE, OPEN, BELOW):
        systems = [
            f"{system_name(system)} ({_difference(at)})"
            for system, at in differences.items()
            if system != CHANCE and conclude(at) == conclusion
        ]
        if systems:
            last = " or " if conclusion == OPEN else " and "
            listed = last.join(filter(None, ("; ".join(systems[:-1]), systems[-1])))
            subject = "it is" if sentences else "Compared query by query, it is"
            sentences.append(f"{subject} **{conclusion}** {listed}.")
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


def _difference(at: Interval) -> str:
    value, low, high = (number(each, sign="+") for each in (at.value, at.low, at.high))
    return f"{value}, from {low} to {high}"


def escape(text: str) -> str:
    r"""Escape Markdown in `text`, tables included: no markup, HTML, link or formula.

    Examples
    --------
    >>> print(escape("A$AP | *Twice*"))
    A\$AP \| \*Twice\*
    """
    return re.sub(r"([\\`*_\[\]<>&|~#$!:^=])", r"\\\1", " ".join(text.split()))
