"""The ranking of this machine beside the committed one.

Another processor or library version adds floating-point numbers in another order, and training
amplifies the last bits: the figures change a little although nothing was edited. This module says
whether they do, by how much, and whether the difference lies inside the intervals.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinear.base.files import require
from twinear.base.text import text_table
from twinear.ranking.summary import NOTE, MetricTable
from twinear.ranking.table import format_numbers

METRIC = "ndcg@10"
# an edit of one of these explains another result; reports and dvc.lock only record it
INPUTS = ("params.yaml", "data.dvc", "dvc.yaml", "src", "constraints.txt", "pyproject.toml")
RECORDS = ("reports", "dvc.lock")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A ranking beside the committed one."""

    # as `reports/ranking.json`; of data without listens only a `NOTE`
    committed: MetricTable
    here: MetricTable
    changed: Sequence[str]  # tracked files of reports and dvc.lock that differ from the commit
    edited: Sequence[str]  # tracked inputs (params, data, code) that differ from the commit


def read_reproduction(root: Path = Path()) -> Reproduction | None:
    """Compare `reports/ranking.json` with that of the last commit; None where there is none."""
    committed = _git(root, "show", "HEAD:./reports/ranking.json")
    if committed is None:
        return None
    path = root / "reports/ranking.json"
    return Reproduction(
        committed=json.loads(committed),
        here=json.loads(require(path, "run 'dvc repro'").read_text(encoding="utf-8")),
        changed=(_git(root, "diff", "--name-only", "HEAD", "--", *RECORDS) or "").split(),
        edited=(_git(root, "diff", "--name-only", "HEAD", "--", *INPUTS) or "").split(),
    )


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git
        return None
    return done.stdout if done.returncode == 0 else None


def format_reproduction(reproduction: Reproduction) -> str:
    """Say what changed and why, and show both figures of every system side by side."""
    committed, here = reproduction.committed, reproduction.here
    if NOTE in here:
        return "There are no listens, so there is no ranking to compare with the committed one."
    if NOTE in committed:
        return "The committed ranking is of data without listens: there is nothing to compare with."
    if committed == here:
        return "The committed ranking was reproduced to the last digit."
    if reproduction.edited:
        why = f"because of edits: {', '.join(reproduction.edited)}"
    else:
        why = "nothing was edited: another processor or library version gives other last bits"
    rows = []
    for system in dict.fromkeys([*committed, *here]):
        both = [side[system][METRIC] if system in side else None for side in (committed, here)]
        figures = [format_numbers(numbers) if numbers else "" for numbers in both]
        then, now = both
        if then is None or now is None:
            verdict = "new" if then is None else "gone"
        elif then == now:
            verdict = "the same"
        else:
            inside = then["low"] <= now["value"] <= then["high"]
            inside = inside and now["low"] <= then["value"] <= now["high"]
            verdict = f"{'inside' if inside else 'outside'} each other's interval"
        rows.append([system, *figures, verdict])
    table = text_table(["NDCG@10", "committed", "here", ""], rows)
    lines = [f"{len(reproduction.changed)} tracked files changed; {why}.", "", table]
    if not reproduction.edited:
        lines += ["", "'git checkout reports dvc.lock' brings the committed results back."]
    return "\n".join(lines)
