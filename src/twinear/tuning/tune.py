"""From params.yaml to the best values: search, compare with the defaults, draw, write."""

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from statistics import fmean
from typing import Any

from twinear import model, training
from twinear.base.errors import ParamsError, TrainingError
from twinear.base.files import code_digest, require, write_text
from twinear.base.params import read_params, read_sections
from twinear.catalogue.params import CatalogueParams
from twinear.ranking.ranking import RankingParams
from twinear.split import Split, SplitParams
from twinear.tracking.runs import ChildRun, Run, open_study
from twinear.training.training import TrainingParams
from twinear.tuning.confirmation import Confirmation, confirm
from twinear.tuning.evaluation import Sources
from twinear.tuning.figures import PAGE, draw_figures, importances, write_page
from twinear.tuning.params_patch import difference, with_values
from twinear.tuning.search import Plan, search
from twinear.tuning.space import SECTION, Space, TuningParams, changed, read_space
from twinear.tuning.splits import objective_splits
from twinear.tuning.study import Study, Trial
from twinear.tuning.summary import StudySummary, best_first, write_summary
from twinear.tuning.worker_pool import WorkerPool


@dataclass(frozen=True, kw_only=True)
class TuningRequest:
    """The options of the command, beside params.yaml."""

    params: Path
    sources: Sources
    study: str
    storage: str  # as `open_storage` takes it
    folder: Path  # where checkpoints are kept while trials run
    reports: Path  # where the summary and the figures are written
    restart: bool  # delete the study of that name first
    apply: bool  # write the best values into params.yaml


# NDCG@10 of the validation artists that chose the epoch: never the name of a figure of test artists
BEST = "best_validation_ndcg"
ProgressBar = Callable[..., Any]  # (total, initial, desc) -> a bar as tqdm makes it


@dataclass(frozen=True, kw_only=True, eq=False)
class _Setup:
    """Everything that is read and checked before a trial runs."""

    tuning: TuningParams
    training: dict[str, Any]
    split_params: SplitParams
    ranking: RankingParams
    split: Split
    space: Space
    plan: Plan

    @property
    def defaults(self) -> dict[str, Any]:
        keys = {name: name.split(".")[1:] for name in self.space}
        return {name: reduce(getitem, path, self.training) for name, path in keys.items()}


def read_tuning(path: Path, **options: Any) -> TuningParams:
    """Read the section `tuning`; options that are not None replace its values."""
    given = {name: value for name, value in options.items() if value is not None}
    return read_params("tuning", TuningParams, path).model_copy(update=given)


def tune(request: TuningRequest, tuning: TuningParams, progress: ProgressBar) -> StudySummary:
    """Search, compare the best with the defaults, and write the summary.

    `ParamsError`, before any trial, for a search space or another param that cannot be used,
    `TrainingError` if no trial was completed; other errors as of `Study.open`.
    """
    setup = _read(request, tuning)
    texts = {  # everything that the values of the trials depend on
        "space": repr(sorted(setup.space.items())),
        "objective": repr(setup.plan.splits),
        "params": json.dumps(changed(setup.training, dict.fromkeys(setup.space)), sort_keys=True),
        "data": request.sources.fingerprint(),
        "code": code_digest(model, training),
    }
    binding = {word: hashlib.sha256(text.encode()).hexdigest() for word, text in texts.items()}
    with (
        Study(request.storage, request.study, setup.space, tuning, request.folder) as study,
        WorkerPool(tuning.workers, request.sources) as pool,
    ):
        study.open(binding, setup.defaults, restart=request.restart)
        params = tuning.model_dump(mode="json")
        with open_study(request.study, params, study.identity) as run:
            complete = _search(study, pool, setup, run, progress)
            best = _best(study)
            confirmation, seeds = None, tuning.confirm_seeds
            if seeds and best.values != setup.defaults:
                confirmation = confirm(
                    {"best": best.values, "defaults": setup.defaults},
                    setup.split,
                    setup.plan,
                    pool,
                    seeds=seeds,
                    n_folds=setup.split_params.n_folds if tuning.objective == "validation" else 0,
                    params=setup.ranking,
                    open_bar=lambda total: closing(
                        progress(total=total, initial=0, desc="new seeds")
                    ),
                )
            summary = _write(request, setup, study, complete, confirmation)
            metrics = {BEST: best.value or 0.0}
            for comparison in confirmation.comparisons if confirmation else ():
                name, found = f"{comparison.queries}_difference", comparison.difference
                metrics |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            run.log_metrics(metrics)
            run.tag_scorers(best.scorers)
            run.log_files(request.reports)
    return summary


def _read(request: TuningRequest, tuning: TuningParams) -> _Setup:
    read_params(SECTION, TrainingParams, request.params)
    training = read_sections(request.params)[SECTION]
    space = read_space(tuning.space, training, TrainingParams, request.params)
    if training["seed"] in tuning.confirm_seeds:
        place = f"{request.params}: tuning.confirm_seeds"
        found = f"holds {training['seed']}, the seed of the search (training.seed)"
        raise ParamsError(place, found, expected="other seeds")
    split_params = read_params("split", SplitParams, request.params)
    require(request.sources.spectrograms, "run 'dvc repro'")
    split = Split.read(request.sources.split)
    folder = hashlib.sha256(request.study.encode()).hexdigest()[:8]  # a name may hold a slash
    return _Setup(
        tuning=tuning,
        training=training,
        split_params=split_params,
        ranking=read_params("ranking", RankingParams, request.params),
        split=split,
        space=space,
        plan=Plan(
            training=training,
            pooling=read_params("catalogue", CatalogueParams, request.params).pooling,
            splits=objective_splits(split, tuning.objective, split_params.n_folds),
            checkpoints=request.folder / "checkpoints" / folder,
        ),
    )


def _search(study: Study, pool: WorkerPool, setup: _Setup, run: Run, progress: ProgressBar) -> bool:
    earlier = study.ended
    for trial in earlier:
        if not trial.run:  # the search was killed before it logged it, or tracking was off
            _log(study, setup, run, trial)
    tuning, n_earlier = setup.tuning, len(earlier)
    best = max((trial.value or 0.0 for trial in best_first(earlier)), default=0.0)
    total = max(tuning.trials, n_earlier)
    with closing(progress(total=total, initial=n_earlier, desc="trials")) as bar:

        def on_trial(trial: Trial) -> None:
            nonlocal best
            if trial.state == "complete":
                best = max(best, trial.value or 0.0)
            bar.set_postfix_str(f"best {best:.4f}")
            bar.update()
            _log(study, setup, run, trial)

        return search(study, pool, setup.plan, tuning.trials, tuning.minutes, on_trial)


def _log(study: Study, setup: _Setup, run: Run, trial: Trial) -> None:
    """Log a trial that ended as a child run; its curve is the mean over the splits."""
    epochs: dict[int, list[dict[str, float]]] = {}
    for record in trial.curve:
        epochs.setdefault(int(record["epoch"]), []).append(record)
    names = ("train_loss", "validation_loss", "validation_ndcg")
    curve = [
        (epoch, {name: fmean(record[name] for record in records) for name in names})
        for epoch, records in sorted(epochs.items())
    ]
    tags = {"study_name": study.name, "trial": str(trial.number)}
    tags |= {"state": trial.state} | ({"reason": trial.reason} if trial.reason else {})
    logged = run.log_child(
        ChildRun(
            name=f"trial-{trial.number}",
            kind="trial",
            scorers=trial.scorers,
            params={SECTION: changed(setup.training, trial.values)},
            curve=curve,
            metrics={BEST: trial.value} if trial.value is not None else {},
            tags=tags,
            failed=trial.state == "failed",
        )
    )
    if logged:
        study.set_run(trial.number, logged)


def _best(study: Study) -> Trial:
    if best := best_first(study.ended):
        return best[0]
    reasons = [trial.reason for trial in study.ended if trial.reason]
    found = f"no trial was completed ({reasons[-1] if reasons else 'the time was over'})"
    remedy = "change tuning.space" if reasons else "run it again, with more --minutes"
    raise TrainingError(f"study '{study.name}'", found, remedy=remedy)


def _write(
    request: TuningRequest,
    setup: _Setup,
    study: Study,
    complete: bool,
    confirmation: Confirmation | None,
) -> StudySummary:
    trials = study.ended
    best = best_first(trials)[0]
    old = request.params.read_text(encoding="utf-8")
    new = with_values(old, best.values, request.params)
    shares = importances(study, setup.tuning.seed)
    summary = StudySummary(
        study=request.study,
        objective=setup.tuning.objective,
        space=setup.space,
        trials=trials,
        best=best,
        importances=shares,
        diff=difference(old, new, request.params),
        complete=complete,
        confirmation=confirmation,
        applied=request.apply and new != old,
    )
    pictures = draw_figures(trials, setup.space, shares, request.reports)
    write_page(study, shares, request.reports / PAGE)
    write_summary(summary, pictures, request.reports)
    if summary.applied:
        write_text(request.params, new)
    return summary
