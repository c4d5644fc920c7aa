"""What a study found, for people and for machines: table, diff, comparison with the defaults."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinear.base.files import write_text
from twinear.tuning.confirmation import SAME, UNHEARD, Comparison, Confirmation
from twinear.tuning.space import SECTION, Space
from twinear.tuning.study import Trial

ROWS = 10  # of the table of the best
QUERIES = {
    SAME: "validation artists of the split, which also chose the winner",
    UNHEARD: "training artists left out of this training, which chose nothing",
}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a study found.

    Attributes
    ----------
    trials
        All that ended and count.
    best
        The completed trial worth most.
    diff
        params.yaml with its values, as a unified diff; empty where they are the defaults.
    complete
        Whether the study has all its trials; False where the time was over.
    confirmation
        None where it was not asked for, or where the best are the defaults.
    applied
        Whether params.yaml was changed.
    """

    study: str
    objective: str
    space: Space
    trials: list[Trial]
    best: Trial
    importances: Mapping[str, float]
    diff: str
    complete: bool
    confirmation: Confirmation | None
    applied: bool

    @property
    def counts(self) -> dict[str, int]:
        """How many trials ended how."""
        states = ("complete", "pruned", "failed")
        return {state: sum(each.state == state for each in self.trials) for state in states}

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "study": self.study,
            "objective": self.objective,
            "trials": self.counts,
            "complete": self.complete,
            "best": {
                "trial": self.best.number,
                "ndcg@10": self.best.value,
                "values": self.best.values,
            },
            "importances": dict(self.importances),
            "diff": self.diff,
            "confirmation": self.confirmation.as_json() if self.confirmation else None,
            "applied": self.applied,
        }


def best_of(trials: Sequence[Trial]) -> list[Trial]:
    """The completed trials, those worth most first."""
    complete = [each for each in trials if each.state == "complete"]
    return sorted(complete, key=lambda each: -(each.value or 0))


def format_summary(summary: Summary) -> str:
    """The summary as Markdown that is also read in a terminal."""
    blocks = [_head(summary), _table(summary), _diff(summary), _confirmation(summary)]
    failed = {each.reason for each in summary.trials if each.state == "failed"}
    if failed:
        blocks.append("Failed:\n\n" + "\n".join(f"- {reason}" for reason in sorted(failed)))
    return "\n\n".join(filter(None, blocks))


def _head(summary: Summary) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in summary.counts.items() if count)
    over = "" if summary.complete else "; the time was over, the same command goes on"
    judge = (
        "the validation artists of the split"
        if summary.objective == "validation"
        else "the mean over folds of all but the test artists"
    )
    return f"Study {summary.study}: {counts}{over}. A trial is worth its NDCG@10 on {judge}."


def _table(summary: Summary) -> str:
    names = list(summary.space)
    head = ["trial", "NDCG@10", *(name.removeprefix(f"{SECTION}.") for name in names)]
    rows = [
        [str(each.number), f"{each.value:.4f}", *(_text(each.values[name]) for name in names)]
        for each in best_of(summary.trials)[:ROWS]
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [_line(head, widths), "|" + "|".join("-" * (w + 2) for w in widths) + "|"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f" {cell:>{width}} " for cell, width in zip(cells, widths, strict=True))
    return "|" + "|".join(padded) + "|"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _diff(summary: Summary) -> str:
    if not summary.diff:
        return "The best values are those that params.yaml has."
    done = "written to params.yaml" if summary.applied else "write them with --apply"
    return f"The best values ({done}):\n\n```diff\n{summary.diff}\n```"


def _confirmation(summary: Summary) -> str:
    found = summary.confirmation
    if found is None:
        return ""
    lines = [
        "The best of many trials flatters itself. Trained anew with seeds that the search never"
        " used, beside the defaults with the same seeds (NDCG@10, [interval over queries]):",
        *(_compared(each) for each in found.comparisons),
        *(f"- could not be trained: {each}" for each in found.failures),
        "Test artists took no part.",
    ]
    return "\n\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:-1]) + "\n\n" + lines[-1]


def _compared(each: Comparison) -> str:
    apart = each.difference
    return (
        f"- {each.n_queries} {QUERIES[each.queries]}: winner {each.winner.value:.3f},"
        f" defaults {each.defaults.value:.3f}, difference {apart.value:+.3f}"
        f" [{apart.low:+.3f}, {apart.high:+.3f}]: **{each.verdict}**"
        f" (by seed: {', '.join(f'{value:+.3f}' for value in each.by_seed.values())})"
    )


def write_summary(summary: Summary, pictures: Sequence[Path], folder: Path) -> None:
    """Write summary.md with the pictures, summary.json and trials.csv."""
    shown = "\n\n".join(f"![{path.stem}]({path.name})" for path in pictures)
    text = f"# Tuning\n\n{format_summary(summary)}\n\n{shown}"
    write_text(folder / "summary.md", text)
    numbers = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
    write_text(folder / "summary.json", numbers)
    write_text(folder / "trials.csv", _history(summary))


def _history(summary: Summary) -> str:
    names = list(summary.space)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["trial", "state", "ndcg@10", "epochs", "seconds", *names, "reason"])
    for each in summary.trials:
        values = [json.dumps(each.values[name]) for name in names]
        row = [each.number, each.state, each.value, len(each.curve), round(each.seconds, 1)]
        writer.writerow([*row, *values, each.reason])
    return table.getvalue()
