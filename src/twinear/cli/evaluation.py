"""Evaluate: by cross-validation, or any scorer, matrix or embeddings on any data folder."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twinear.base.errors import DataError
from twinear.cli.app import AsJson, app, print_json, print_result

if TYPE_CHECKING:
    from tqdm import tqdm

    from twinear.evaluation.crossval.fold_scores import Task
    from twinear.training.checkpoint import Epoch

ParamsFile = Annotated[Path, typer.Option(help="The params file.")]
RecipeFile = Annotated[
    Path | None, typer.Option(help="YAML of sections that override those of the params.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Override one key: training.learning_rate=3e-4.")
]
Matrices = Annotated[
    list[str] | None,
    typer.Option("--matrix", help="NAME=FILE: scores computed elsewhere (.npz, .csv)."),
]
Truths = Annotated[
    list[str] | None,
    typer.Option(
        "--truth", help="NAME=FILE: other people's listens, or a CSV artist,similar_artist."
    ),
]
ARTIFACTS = Path("artifacts")
Against = Annotated[str, typer.Option(help="Show every system's lead over this one.")]


@app.command()
def crossval(
    params: ParamsFile = Path("params.yaml"),
    recipe: RecipeFile = None,
    settings: Settings = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings: 1,2,3.")] = "1",
    fold_by: Annotated[
        str,
        typer.Option(
            help="A column of clips.csv that decides the fold, or source: hold out one source of "
            "clips at a time. By default the artist's id."
        ),
    ] = "",
    folds: Annotated[int, typer.Option(help="How many folds; 0: split.n_folds.")] = 0,
    on: Annotated[
        Literal["test", "validation"],
        typer.Option(help="validation: to choose settings; test artists take no part."),
    ] = "test",
    systems: Annotated[
        str, typer.Option(help="Only these systems: l2,mfcc. Nothing is trained without need.")
    ] = "",
    against: Against = "",
    matrices: Matrices = None,
    truths: Truths = None,
    data: Annotated[
        Path | None, typer.Option(help="A data folder to prepare, instead of the artefacts.")
    ] = None,
    artifacts: Annotated[Path, typer.Option(help="The pipeline's artefacts.")] = ARTIFACTS,
    name: Annotated[
        str, typer.Option(help="Name of the run; by default the recipe's, or 'default'.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate in folds without common artists: every artist is held out once.

    Stop it at any time: finished folds are kept in artifacts/crossval/NAME.
    """
    from twinear.evaluation.comparison_table import format_comparison
    from twinear.evaluation.cross_validation import CrossValidationOptions, cross_validate
    from twinear.report.figure_set import write_worth

    options = CrossValidationOptions(
        params=params,
        recipe=recipe,
        settings=settings or (),
        seeds=_parse_seeds(seeds),
        fold_by=fold_by,
        n_folds=folds,
        on=on,
        systems=_split(systems),
        against=against,
        matrices=_parse_files(matrices, "--matrix"),
        truths=_parse_truths(truths),
        data=data,
        artifacts=artifacts,
        name=name,
        jobs=jobs,
    )
    bars = _Bars()
    result = cross_validate(options, bars, bars.show_epoch)
    for protocol, numbers in result.protocols.items():
        if numbers.listeners is not None:
            write_worth(numbers.listeners, options.folder / f"listeners_{protocol}.png")
    print_result(result.as_json(), format_comparison(result, against), as_json=as_json)
    print(f"written to {options.folder}", file=sys.stderr)


@app.command()
def evaluate(
    scorer: Annotated[Path | None, typer.Argument(help="A scorer's file.")] = None,
    data: Annotated[Path, typer.Option(help="The data folder to evaluate on.")] = Path("data"),
    matrices: Matrices = None,
    embeddings: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: vectors by clip or artist (.npz, .csv, .parquet)."),
    ] = None,
    truths: Truths = None,
    without: Annotated[
        Path | None,
        typer.Option(help="Artists to leave out: ids, or a split's CSV (except its test)."),
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    recipe: RecipeFile = None,
    settings: Settings = None,
    against: Against = "",
    queries: Annotated[
        Path | None, typer.Option(help="Write the values of all queries (Parquet).")
    ] = None,
    artifacts: Annotated[Path, typer.Option(help="Prepared data is kept there.")] = ARTIFACTS,
    as_json: AsJson = False,
) -> None:
    """Evaluate SCORER, a matrix of scores or a table of embeddings on any data folder."""
    from twinear.evaluation.comparison_table import format_comparison
    from twinear.evaluation.evaluation import EvaluationOptions
    from twinear.evaluation.evaluation import evaluate as evaluate_options

    options = EvaluationOptions(
        scorer=scorer,
        matrices=_parse_files(matrices, "--matrix"),
        embeddings=_parse_files(embeddings, "--embeddings"),
        truths=_parse_truths(truths),
        data=data,
        without=without,
        params=params,
        recipe=recipe,
        settings=settings or (),
        against=against,
        artifacts=artifacts,
    )
    result = evaluate_options(options, _Bars())
    if queries:
        result.write_queries(queries)
    if as_json:
        print_json(result.as_json())
        return
    facts = result.facts
    print(f"{facts['artists']} artists of {data}, {facts['left_out']} left out", file=sys.stderr)
    print(format_comparison(result, against))


class _Bars:
    """Progress bars on stderr; the bar of the folds shows the epoch of the training."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __call__(self, items: Iterable[Any], **options: Any) -> Iterable[Any]:
        from tqdm import tqdm

        self._bar = tqdm(items, **options)
        return self._bar

    def show_epoch(self, task: "Task", epoch: "Epoch") -> None:
        if self._bar is not None:
            at = f"fold {task.fold.number}, seed {task.training.seed}, epoch {epoch.epoch}"
            self._bar.set_postfix_str(f"{at}, ndcg {epoch.validation_ndcg:.3f}")


def _parse_files(texts: Sequence[str] | None, option: str) -> dict[str, Path]:
    files = {}
    for text in texts or ():
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise DataError(option, f"found '{text}'", expected="NAME=FILE")
        files[name] = Path(path)
    return files


def _parse_truths(texts: Sequence[str] | None) -> dict[str, Path]:
    files = _parse_files(texts, "--truth")
    for name in ("similarity", "corrected"):
        if name in files:
            raise DataError("--truth", f"the name '{name}' is taken", remedy="take another")
    return files


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parse_seeds(text: str) -> list[int]:
    words = _split(text)
    if not words or len(set(words)) < len(words) or not all(map(str.isdecimal, words)):
        raise DataError("--seeds", f"found '{text}'", expected="different whole numbers: 1,2,3")
    return [int(word) for word in words]
