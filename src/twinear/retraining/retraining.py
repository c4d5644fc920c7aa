"""From new data to a new champion, or to the reason why not: the command behind `make retrain`.

1. The first stages clean the data; their statistics are compared with the last accepted ones.
2. `dvc repro --pull` runs what changed, or fetches it from the remote.
3. The scorer is checked, compared with the champion, and promoted or refused.
4. If it is champion, the data count as accepted, and the artefacts are pushed where that is asked.
   If not, the workspace is brought back to what it was before (module `restoring`), as it is where
   the data are blocked.

A step that fails ends the retraining; what the earlier stages wrote stays, so that the same command
goes on there. A summary is written in every case.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from twinear.base.files import sha256
from twinear.compute.pool import Workers
from twinear.retraining.acceptance import (
    AcceptanceParams,
    DataStatistics,
    find_faults,
    measure_data,
    read_accepted,
)
from twinear.retraining.held_out import PipelineFolders
from twinear.retraining.promotion import Promotion, Rules, promote
from twinear.retraining.restoring import restorable
from twinear.retraining.subprocesses import ProgramResult, run_program
from twinear.tracking.promotions import follow

LAST_DATA_STAGE = "clips"  # after it the data can be accepted or blocked
ACCEPTED, DECISION = "accepted.json", "champion.json"


@dataclass(frozen=True, kw_only=True)
class RetrainingRequest:
    """The folders, the params and the options of a retraining."""

    folders: PipelineFolders
    reports: Path  # folder of the reports, of the accepted statistics and of the decision
    rules: Rules
    acceptance: AcceptanceParams
    workers: Workers
    accept_drift: bool  # whether a person has looked at the drift and accepts the data
    push: bool  # whether to push artefacts to the DVC remote if the scorer is champion

    @property
    def pins(self) -> tuple[Path, Path]:
        """The files by which DVC pins the data, and the results of the pipeline."""
        data = self.folders.data
        return data.with_name(f"{data.name}.dvc"), Path("dvc.lock")


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """The result of a retraining."""

    outcome: str  # `blocked` (by the data), `failed` (a stage), or that of the promotion
    reason: str
    trained: bool = False  # whether there is another scorer than before
    now: DataStatistics | None = None  # of the present data
    accepted: DataStatistics | None = None  # of the last accepted
    promotion: Promotion | None = None
    pushed: str = ""  # whether the artefacts were pushed, or why not
    changes: str = ""  # the output of `dvc metrics diff`
    restored: str = ""  # what the workspace holds where it was brought back

    @property
    def succeeded(self) -> bool:
        """Whether the present scorer is champion."""
        return self.promotion is not None and self.promotion.stands


def retrain(
    request: RetrainingRequest, run: Callable[..., ProgramResult] = run_program
) -> Retraining:
    """Run all steps, as far as they succeed.

    `TwinearError` if the tracking server cannot be reached or the accepted statistics are damaged.
    """
    follow()  # an unreachable registry is an error before hours of training, not after
    with restorable(request.pins, request.reports, run) as restore:
        retraining = _retrain(request, run)
        if retraining.outcome != "failed" and not retraining.succeeded:
            retraining = replace(retraining, restored=restore())
    promotion = retraining.promotion
    if promotion and promotion.outcome != "kept":
        promotion.write(request.reports / DECISION)
    if not retraining.succeeded:
        return retraining
    if retraining.now and retraining.now != retraining.accepted:
        retraining.now.write(request.reports / ACCEPTED)
    pushed = _push(run) if request.push else "not pushed: --push was not given"
    return replace(retraining, pushed=pushed)


def _retrain(request: RetrainingRequest, run: Callable[..., ProgramResult]) -> Retraining:
    """Run the stages and decide; of the reports only those of the stages are written."""
    folders, reports = request.folders, request.reports
    scorer_before = _scorer_digest(folders)
    accepted = read_accepted(reports / ACCEPTED)
    blocked = Retraining(outcome="blocked", reason="", accepted=accepted)
    cleaned = run("dvc", "repro", "--pull", LAST_DATA_STAGE)
    if cleaned.status:
        return replace(blocked, reason=cleaned.reason)
    now = measure_data(folders.data, folders.artifacts, reports)
    faults = find_faults(now, accepted, request.acceptance) if accepted else []
    if faults and not request.accept_drift:
        return replace(blocked, reason="; ".join(faults), now=now)
    reproduced = run("dvc", "repro", "--pull")
    if reproduced.status:
        return Retraining(outcome="failed", reason=reproduced.reason, now=now, accepted=accepted)
    promotion = promote(str(folders.scorer), folders, request.rules, request.workers)
    return Retraining(
        outcome=promotion.outcome,
        reason=promotion.reason,
        trained=_scorer_digest(folders) != scorer_before,
        now=now,
        accepted=accepted,
        promotion=promotion,
        changes=run("dvc", "metrics", "diff", "--md").output,
        pushed="not pushed: it was not promoted",
    )


def _push(run: Callable[..., ProgramResult]) -> str:
    """Push artefacts and DVC's run cache; a remote that refuses them is not a failure."""
    if not run("dvc", "remote", "list").output.strip():
        return "not pushed: no DVC remote is set"
    push = run("dvc", "push", "--run-cache")
    if push.status == 0:
        return "pushed"
    return f"not pushed: {(push.output.splitlines() or [push.reason])[-1]}"


def _scorer_digest(folders: PipelineFolders) -> str:
    return sha256(folders.scorer) if folders.scorer.exists() else ""
