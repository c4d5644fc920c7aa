"""The loop: give trials to workers, let the study decide after each epoch, end what ended.

Ends when the study has its trials or the time is over; what still runs then is put back, to be
resumed by the next search.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinear.tuning.evaluation import Job, Part, Step, checkpoint_of
from twinear.tuning.space import changed
from twinear.tuning.study import Study, Trial
from twinear.tuning.worker_pool import Broken, Crew, Ended, Failed, News

WAIT_SECONDS = 1.0  # for news, before looking at the clock again


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every trial has in common: sections of params.yaml, parts, where checkpoints go."""

    training: dict[str, Any]
    parts: tuple[Part, ...]
    checkpoints: Path

    def job(self, values: dict[str, Any], name: str, parts: tuple[Part, ...] = ()) -> Job:
        """Train with these values, on the parts of the search or on others."""
        return Job(
            training=changed(self.training, values),
            parts=parts or self.parts,
            checkpoint=self.checkpoints / name,
        )

    def forget(self, name: str, n_parts: int) -> None:
        """Remove the checkpoints of a training that ended."""
        for part in range(n_parts):
            checkpoint_of(self.checkpoints / name, part).unlink(missing_ok=True)


def search(
    study: Study,
    crew: Crew,
    plan: Plan,
    trials: int,
    minutes: float,
    on_trial: Callable[[Trial], None],
) -> bool:
    """Run trials until the study has `trials`; False when the time was over before."""
    deadline = time.monotonic() + 60 * minutes
    origins: dict[int, str] = {}
    while time.monotonic() < deadline:
        while crew.has_room and study.counted < trials:
            trial = study.ask()
            origins[trial.number] = f"trial-{trial.origin}"
            crew.give(trial.number, plan.job(trial.values, origins[trial.number]))
        if not crew.running:
            return True
        for number, news in crew.news(WAIT_SECONDS):
            ended = _take(study, crew, number, news)
            if ended:
                plan.forget(origins.pop(number), len(plan.parts))
                on_trial(ended)
        study.beat()
    return False


def _take(study: Study, crew: Crew, number: int, news: News) -> Trial | None:
    """Do what the news of a trial ask for; the trial when it ended."""
    if isinstance(news, Step):
        record = {"part": news.part, **asdict(news.record)}
        crew.answer(number, go_on=study.report(number, record, news.value))
        return None
    if isinstance(news, Broken):
        raise news.error
    if isinstance(news, Failed):
        return study.end(number, "failed", reason=news.reason)
    if isinstance(news, Ended):
        value = sum(each.best for each in news.judged) / len(news.judged)
        return study.end(number, "complete", value=value)
    return study.end(number, "pruned")
