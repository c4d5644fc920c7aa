"""Cross-validation in folds without common artists: every artist is new to a scorer once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from twinear.artists.clip_table import SOURCE
from twinear.base.errors import DataError
from twinear.base.files import write_json, write_text
from twinear.base.params import PARAMS, read_sections
from twinear.catalogue.params import CatalogueParams
from twinear.evaluation.comparison import (
    CORRECTED,
    SIMILARITY,
    ComparisonResult,
    compare_systems,
)
from twinear.evaluation.comparison_table import format_comparison
from twinear.evaluation.crossval.fold_scores import TRAINED, FoldScores, Task
from twinear.evaluation.crossval.folds import Fold, On, cut_folds, cut_sources, fold_by_column
from twinear.evaluation.crossval.running import read_finished, run_tasks
from twinear.evaluation.crossval.systems import (
    choose_systems,
    combine_folds,
    combine_strict,
    require_system,
)
from twinear.evaluation.dataset import ArtefactFolders, EvaluationData, PreparationParams, prepare
from twinear.evaluation.external_scores import read_matrices
from twinear.evaluation.other_truths import read_truths
from twinear.evaluation.progress import Progress, no_progress
from twinear.evaluation.recipes import Recipe, read_recipe
from twinear.ranking.ranking import CATALOGUE, CHANCE, HEADLINE, RankingParams
from twinear.ranking.tracked import SHOWN, interval_metrics, tabulate_systems
from twinear.similarity.listener_sample import read_listener_sample
from twinear.similarity.measures import SimilarityParams
from twinear.spectrograms.sources import find_sources
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import SplitParams, fold_of
from twinear.tracking.runs import ChildRun, Run, open_folds
from twinear.training.checkpoint import Epoch
from twinear.training.keeping import count_kept
from twinear.training.training import TrainingParams

OnEpoch = Callable[[Task, Epoch], None]

TRAININGS = "trainings"  # the fact that says what each of them kept


@dataclass(frozen=True, kw_only=True)
class CrossValidationOptions:
    """What to cross-validate.

    Attributes
    ----------
    params, recipe, settings
        The params file, a file of sections that override its own, and single keys
        (`training.epochs=10`) that override both.
    seeds
        Of the trainings; one training for each fold and seed.
    fold_by
        A column of clips.csv that decides the fold of an artist; "" for its id, "source" to hold
        out the sources of the clips (`clips.source_column`) one at a time.
    n_folds
        0 for `split.n_folds` of the params.
    on
        Evaluate the "test" fold, or the "validation" fold to choose settings: test artists then
        take no part at all.
    systems
        Only these; all by default. Nothing is trained unless one of `TRAINED` is among them.
    against
        The system that the table compares the others with; "" for the first.
    matrices
        Name -> file of scores computed elsewhere.
    truths
        Name -> file of other people's truth, see `other_truths`.
    data
        A data folder to prepare; None for the pipeline's artefacts, which are computed from `data`
        if they do not fit the params.
    artifacts
        The folder of the artefacts; results go to `crossval/NAME` in it.
    name
        Of the run; "" for the recipe's, or "default".
    jobs
        Trainings at a time, each in a process of its own.
    """

    params: Path = PARAMS
    recipe: Path | None = None
    settings: Sequence[str] = ()
    seeds: Sequence[int] = (1,)
    fold_by: str = ""
    n_folds: int = 0
    on: On = "test"
    systems: Sequence[str] = ()
    against: str = ""
    matrices: Mapping[str, Path] = field(default_factory=dict)
    truths: Mapping[str, Path] = field(default_factory=dict)
    data: Path | None = None
    artifacts: Path = Path("artifacts")
    name: str = ""
    jobs: int = 1

    @property
    def run_name(self) -> str:
        """The name of the run."""
        return self.name or (self.recipe.stem if self.recipe else "default")

    @property
    def folder(self) -> Path:
        """The folder of the results: summary.json, summary.md, queries.parquet and the folds."""
        return self.artifacts / "crossval" / self.run_name


def cross_validate(
    options: CrossValidationOptions,
    progress: Progress = no_progress,
    on_epoch: OnEpoch = lambda task, epoch: None,
) -> ComparisonResult:
    """Train in each fold and compare the systems on all artists.

    A run that was stopped continues: finished folds stay in `options.folder`. The result is written
    there, and logged to MLflow unless `TWINEAR_TRACKING=off`.

    Parameters
    ----------
    progress
        Wraps the clips, the trainings and the protocols; `tqdm.tqdm` shows bars.
    on_epoch
        Called after every epoch of a training in this process (`jobs` 1).

    Raises
    ------
    TwinearError
        Params, data or scores that cannot be used, a training that failed.

    Examples
    --------
    >>> from tqdm import tqdm
    >>> options = CrossValidationOptions(seeds=(1, 2), settings=["training.epochs=10"])
    >>> result = cross_validate(options, progress=tqdm)  # doctest: +SKIP
    >>> result.protocols["all"].metrics["similarity"]["siamese"]["ndcg@10"]  # doctest: +SKIP
    {'value': 0.731, 'low': 0.68, 'high': 0.79}
    """
    recipe = read_recipe(options.params, options.recipe, options.settings)
    params = recipe.read("ranking", RankingParams)
    folders = _find_artefacts(options, recipe, progress)
    data = EvaluationData.read(folders)
    matrices = read_matrices(options.matrices, data.artists.artists)
    systems = choose_systems(options.systems, data, list(matrices))
    if options.against:
        require_system(options.against, [*systems, CHANCE], "against")
    others = read_truths(options.truths, data.identities, data.artists.truth, recipe)
    folds = plan_folds(data, recipe, options)
    trained: dict[int, list[FoldScores]] = {}
    if set(TRAINED) & set(systems):
        planned = plan_tasks(folds, folders, recipe, options)
        tasks = [task for of_seed in planned.values() for task in of_seed]
        scores = read_finished(tasks)
        n_finished = len(scores)
        done = run_tasks([task for task in tasks if task not in scores], options.jobs, on_epoch)
        scores |= progress(done, desc="folds", unit="fold", total=len(tasks), initial=n_finished)
        trained = {seed: [scores[task] for task in of_seed] for seed, of_seed in planned.items()}
    comparison = combine_folds(data, folds, trained, systems, matrices)
    comparison = replace(comparison, others=others)
    if folders.listens is not None:
        comparison = replace(
            comparison,
            sample=read_listener_sample(
                folders.listens,
                recipe.read("similarity", SimilarityParams),
                params.max_listeners,
                params.generator("sample"),
            ),
            strict=combine_strict(data, trained) if CATALOGUE in systems else {},
        )
    facts = {
        "name": options.run_name,
        "artists": len(comparison.artists),
        "folds": [len(fold.queries) for fold in folds],
        "fold_by": options.fold_by or "artist id",
        "judged": options.on,
        "seeds": list(trained),
        "params": recipe.place,
    }
    if trained:
        facts |= describe_trainings(folds, trained)
    result = compare_systems(comparison, params, progress, facts)
    written = write_result(result, options.against, options.folder)
    with open_folds(f"crossval-{options.run_name}", recipe.sections) as run:
        log_comparison(run, result, trained)
        for path in written:
            run.log_files(path)
    return result


def describe_trainings(
    folds: Sequence[Fold], trained: Mapping[int, Sequence[FoldScores]]
) -> dict[str, Any]:
    """Say what the trainings kept, in a sentence and one by one."""
    by_training = [
        (seed, fold.number, scores.decision)
        for seed, of_seed in trained.items()
        for fold, scores in zip(folds, of_seed, strict=True)
    ]
    return {
        "kept": count_kept([decision for *_, decision in by_training]),
        TRAININGS: [
            {
                "seed": seed,
                "fold": number,
                "kept": decision.kept,
                "embeddings_share": decision.embeddings and decision.embeddings.share,
            }
            for seed, number, decision in by_training
        ],
    }


def _find_artefacts(
    options: CrossValidationOptions, recipe: Recipe, progress: Progress
) -> ArtefactFolders:
    """Take the pipeline's artefacts if they fit the recipe, else compute them from the data."""
    listens = options.artifacts / "listens"
    folders = ArtefactFolders(
        similarity=options.artifacts / "similarity",
        spectrograms=options.artifacts / "spectrograms",
        listens=listens if listens.exists() else None,
    )
    params = PreparationParams.from_recipe(recipe)
    below = read_sections(options.params)
    if (
        options.data is None
        and all(
            recipe.sections.get(section) == below.get(section)
            for section in ("listens", "similarity", "clips", "storage")
        )
        and folders.similarity.exists()
        and folders.spectrograms.exists()
        and Spectrograms.read(folders.spectrograms).front == params.spectrograms
    ):
        return folders
    return prepare(options.data or Path("data"), params, options.artifacts, progress)


def plan_folds(data: EvaluationData, recipe: Recipe, options: CrossValidationOptions) -> list[Fold]:
    """Cut the artists with similarity and clips into folds."""
    split = recipe.read("split", SplitParams)
    n_folds = options.n_folds or split.n_folds
    ids = data.artists.ids
    if options.fold_by == SOURCE:
        if options.on == "validation":
            raise DataError(
                "--fold-by source",
                "with --on validation",
                remedy="choose settings by folds of artists, and compare sources on test",
            )
        sources = find_sources(data.spectrograms.clips.iloc[data.artists.clips], split.min_test)
        return cut_sources(ids, sources, n_folds, split.min_test)
    if options.fold_by:
        artists = data.similarity.artists.set_index("artist", drop=False).loc[ids]
        clips = (options.data or Path("data")) / "clips.csv"
        fold = fold_by_column(artists, clips, options.fold_by, n_folds)
    else:
        fold = fold_of(ids, n_folds)
    return cut_folds(ids, fold, n_folds, options.on, split.min_test)


def plan_tasks(
    folds: Sequence[Fold], folders: ArtefactFolders, recipe: Recipe, options: CrossValidationOptions
) -> dict[int, list[Task]]:
    """Plan one training for each seed and fold: seed -> the task of each fold."""
    training = recipe.read("training", TrainingParams)
    catalogue = recipe.read("catalogue", CatalogueParams)
    digest = folders.digest

    def plan(fold: Fold, seed: int) -> Task:
        return Task(
            fold=fold,
            folders=folders,
            digest=digest,
            training=training.model_copy(update={"seed": seed}),
            catalogue=catalogue,
            path=options.folder / f"fold{fold.number}-seed{seed}.npz",
        )

    return {seed: [plan(fold, seed) for fold in folds] for seed in options.seeds}


def log_comparison(
    run: Run, result: ComparisonResult, trained: Mapping[int, Sequence[FoldScores]]
) -> None:
    """Log the first system's measures with their intervals, and a table of all systems.

    Each fold is a run below: the means over its queries, and the training curves, the mean over the
    seeds.
    """
    tables = []
    system = next(iter(next(iter(result.protocols.values())).metrics[SIMILARITY]))
    for protocol, numbers in result.protocols.items():
        similarity, corrected = (numbers.metrics[name][system] for name in (SIMILARITY, CORRECTED))
        metrics = interval_metrics(similarity, SHOWN, f"{protocol}/")
        run.log_metrics(metrics | interval_metrics(corrected, [HEADLINE], f"{protocol}/corrected_"))
        others = {name: other.metrics for name, other in numbers.others.items()}
        for truth, table in (numbers.metrics | others).items():
            tables.append(tabulate_systems(table).assign(protocol=protocol, truth=truth))
    everything = pd.concat(tables, ignore_index=True).set_index(["protocol", "truth", "measure"])
    run.log_text(everything.to_csv(), "comparison.csv")
    run.tag_scorers([fold.scorer for folds in trained.values() for fold in folds])
    queries = result.queries
    chosen = (queries["truth"] == SIMILARITY) & (queries["system"] == system)
    for number, of_fold in queries[chosen & queries["metric"].isin(SHOWN)].groupby("fold"):
        means = of_fold.groupby(["protocol", "metric"])["value"].mean().dropna()
        ids = set(of_fold["query"])
        seeds = [f for folds in trained.values() for f in folds if ids == set(f.queries)]
        run.log_child(
            ChildRun(
                name=f"fold {number}",
                kind="fold",
                params={},
                scorers=[fold.scorer for fold in seeds],
                curve=_mean_curve([fold.history for fold in seeds]),
                metrics=dict(zip(map("/".join, means.index), map(float, means), strict=True)),
            )
        )


def _mean_curve(histories: Sequence[Sequence[Epoch]]) -> list[tuple[int, dict[str, float]]]:
    """Average the measures of each epoch over the trainings that reached it."""
    epochs: dict[int, list[dict[str, float]]] = {}
    for epoch in chain.from_iterable(histories):
        epochs.setdefault(epoch.epoch, []).append(epoch.measures)
    return [
        (number, {name: fmean(each[name] for each in measures) for name in measures[0]})
        for number, measures in sorted(epochs.items())
    ]


def write_result(result: ComparisonResult, against: str, folder: Path) -> list[Path]:
    """Write summary.json, summary.md and queries.parquet; return their paths."""
    paths = [folder / name for name in ("summary.json", "summary.md", "queries.parquet")]
    write_json(paths[0], result.as_json())
    facts = [
        f"- {name.replace('_', ' ')}: {value}"
        for name, value in result.facts.items()
        if name != TRAININGS  # a row for each of them
    ]
    table = format_comparison(result, against)
    write_text(paths[1], "\n".join(["# Cross-validation", "", *facts, "", "```text", table, "```"]))
    result.write_queries(paths[2])
    return paths
