"""From new data to a new champion, or to the reason why not: what `make retrain` does.

1. The first stages clean the data; their figures are held against the last accepted ones.
2. `dvc repro --pull` runs what changed, or fetches it from the remote.
3. The scorer is examined, held against the champion, and promoted or refused.
4. When it stands, the data count as accepted and the artefacts are pushed.

Each step stops the rest when it fails. A summary says what happened, whatever happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinear.base.files import sha256
from twinear.compute.pool import Workers
from twinear.retraining.acceptance import (
    AcceptanceParams,
    Figures,
    find_faults,
    measure_data,
    read_accepted,
)
from twinear.retraining.held_out import Folders
from twinear.retraining.promotion import Promotion, Rules, promote
from twinear.retraining.subprocesses import Done, run_program
from twinear.tracking.promotions import follow

LAST_OF_DATA = "clips"  # the stage after which the data can be judged
ACCEPTED, DECISION = "accepted.json", "champion.json"


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What retraining reads and obeys.

    Parameters
    ----------
    reports
        The folder of the reports, where the accepted figures and the decision are.
    accept_drift
        Whether a person has looked at the drift and takes the data.
    """

    folders: Folders
    reports: Path
    rules: Rules
    acceptance: AcceptanceParams
    workers: Workers
    accept_drift: bool


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """How it ended.

    Parameters
    ----------
    outcome
        `blocked` (by the data), `failed` (a stage), or that of the promotion.
    trained
        Whether there is another scorer than before.
    """

    outcome: str
    reason: str
    trained: bool = False
    now: Figures | None = None
    accepted: Figures | None = None
    promotion: Promotion | None = None
    pushed: str = ""
    changes: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the present scorer is champion."""
        return self.promotion is not None and self.promotion.stands


def retrain(errand: Errand, run: Callable[..., Done] = run_program) -> Retraining:
    """Do all steps as far as they go.

    Raises
    ------
    TwinearError
        The tracking server cannot be reached, or the accepted figures are damaged.
    """
    follow()  # nothing is worth training when nobody could be told
    before = _scorer(errand)
    accepted = read_accepted(errand.reports / ACCEPTED)
    cleaned = run("dvc", "repro", "--pull", LAST_OF_DATA)
    if cleaned.status:
        return Retraining(outcome="blocked", reason=cleaned.reason, accepted=accepted)
    now = measure_data(errand.folders.data, errand.folders.artifacts, errand.reports)
    faults = find_faults(now, accepted, errand.acceptance) if accepted else []
    if faults and not errand.accept_drift:
        return Retraining(outcome="blocked", reason="; ".join(faults), now=now, accepted=accepted)
    reproduced = run("dvc", "repro", "--pull")
    if reproduced.status:
        reason = reproduced.reason
        return Retraining(outcome="failed", reason=reason, now=now, accepted=accepted)
    return _promoted(errand, now, accepted, run, trained=_scorer(errand) != before)


def _promoted(
    errand: Errand,
    now: Figures,
    accepted: Figures | None,
    run: Callable[..., Done],
    *,
    trained: bool,
) -> Retraining:
    scorer = str(errand.folders.scorer)
    promotion = promote(scorer, errand.folders, errand.rules, errand.workers)
    if promotion.outcome != "kept":
        promotion.write(errand.reports / DECISION)
    if promotion.stands and now != accepted:
        now.write(errand.reports / ACCEPTED)
    changes = run("dvc", "metrics", "diff", "--md").output
    return Retraining(
        outcome=promotion.outcome,
        reason=promotion.reason,
        trained=trained,
        now=now,
        accepted=accepted,
        promotion=promotion,
        pushed=_push(run) if promotion.stands else "not pushed: it was not promoted",
        changes=changes,
    )


def _push(run: Callable[..., Done]) -> str:
    """Push artefacts and what stages made of what; a remote that refuses is no failure."""
    if not run("dvc", "remote", "list").output.strip():
        return "not pushed: no DVC remote is set"
    pushed = run("dvc", "push", "--run-cache")
    return "pushed" if pushed.status == 0 else f"not pushed: {pushed.output.splitlines()[-1]}"


def _scorer(errand: Errand) -> str:
    path = errand.folders.scorer
    return sha256(path) if path.exists() else ""
