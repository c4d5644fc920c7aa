"""The summary of a study for people and machines: table, diff, comparison with the defaults."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from twinear.base.files import write_json, write_text
from twinear.base.text import format_interval, format_number, markdown_table
from twinear.tuning.confirmation import Confirmation
from twinear.tuning.space import SECTION, Space
from twinear.tuning.study import Trial

ROWS = 10  # of the table of the best
QUERIES = {
    "validation": "validation artists of the split, which also chose the best trial",
    "held_out": "training artists left out of this training, which chose nothing",
}


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """The result of a study."""

    study: str
    objective: str
    space: Space
    trials: list[Trial]  # all that ended and count
    best: Trial  # the completed trial of the highest value
    importances: Mapping[str, float]
    diff: str  # the patch of params.yaml with its values; empty for the defaults
    complete: bool  # False where the time was over
    confirmation: Confirmation | None  # None: not asked for, or the best values are the defaults
    applied: bool  # whether params.yaml was changed

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of trials."""
        states = ("complete", "pruned", "failed")
        return {state: sum(trial.state == state for trial in self.trials) for state in states}

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        best = {"trial": self.best.number, "ndcg@10": self.best.value, "values": self.best.values}
        return {
            "study": self.study,
            "objective": self.objective,
            "trials": self.counts,
            "complete": self.complete,
            "best": best,
            "importances": dict(self.importances),
            "diff": self.diff,
            "confirmation": self.confirmation.as_json() if self.confirmation else None,
            "applied": self.applied,
        }


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Sort the completed trials by value, the highest first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: -(trial.value or 0))


def format_summary(summary: StudySummary) -> str:
    """Write the summary as Markdown that is readable in a terminal."""
    counts = ", ".join(f"{count} {state}" for state, count in summary.counts.items() if count)
    paused = "" if summary.complete else "; the time was over, the same command goes on"
    artists = (
        "the validation artists of the split"
        if summary.objective == "validation"
        else "validation artists, the mean over folds of all but the test artists"
    )
    names = list(summary.space)
    header = ["trial", "NDCG@10", *(name.removeprefix(f"{SECTION}.") for name in names)]
    rows = [
        [str(trial.number), f"{trial.value:.4f}", *(_text(trial.values[name]) for name in names)]
        for trial in best_first(summary.trials)[:ROWS]
    ]
    blocks = [
        f"Study {summary.study}: {counts}{paused}. The value of a trial is NDCG@10 on {artists}.",
        markdown_table(header, rows, left=0, padded=True),
    ]
    if summary.diff:
        hint = "written to params.yaml" if summary.applied else "write them with --apply"
        blocks.append(f"The best values ({hint}):\n\n```diff\n{summary.diff}\n```")
    else:
        blocks.append("The best values are the present ones of params.yaml.")
    if summary.confirmation:
        blocks.append(_format_confirmation(summary.confirmation))
    reasons = {trial.reason for trial in summary.trials if trial.state == "failed"}
    if reasons:
        blocks.append("Failed:\n\n" + "\n".join(f"- {reason}" for reason in sorted(reasons)))
    return "\n\n".join(blocks)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _format_confirmation(confirmation: Confirmation) -> str:
    lines = []
    for comparison in confirmation.comparisons:
        best, defaults = comparison.best.value, comparison.defaults.value
        by_seed = (format_number(value, sign="+") for value in comparison.by_seed.values())
        lines.append(
            f"- {comparison.n_queries} {QUERIES[comparison.queries]}: best {format_number(best)},"
            f" defaults {format_number(defaults)},"
            f" difference {format_interval(**asdict(comparison.difference), sign='+')}:"
            f" **{comparison.verdict}** (by seed: {', '.join(by_seed)})"
        )
    lines += [f"- could not be trained: {failure}" for failure in confirmation.failures]
    return (
        "The best of many trials is optimistically biased. So it was trained again with seeds that"
        " the search has not used, and the defaults with the same seeds"
        " (NDCG@10, [interval over queries]):\n\n"
        + "\n".join(lines)
        + "\n\nNo test artist was used."
    )


def write_summary(summary: StudySummary, pictures: Sequence[Path], folder: Path) -> None:
    """Write summary.md with the pictures, summary.json and trials.csv."""
    links = "\n\n".join(f"![{path.stem}]({path.name})" for path in pictures)
    write_text(folder / "summary.md", f"# Tuning\n\n{format_summary(summary)}\n\n{links}")
    write_json(folder / "summary.json", summary.as_json())
    rows = []
    for trial in summary.trials:
        cells = [trial.number, trial.state, trial.value, len(trial.curve), round(trial.seconds, 1)]
        values = [json.dumps(trial.values[name]) for name in summary.space]
        rows.append([*cells, *values, trial.reason])
    columns = ["trial", "state", "ndcg@10", "epochs", "seconds", *summary.space, "reason"]
    write_text(folder / "trials.csv", pd.DataFrame(rows, columns=columns).to_csv(index=False))
