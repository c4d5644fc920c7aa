"""The result of a comparison as plain text, for a terminal of 100 columns."""

import numpy as np

from twinear.base.text import format_number, text_table
from twinear.evaluation.comparison import (
    CORRECTED,
    SIMILARITY,
    ComparisonResult,
    ProtocolResult,
    TruthResult,
)
from twinear.ranking.listener_table import format_listeners
from twinear.ranking.ranking import CHANCE, HEADLINE, Candidates
from twinear.ranking.table import format_lead, format_numbers

TITLES: dict[Candidates, str] = {
    "all": "candidates: all other artists",
    "fold": "candidates: the artists held out together",
}
NOTES = (
    "NDCG@10: mean over the queries [interval]; for chance the band that random rankings fall in.",
    "corrected: NDCG@10 against the similarity corrected for popularity.",
    "hub: share of the queries that have the most recommended artist in their first ten.",
)
SEEDS = "seeds: standard deviation of NDCG@10 over the seeds."
LISTENERS = (
    "worth in listeners: how many of one half of the listeners rank as well, judged by the other.",
    "catalogue_strict: the catalogue with the known artists' listens from the first half only.",
)
STAR = "* the interval of the paired difference excludes zero; differences are of NDCG@10."
SHOWN = {"listens": ("ndcg@10", "mrr"), "pairs": ("auc", "recall@20", "ndcg@10")}
METRIC_NAMES = {"ndcg@10": "NDCG@10", "mrr": "MRR", "auc": "AUC"}
SAME = "'{}' is, or nearly is, the truth that systems are trained on: it is no second opinion."
PAIRS = (
    "AUC: the probability that a similar artist is above another one; differences are of it there."
)


def format_comparison(result: ComparisonResult, against: str = "") -> str:
    """Lay out every protocol, with the lead over `against`, or else of the first over each."""
    blocks = [
        f"{title}\n{_protocol_table(result.protocols[protocol], against)}"
        for protocol, title in TITLES.items()
        if protocol in result.protocols
    ]
    others = [
        _truth_table(name, other, title, against)
        for protocol, title in TITLES.items()
        if protocol in result.protocols
        for name, other in result.protocols[protocol].others.items()
    ]
    worth = [
        format_listeners(numbers.listeners, title)
        for protocol, title in TITLES.items()
        if (numbers := result.protocols.get(protocol)) and numbers.listeners
    ]
    several = any(protocol.seeds for protocol in result.protocols.values())
    pairs = any(
        other.kind == "pairs"
        for protocol in result.protocols.values()
        for other in protocol.others.values()
    )
    notes = [*NOTES, *([SEEDS] if several else []), STAR, *([PAIRS] if pairs else [])]
    notes += LISTENERS if worth else ()
    return "\n\n".join([*blocks, *others, *worth, "\n".join(notes)])


def _truth_table(name: str, other: TruthResult, title: str, against: str) -> str:
    """Lay out what other people's truth says, with the lead by its first metric."""
    shown = [metric for metric in SHOWN[other.kind] if metric in next(iter(other.metrics.values()))]
    first = next(iter(other.metrics))
    rows = []
    for system, numbers in other.metrics.items():
        row = [system, *(format_numbers(numbers[metric]) for metric in shown)]
        if system != (against or first):
            pair = (system, against) if against else (first, system)
            row.append(format_lead(other.difference(*pair, shown[0])))
        rows.append(row)
    lead = f"ahead of {against}" if against else f"{first} ahead"
    header = ["", *(METRIC_NAMES.get(metric, metric) for metric in shown), lead]
    facts = f"truth '{name}' ({other.kind}, {other.queries} queries); {title}"
    table = f"{facts}\n{text_table(header, rows, gap=2)}"
    return f"{table}\n{SAME.format(name)}" if other.same else table


def _protocol_table(result: ProtocolResult, against: str) -> str:
    metrics, corrected = result.metrics[SIMILARITY], result.metrics[CORRECTED]
    first = next(iter(metrics))
    rows = []
    for system, numbers in metrics.items():
        row = [system, format_numbers(numbers[HEADLINE])]
        if result.seeds:
            means = result.seeds.get(system, {}).get(HEADLINE, [])
            spread = float(np.std(means, ddof=1)) if len(means) > 1 else None
            row.append("" if spread is None else f"±{format_number(spread)}")
        row.append(format_number(corrected[system][HEADLINE]["value"]))
        row += [format_number(numbers[metric]["value"]) for metric in ("unordered@10", "mrr")]
        hub = result.hubness[system]["largest_hub"]
        row.append("" if system == CHANCE else format_number(hub))
        if system != (against or first):
            pair = (system, against) if against else (first, system)
            row.append(format_lead(result.difference(SIMILARITY, *pair, HEADLINE)))
        rows.append(row)
    header = ["", "NDCG@10", *(["seeds"] if result.seeds else [])]
    header += ["corrected", "unordered@10", "MRR", "hub"]
    header.append(f"ahead of {against}" if against else f"{first} ahead")
    return text_table(header, rows, gap=2)
