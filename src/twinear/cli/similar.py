"""Ask the trained scorer: who sounds like whom, and how well it ranks."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from twinear.base.errors import DataError
from twinear.cli.app import AsJson, app, print_json, print_result


@app.command()
def similar(
    artist: Annotated[str, typer.Argument(help="Name or id; case and accents do not matter.")],
    top: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 10,
    catalogue: Annotated[Path, typer.Option(help="The catalogue's folder.")] = Path(
        "artifacts/catalogue"
    ),
    as_json: AsJson = False,
) -> None:
    """Show the artists that sound most like ARTIST, with scores in 0..1."""
    from twinear.catalogue.search import find_neighbours

    neighbours = find_neighbours(catalogue, artist, top)
    if as_json:
        print_json(asdict(neighbours))
        return
    width = max((len(similar.name) for similar in neighbours.similar), default=0)
    for similar in neighbours.similar:
        print(f"{similar.rank:>3}  {similar.name:<{width}}  {similar.score:.3f}")


@app.command()
def score(
    clip: Annotated[Path, typer.Argument(help="An audio file.")],
    other: Annotated[Path, typer.Argument(help="Another audio file.")],
    scorer: Annotated[
        str, typer.Option(help="The scorer's file, or models:/twinear@champion.")
    ] = "artifacts/training/scorer.safetensors",
    as_json: AsJson = False,
) -> None:
    """Score how alike two clips sound, 0..1."""
    from twinear import inference
    from twinear.tracking.registry import scorer_file

    with scorer_file(scorer) as path:
        value = inference.score(inference.load_scorer(path), clip, other)
    result = {"clip": str(clip), "other": str(other), "score": value}
    print_result(result, f"{value:.3f}", as_json=as_json)


@app.command()
def ranking(
    reports: Annotated[Path, typer.Option(help="The folder of the reports.")] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Show how well the catalogue and the siamese network rank, beside chance and the baselines."""
    from twinear.ranking.table import format_table

    numbers = _read_json(reports / "ranking.json")
    differences = _read_json(reports / "differences.json")
    if as_json:
        print_json({"ranking": numbers, "differences": differences})
    else:
        print(format_table(numbers, differences))


@app.command()
def reproduction(as_json: AsJson = False) -> None:
    """Show the ranking of this machine beside the committed one, and why they differ."""
    from twinear.ranking.reproduction import format_reproduction, read_reproduction

    compared = read_reproduction()
    if compared is None:
        remedy = "run this in a git checkout of the project"
        raise DataError("reports/ranking.json", "is in no commit to compare with", remedy=remedy)
    print_result(asdict(compared), format_reproduction(compared), as_json=as_json)


def _read_json(path: Path) -> Any:
    from twinear.base.files import require

    try:
        return json.loads(require(path, "run 'dvc repro'").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(path, f"is not JSON ({error})", remedy="run 'dvc repro'") from error
