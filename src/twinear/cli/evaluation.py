"""Validator: by cross-validation, or any scorer, matrix or embeddings on any data folder."""

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinear.base.errors import DataError
from twinear.cli.app import AsJson, app, print_json

if TYPE_CHECKING:
    from twinear.evaluation.comparison import Judgement
    from twinear.evaluation.crossval.folds import Fold
    from twinear.evaluation.crossval.scoring import FoldScores, Task
    from twinear.evaluation.dataset import Folders, Material
    from twinear.evaluation.recipes import Recipe
    from twinear.metrics.ranking_metrics import Floats


class Judged(StrEnum):
    """Whom `crossval` judges."""

    TEST = "test"
    VALIDATION = "validation"


ParamsFile = Annotated[Path, typer.Option(help="The params file.")]
RecipeFile = Annotated[
    Path | None, typer.Option(help="YAML of sections that override those of the params.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="One key: training.learning_rate=3e-4.")
]
Matrices = Annotated[
    list[str] | None,
    typer.Option("--matrix", help="NAME=FILE: scores made elsewhere (.npz, .csv)."),
]


@app.command()
def crossval(
    params: ParamsFile = Path("params.yaml"),
    recipe: RecipeFile = None,
    settings: Settings = None,
    seeds: Annotated[str, typer.Option(help="Of the trainings: 1,2,3.")] = "1",
    fold_by: Annotated[str, typer.Option(help="A column of clips.csv, instead of the id.")] = "",
    folds: Annotated[int, typer.Option(help="How many; 0: as split.n_folds says.")] = 0,
    on: Annotated[
        Judged, typer.Option(help="validation: to choose settings, test artists take no part.")
    ] = Judged.TEST,
    systems: Annotated[
        str, typer.Option(help="Only these: catalogue,l2; none trained, no wait.")
    ] = "",
    against: Annotated[str, typer.Option(help="Show every system's lead over this one.")] = "",
    matrices: Matrices = None,
    data: Annotated[
        Path | None, typer.Option(help="A data folder to prepare, instead of the artefacts.")
    ] = None,
    artifacts: Annotated[Path, typer.Option(help="The pipeline's artefacts.")] = Path("artifacts"),
    name: Annotated[str, typer.Option(help="Of the run; the recipe's, or 'default'.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train and judge in artist-disjoint folds: every artist is new to somebody once.

    Stop it whenever you like: finished folds stay in artifacts/crossval/NAME.
    """
    from twinear.evaluation.comparison import judge_contest
    from twinear.evaluation.crossval.plan import Splitting, plan_folds
    from twinear.evaluation.crossval.systems import choose_systems, form_contest, require_system
    from twinear.evaluation.dataset import Material
    from twinear.evaluation.recipes import read_recipe
    from twinear.ranking.ranking import CHANCE, RankingParams

    drawn = _seeds(seeds)
    chosen = read_recipe(params, recipe, settings or ())
    judged = chosen.read("ranking", RankingParams)
    named = name or (recipe.stem if recipe else "default")
    folders = _artefacts(chosen, params, data, artifacts)
    material = Material.read(folders)
    tables = _matrices(matrices or (), material)
    lined_up = choose_systems(_listed(systems), material, list(tables))
    if against:
        require_system(against, [*lined_up, CHANCE], "--against")
    splitting = Splitting(
        by=fold_by, clips=(data or Path("data")) / "clips.csv", on=on.value, n_folds=folds
    )
    cut = plan_folds(material, chosen, splitting)
    work = artifacts / "crossval" / named
    trained = _train(cut, drawn, lined_up, folders, chosen, work, jobs)
    contest = form_contest(material, cut, trained, lined_up, tables)
    judgement = judge_contest(contest, judged, _bar("judging", "protocol"))
    facts = {
        "name": named,
        "artists": len(contest.artists),
        "folds": [len(each.queries) for each in cut],
        "fold_by": fold_by or "artist id",
        "judged": on.value,
        "seeds": list(trained),
        "params": chosen.place,
    }
    _tell(judgement, facts, against, work, chosen, trained, as_json)


def _artefacts(recipe: "Recipe", params: Path, data: Path | None, artifacts: Path) -> "Folders":
    """The pipeline's own artefacts if they are what is asked for, else made from the data."""
    from twinear.evaluation.crossval.plan import fits, read_preparation
    from twinear.evaluation.dataset import Folders

    there = Folders(similarity=artifacts / "similarity", spectrograms=artifacts / "spectrograms")
    if data is None and fits(there, recipe, params):
        return there
    print(f"preparing {data or 'data'} as {recipe.place} says", file=sys.stderr)
    return _prepared(data or Path("data"), read_preparation(recipe), artifacts)


def _prepared(data: Path, how: Any, artifacts: Path) -> "Folders":
    import os

    from twinear.compute.pool import choose_workers
    from twinear.evaluation.dataset import prepare

    progress = _bar("clips", "clip")
    return prepare(data, how, artifacts / "prepared", progress, choose_workers(os.environ))


def _train(
    folds: "Sequence[Fold]",
    seeds: Sequence[int],
    systems: Sequence[str],
    folders: "Folders",
    recipe: "Recipe",
    work: Path,
    jobs: int,
) -> "dict[int, list[FoldScores]]":
    """Every fold and seed that is not there yet; seed -> fold by fold."""
    from tqdm import tqdm

    from twinear.evaluation.crossval.plan import plan_tasks
    from twinear.evaluation.crossval.running import finished, run_tasks
    from twinear.evaluation.crossval.scoring import TRAINED

    if not set(TRAINED) & set(systems):
        return {}
    planned = plan_tasks(folds, seeds, folders, recipe, work)
    every = [task for tasks in planned.values() for task in tasks]
    found = finished(every)
    todo = [task for task in every if task not in found]
    with tqdm(total=len(every), initial=len(found), desc="folds", unit="fold") as bar:

        def say(task: "Task", epoch: Any) -> None:
            at = f"fold {task.fold.number}, seed {task.training.seed}, epoch {epoch.epoch}"
            bar.set_postfix_str(f"{at}, ndcg {epoch.validation_ndcg:.3f}")

        for task, scores in run_tasks(todo, jobs, say):
            found[task] = scores
            bar.update()
    return {seed: [found[task] for task in tasks] for seed, tasks in planned.items()}


def _tell(
    judgement: "Judgement",
    facts: dict[str, Any],
    against: str,
    work: Path,
    recipe: "Recipe",
    trained: "dict[int, list[FoldScores]]",
    as_json: bool,
) -> None:
    from twinear.evaluation.comparison_table import format_judgement
    from twinear.evaluation.crossval.mlflow_log import log_judgement
    from twinear.evaluation.crossval.result import as_json as machine_readable
    from twinear.evaluation.crossval.result import write_result
    from twinear.tracking.crossval_runs import open_folds

    written = write_result(judgement, facts, against, work)
    with open_folds(f"crossval-{facts['name']}", recipe.sections) as run:
        log_judgement(run, judgement, trained)
        for path in written:
            run.log_files(path)
    if as_json:
        print_json(machine_readable(judgement, facts))
    else:
        print(format_judgement(judgement, against))
    print(f"written to {work}", file=sys.stderr)


@app.command()
def evaluate(
    scorer: Annotated[Path | None, typer.Argument(help="A scorer's file.")] = None,
    data: Annotated[Path, typer.Option(help="The data folder to judge on.")] = Path("data"),
    matrices: Matrices = None,
    embeddings: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: vectors by clip or artist (.npz, .csv, .parquet)."),
    ] = None,
    without: Annotated[
        Path | None,
        typer.Option(help="Artists to leave out: ids, or a split's CSV (not its test)."),
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    recipe: RecipeFile = None,
    settings: Settings = None,
    against: Annotated[str, typer.Option(help="Show every system's lead over this one.")] = "",
    queries: Annotated[
        Path | None, typer.Option(help="Write every query's values (Parquet).")
    ] = None,
    artifacts: Annotated[Path, typer.Option(help="Prepared data is kept there.")] = Path(
        "artifacts"
    ),
    as_json: AsJson = False,
) -> None:
    """Validator SCORER, a matrix of scores or a table of embeddings on any data folder."""
    from twinear.evaluation.comparison import judge_contest
    from twinear.evaluation.comparison_table import format_judgement
    from twinear.evaluation.crossval.plan import read_preparation
    from twinear.evaluation.crossval.result import as_json as machine_readable
    from twinear.evaluation.crossval.result import write_queries
    from twinear.evaluation.crossval.systems import require_system
    from twinear.evaluation.dataset import Material
    from twinear.evaluation.evaluation import form_evaluation, read_artists_to_leave_out
    from twinear.evaluation.recipes import read_recipe
    from twinear.model.scorer import Scorer
    from twinear.ranking.ranking import CHANCE, RankingParams

    if scorer is None and not matrices and not embeddings:
        expected = "a scorer's file, --matrix NAME=FILE or --embeddings NAME=FILE"
        raise DataError("twinear evaluate", "nothing to judge", expected=expected)
    chosen = read_recipe(params, recipe, settings or ())
    judged = chosen.read("ranking", RankingParams)
    trained = None if scorer is None else Scorer.read(scorer)
    how = read_preparation(chosen, None if trained is None else trained.spectrograms)
    material = Material.read(_prepared(data, how, artifacts))
    out = read_artists_to_leave_out(without, material) if without else set()
    material = material.without(out)
    contest = form_evaluation(
        material, _contenders(trained, chosen, matrices or (), embeddings or (), data, material)
    )
    if against:
        require_system(against, [*contest.scores, CHANCE], "--against")
    judgement = judge_contest(contest, judged, _bar("judging", "protocol"))
    if queries:
        write_queries(judgement, queries)
    facts = {"data": str(data), "artists": len(contest.artists), "left_out": len(out)}
    if as_json:
        print_json(machine_readable(judgement, facts))
        return
    print(f"{facts['artists']} artists of {data}, {len(out)} left out", file=sys.stderr)
    print(format_judgement(judgement, against))


def _contenders(
    scorer: Any,
    recipe: "Recipe",
    matrices: Sequence[str],
    embeddings: Sequence[str],
    data: Path,
    material: "Material",
) -> "dict[str, Floats]":
    """What is to be judged, in the order: scorer, matrices, embeddings."""
    from twinear.catalogue.catalogue import CatalogueParams
    from twinear.evaluation.evaluation import score_by_scorer
    from twinear.evaluation.external_embeddings import read_embeddings, score_embeddings
    from twinear.ranking.systems import form_lineup

    found: dict[str, Floats] = {}
    if scorer is not None:
        found |= score_by_scorer(scorer, material, recipe.read("catalogue", CatalogueParams))
    found |= _matrices(matrices, material)
    lineup = form_lineup(material.spectrograms, material.similarity)
    clips = list(material.spectrograms.clips["file"].iloc[lineup.clips])
    for name, path in _named(embeddings, "--embeddings"):
        table = read_embeddings(path)
        cosine, l2 = score_embeddings(table, lineup, clips, data, path)
        found |= {f"{name}_cosine": cosine, f"{name}_l2": l2}
    return found


def _matrices(options: Sequence[str], material: "Material") -> "dict[str, Floats]":
    from twinear.evaluation.external_scores import align_matrix, read_matrix
    from twinear.ranking.systems import form_lineup

    lineup = form_lineup(material.spectrograms, material.similarity)
    return {
        name: align_matrix(read_matrix(path), lineup.artists, path)
        for name, path in _named(options, "--matrix")
    }


def _named(options: Sequence[str], option: str) -> list[tuple[str, Path]]:
    named = []
    for each in options:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise DataError(option, f"found '{each}'", expected="NAME=FILE")
        named.append((name, Path(path)))
    return named


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _seeds(text: str) -> list[int]:
    words = _listed(text)
    if not words or len(set(words)) < len(words) or not all(map(str.isdecimal, words)):
        raise DataError("--seeds", f"found '{text}'", expected="different whole numbers: 1,2,3")
    return [int(each) for each in words]


def _bar(what: str, unit: str) -> Any:
    from functools import partial

    from tqdm import tqdm

    return partial(tqdm, desc=what, unit=unit)
