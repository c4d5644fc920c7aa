"""A judgement as plain text, for people at a terminal of 100 columns."""

import numpy as np

from twinear.evaluation.comparison import CORRECTED, SIMILARITY, Judgement, Verdict, pick_difference
from twinear.ranking.ranking import CHANCE, Candidates
from twinear.ranking.table import align, cell, figure, lead

SAID: dict[Candidates, str] = {
    "all": "candidates: all other artists",
    "fold": "candidates: the artists held out together",
}
NDCG = "ndcg@10"
NOTES = (
    "NDCG@10: mean over the queries [interval]; of chance the band that random rankings stay in.",
    "corrected: NDCG@10 against the similarity corrected for popularity.",
    "hub: share of the queries that have the most recommended artist in their first ten.",
)


def format_judgement(judgement: Judgement, against: str = "") -> str:
    """Lay out every protocol.

    Parameters
    ----------
    against
        The system that the others are compared with, their lead over it shown; without one, the
        lead of the first system over the others.
    """
    tables = [
        "\n".join([SAID[protocol], *_table(verdict, against)])
        for protocol, verdict in (
            (each, judgement.verdicts[each]) for each in SAID if each in judgement.verdicts
        )
    ]
    seeds = any(each.seeds for each in judgement.verdicts.values())
    said = [*NOTES, *(["seeds: standard deviation of NDCG@10 over the seeds."] if seeds else [])]
    star = "* the interval of the paired difference excludes zero; differences are of NDCG@10."
    return "\n\n".join([*tables, "\n".join([*said, star])])


def _table(verdict: Verdict, against: str) -> list[str]:
    metrics = verdict.metrics[SIMILARITY]
    first = next(iter(metrics))
    head = ["", "NDCG@10", *(["seeds"] if verdict.seeds else [])]
    head += ["corrected", "unordered@10", "MRR", "hub"]
    head.append(f"ahead of {against}" if against else f"{first} ahead")
    rows = [[system, *_row(verdict, system, against or first, bool(against))] for system in metrics]
    return align([head, *rows], gap=2)


def _row(verdict: Verdict, system: str, other: str, turned: bool) -> list[str]:
    numbers = verdict.metrics[SIMILARITY][system]
    cells = [cell(numbers[NDCG])]
    if verdict.seeds:
        cells.append(_spread(verdict.seeds.get(system, {}).get(NDCG, [])))
    cells.append(figure(verdict.metrics[CORRECTED][system][NDCG]["value"]))
    cells += [figure(numbers[each]["value"]) for each in ("unordered@10", "mrr")]
    cells.append(figure(verdict.hubness[system]["largest_hub"]) if system != CHANCE else "")
    if system != other:
        pair = (system, other) if turned else (other, system)
        cells.append(lead(pick_difference(verdict, SIMILARITY, *pair, NDCG)))
    return cells


def _spread(means: list[float]) -> str:
    return "±" + figure(float(np.std(means, ddof=1))) if len(means) > 1 else ""
