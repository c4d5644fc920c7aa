"""Ask the trained scorer: who sounds like whom, and how well it ranks."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from twinear.base.errors import DataError
from twinear.cli.app import AsJson, app, local_catalogue, print_json, print_result

CatalogueFolder = Annotated[Path, typer.Option(help="The catalogue's folder.")]
AnyCatalogue = Annotated[
    Path,
    typer.Option(help="The catalogue's folder, or that of a champion: models:/twinear@champion."),
]
CATALOGUE = Path("artifacts/catalogue")
DataFolder = Annotated[Path, typer.Option(help="The folder that clips are relative to.")]
DATA = Path("data")


@app.command()
def similar(
    context: typer.Context,
    artists: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names or ids; case and accents do not matter. Of several: what is near to all."
        ),
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(help="An audio file of an artist that is not there; give it for each clip."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many artists.")] = 10,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave this artist out; may be repeated.")
    ] = None,
    max_listeners: Annotated[
        int | None, typer.Option(min=0, help="Only artists with at most so many listeners.")
    ] = None,
    balance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="0: sound alone, 1: listeners alone. [default: as built]"),
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse/--alike", help="No artists that are very near to each other.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact/--indexed", help="Score all artists, not only candidates.")
    ] = False,
    why: Annotated[
        bool, typer.Option("--why/--no-why", help="Say why each of them is similar.")
    ] = False,
    data: DataFolder = DATA,
    catalogue: AnyCatalogue = CATALOGUE,
    as_json: AsJson = False,
) -> None:
    """Show the artists that sound most like ARTISTS, or like new clips, with scores in 0..1."""
    from twinear.recommendation.collection import Collection
    from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar

    options = SimilarOptions(
        top=top,
        without=tuple(without or ()),
        max_listeners=max_listeners,
        balance=balance,
        diverse=diverse,
        exact=exact,
    )
    collection = Collection.open(local_catalogue(context, catalogue))
    _warn(collection.warnings)
    asked = ask(collection, artists or (), clip or (), exact=exact)
    found = find_similar(collection, asked, options)
    reasons = []
    if why:
        from twinear.recommendation.why import explain, format_why

        scorer = collection.load_scorer()
        reasons = [
            explain(collection, seed, artist.artist, data, scorer=scorer)
            for artist in found.similar
            for seed in asked
        ]
    if as_json:
        print_json(asdict(found) | ({"why": [asdict(each) for each in reasons]} if why else {}))
        return
    if not found.similar:
        print("no artist is left of those that were asked for", file=sys.stderr)
    width = max((len(artist.name) for artist in found.similar), default=0)
    digits = distinct_digits([artist.score for artist in found.similar])
    for artist in found.similar:
        print(f"{artist.rank:>3}  {artist.name:<{width}}  {artist.score:.{digits}f}")
    for each in reasons:
        print(f"\n{format_why(each, sys.stdout.encoding or 'ascii')}")


@app.command()
def similar_clips(
    context: typer.Context,
    clip: Annotated[
        str, typer.Argument(help="A clip of the catalogue, as in clips.csv, or an audio file.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many clips.")] = 10,
    one_per_artist: Annotated[
        bool, typer.Option("--one-per-artist/--all", help="Only the best clip of each artist.")
    ] = False,
    catalogue: AnyCatalogue = CATALOGUE,
    as_json: AsJson = False,
) -> None:
    """Show the clips that sound most like CLIP, by the network alone, with scores in 0..1."""
    from twinear.recommendation.collection import Collection
    from twinear.recommendation.similar_clips import find_similar_clips

    collection = Collection.open(local_catalogue(context, catalogue))
    _warn(collection.warnings)
    found = find_similar_clips(collection, clip, top, one_per_artist=one_per_artist)
    if as_json:
        print_json({"clip": clip, "similar": [asdict(each) for each in found]})
        return
    width = max((len(each.name) for each in found), default=0)
    digits = distinct_digits([each.score for each in found])
    for each in found:
        title = f"  {each.title}" if each.title else ""
        print(f"{each.rank:>3}  {each.name:<{width}}  {each.score:.{digits}f}  {each.file}{title}")


def _warn(warnings: Sequence[str]) -> None:
    for line in warnings:
        print(f"left out: {line}", file=sys.stderr)


def distinct_digits(scores: Sequence[float], least: int = 3, most: int = 9) -> int:
    """Find how many decimals show different scores as different.

    Examples
    --------
    >>> distinct_digits([0.34361, 0.34358, 0.2])
    5
    """
    for digits in range(least, most):
        if len({f"{score:.{digits}f}" for score in scores}) == len(set(scores)):
            return digits
    return most


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
    from textwrap import fill

    from pydantic import TypeAdapter

    from twinear.ranking.summary import NOTE
    from twinear.ranking.table import format_table
    from twinear.training.keeping import KeepDecision, describe

    numbers = _read_json(reports / "ranking.json")
    differences = _read_json(reports / "differences.json")
    learning = _read_json(reports / "training.json")
    if as_json:
        print_json({"ranking": numbers, "differences": differences, "training": learning})
    elif NOTE in numbers:
        print(f"{numbers[NOTE]}; bring some in with 'twinear import --listens …'")
    else:
        decision = TypeAdapter(KeepDecision).validate_python(learning)
        print(f"{format_table(numbers, differences)}\n\n{fill(describe(decision), 100)}")


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
