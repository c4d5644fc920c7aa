"""From params.yaml to the best values found: search, compare, draw, write."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twinear import model, training
from twinear.base.errors import ParamsError, TrainingError
from twinear.base.files import code_digest, require, write_text
from twinear.base.params import read_params, read_sections
from twinear.ranking.ranking import RankingParams
from twinear.split import Split, SplitParams
from twinear.tracking.runs import Child, Run
from twinear.tracking.tuning_runs import open_study
from twinear.training.training import TrainingParams
from twinear.tuning.confirmation import DEFAULTS, WINNER, Confirmation, confirm, count_rounds
from twinear.tuning.evaluation import Sources
from twinear.tuning.figures import PAGE, draw_figures, importances, write_page
from twinear.tuning.params_patch import difference, with_values
from twinear.tuning.search import Plan, search
from twinear.tuning.space import SECTION, Space, TuningParams, changed, read_space, value_at
from twinear.tuning.splits import parts_of
from twinear.tuning.study import Study, Trial
from twinear.tuning.summary import Summary, best_of, write_summary
from twinear.tuning.worker_pool import Crew


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of the command, beside params.yaml.

    Attributes
    ----------
    storage
        As `open_storage` takes it.
    folder
        Where checkpoints lie while trials run.
    reports
        Where the summary and the figures go.
    restart
        Forget the study of that name.
    apply
        Write the best values into params.yaml.
    """

    params: Path
    sources: Sources
    study: str
    storage: str
    folder: Path
    reports: Path
    restart: bool
    apply: bool


class Progress(Protocol):
    """A bar that tells how many of `total` are done and how long the rest takes."""

    def __call__(self, *, total: int, initial: int, desc: str) -> Any:
        """Open a bar: `update(n)`, `set_postfix_str(text)`, `close()`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Setting:
    """Everything read and checked before a trial runs."""

    tuning: TuningParams
    training: dict[str, Any]
    split_params: SplitParams
    ranking: RankingParams
    split: Split
    space: Space
    plan: Plan

    @property
    def defaults(self) -> dict[str, Any]:
        return {name: value_at(self.training, name) for name in self.space}

    def binding(self, sources: Sources) -> dict[str, str]:
        """What a study belongs to."""
        fixed = changed(self.training, dict.fromkeys(self.space))
        words = {
            "space": repr(sorted(self.space.items())),
            "objective": repr(self.plan.parts),
            "params": json.dumps(fixed, sort_keys=True),
            "data": sources.fingerprint(),
            "code": code_digest(model, training),
        }
        return {word: hashlib.sha256(text.encode()).hexdigest() for word, text in words.items()}


def read_tuning(path: Path, **given: Any) -> TuningParams:
    """The section `tuning` with what the command line says in place of it, where not None."""
    params = read_params("tuning", TuningParams, path)
    return params.model_copy(
        update={name: each for name, each in given.items() if each is not None}
    )


def tune(request: Request, tuning: TuningParams, progress: Progress) -> Summary:
    """Search, compare the best with the defaults, and write what was found.

    Raises
    ------
    ParamsError
        A space or another param that cannot be used; before any trial.
    TwinearError
        The storage cannot be reached, or the study belongs to something else.
    TrainingError
        No trial was completed.
    """
    setting = _read(request, tuning)
    binding = setting.binding(request.sources)
    with (
        Study(request.storage, request.study, setting.space, tuning, request.folder) as study,
        Crew(tuning.workers, request.sources) as crew,
    ):
        study.open(binding, setting.defaults, anew=request.restart)
        how = tuning.model_dump(mode="json")
        with open_study(request.study, how, study.identity) as run:
            complete = _search(study, crew, setting, run, progress)
            best = _best(study, request)
            confirmation = _confirm(best, crew, setting, progress)
            summary = _write(request, setting, study, complete, confirmation)
            run.log_metrics({"ndcg@10": best.value or 0.0, **_compared(confirmation)})
            run.log_files(request.reports)
    return summary


def _read(request: Request, tuning: TuningParams) -> _Setting:
    read_params(SECTION, TrainingParams, request.params)
    training = read_sections(request.params)[SECTION]
    space = read_space(tuning.space, training, TrainingParams, request.params)
    if training["seed"] in tuning.confirm_seeds:
        raise ParamsError(
            f"{request.params}: tuning.confirm_seeds",
            f"holds {training['seed']}, the seed of the search (training.seed)",
            expected="fresh seeds",
        )
    split_params = read_params("split", SplitParams, request.params)
    require(request.sources.spectrograms, "run 'dvc repro'")
    split = Split.read(request.sources.split)
    plan = Plan(
        training=training,
        parts=parts_of(split, tuning.objective, split_params.n_folds),
        checkpoints=request.folder / "checkpoints" / _short_hash(request.study),
    )
    return _Setting(
        tuning=tuning,
        training=training,
        split_params=split_params,
        ranking=read_params("ranking", RankingParams, request.params),
        split=split,
        space=space,
        plan=plan,
    )


def _short_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]  # a name may hold any character


def _search(study: Study, crew: Crew, setting: _Setting, run: Run, progress: Progress) -> bool:
    before = study.ended
    for each in before:
        if not each.run:  # the search was killed, or tracking was away
            _log(study, setting, run, each)
    tuning = setting.tuning
    with _bar(progress, tuning.trials, len(before), "trials") as bar:
        top = max((each.value for each in best_of(before) if each.value), default=0.0)

        def on_trial(trial: Trial) -> None:
            nonlocal top
            if trial.state == "complete":
                top = max(top, trial.value or 0.0)
            bar.set_postfix_str(f"best {top:.4f}")
            bar.update()
            _log(study, setting, run, trial)

        return search(study, crew, setting.plan, tuning.trials, tuning.minutes, on_trial)


@contextmanager
def _bar(progress: Progress, total: int, initial: int, desc: str) -> Iterator[Any]:
    bar = progress(total=max(total, initial), initial=initial, desc=desc)
    try:
        yield bar
    finally:
        bar.close()


def _log(study: Study, setting: _Setting, run: Run, trial: Trial) -> None:
    child = Child(
        name=f"trial-{trial.number}",
        params={SECTION: changed(setting.training, trial.values)},
        curve=[_point(each, len(setting.plan.parts)) for each in trial.curve],
        metrics={"ndcg@10": trial.value} if trial.value is not None else {},
        tags={
            "kind": "trial",
            "study_name": study.name,
            "trial": str(trial.number),
            "state": trial.state,
            **({"reason": trial.reason} if trial.reason else {}),
        },
        failed=trial.state == "failed",
    )
    if logged := run.log_child(child):
        study.logged(trial.number, logged)


def _point(record: dict[str, float], n_parts: int) -> tuple[int, dict[str, float]]:
    """A step and its metrics; with several parts, each has names of its own."""
    prefix = f"fold_{record['part']:.0f}/" if n_parts > 1 else ""
    measures = {name: each for name, each in record.items() if name not in ("part", "epoch")}
    return int(record["epoch"]), {prefix + name: each for name, each in measures.items()}


def _best(study: Study, request: Request) -> Trial:
    best = best_of(study.ended)
    if best:
        return best[0]
    failed = [each.reason for each in study.ended if each.reason]
    raise TrainingError(
        f"study '{request.study}'",
        f"no trial was completed ({failed[-1] if failed else 'the time was over'})",
        remedy="change tuning.space" if failed else "run it again, with more --minutes",
    )


def _confirm(best: Trial, crew: Crew, setting: _Setting, progress: Progress) -> Confirmation | None:
    seeds = setting.tuning.confirm_seeds
    if not seeds or best.values == setting.defaults:
        return None
    n_folds = setting.split_params.n_folds if setting.tuning.objective == "validation" else 0
    rounds = count_rounds(len(seeds), setting.split, n_folds)
    with _bar(progress, rounds, 0, "fresh seeds") as bar:
        return confirm(
            {WINNER: best.values, DEFAULTS: setting.defaults},
            setting.split,
            setting.plan,
            crew,
            seeds=seeds,
            n_folds=n_folds,
            params=setting.ranking,
            on_round=bar.update,
        )


def _compared(confirmation: Confirmation | None) -> dict[str, float]:
    """The differences as metrics."""
    return {
        f"{each.queries}/difference{suffix}": value
        for each in (confirmation.comparisons if confirmation else [])
        for suffix, value in (
            ("", each.difference.value), ("_low", each.difference.low),
            ("_high", each.difference.high),
        )
    }  # fmt: skip


def _write(
    request: Request,
    setting: _Setting,
    study: Study,
    complete: bool,
    confirmation: Confirmation | None,
) -> Summary:
    trials = study.ended
    best = best_of(trials)[0]
    old = request.params.read_text(encoding="utf-8")
    new = with_values(old, best.values, request.params)
    shares = importances(study, setting.tuning.seed)
    summary = Summary(
        study=request.study,
        objective=setting.tuning.objective,
        space=setting.space,
        trials=trials,
        best=best,
        importances=shares,
        diff=difference(old, new, request.params),
        complete=complete,
        confirmation=confirmation,
        applied=request.apply and new != old,
    )
    pictures = draw_figures(trials, setting.space, shares, request.reports)
    write_page(study, shares, request.reports / PAGE)
    write_summary(summary, pictures, request.reports)
    if summary.applied:
        write_text(request.params, new)
    return summary
