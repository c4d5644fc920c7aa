"""The loop of a search: give trials to workers, prune after each epoch, record how trials end.

Ends when the study has its trials or the time is over. Trials that still run then are put back, to
be resumed by the next search.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinear.model.pooling import Pooling
from twinear.tuning.evaluation import EpochReport, Job, TrialSplit, checkpoint_path
from twinear.tuning.space import changed
from twinear.tuning.study import Study, Trial
from twinear.tuning.worker_pool import WorkerPool

WAIT_SECONDS = 1.0  # for a message, before the clock is checked again


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What all trials have in common: the params section, splits, the folder of checkpoints."""

    training: dict[str, Any]
    pooling: Pooling
    splits: tuple[TrialSplit, ...]
    checkpoints: Path

    def job(self, values: dict[str, Any], name: str, splits: tuple[TrialSplit, ...] = ()) -> Job:
        """Make the job of some values, on the splits of the search or on others."""
        return Job(
            training=changed(self.training, values),
            pooling=self.pooling,
            splits=splits or self.splits,
            checkpoint=self.checkpoints / name,
        )

    def remove_checkpoints(self, name: str, n_splits: int) -> None:
        """Remove the checkpoints of a training that ended."""
        for split in range(n_splits):
            checkpoint_path(self.checkpoints / name, split).unlink(missing_ok=True)


def search(
    study: Study,
    pool: WorkerPool,
    plan: Plan,
    trials: int,
    minutes: float,
    on_trial: Callable[[Trial], None],
) -> bool:
    """Run trials until the study has `trials`; return False when the time was over before."""
    deadline = time.monotonic() + 60 * minutes
    names: dict[int, str] = {}  # of the checkpoints; a resumed trial keeps those it began with
    while time.monotonic() < deadline:
        while pool.has_room and study.counted < trials:
            trial = study.ask()
            names[trial.number] = f"trial-{trial.origin}"
            pool.start(trial.number, plan.job(trial.values, names[trial.number]))
        if not pool.running:
            return True
        for number, message in pool.messages(WAIT_SECONDS):
            if isinstance(message, EpochReport):
                record = {"split": message.split, **asdict(message.epoch)}
                pool.answer(number, go_on=study.report(number, record, message.value))
            else:
                best = [result.best for result in message.results]
                value = sum(best) / len(best) if message.state == "complete" else None
                ended = study.end(
                    number,
                    message.state,
                    value=value,
                    reason=message.reason,
                    scorers=[result.scorer for result in message.results],
                )
                plan.remove_checkpoints(names.pop(number), len(plan.splits))
                on_trial(ended)
        study.beat()
    return False
