"""Champions: promote a scorer, go back to the one before, see who is champion."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinear.cli.app import AsJson, app, print_json

if TYPE_CHECKING:
    from twinear.retraining.promotion import Promotion, Rules

Data = Annotated[Path, typer.Option(help="The data folder.")]
Artifacts = Annotated[Path, typer.Option(help="What the pipeline made.")]
Into = Annotated[Path, typer.Option(help="Where the decision is written for people.")]
DATA, ARTIFACTS, DECISION = Path("data"), Path("artifacts"), Path("reports/champion.json")


@app.command()
def promote(
    scorer: Annotated[
        str, typer.Argument(help="A scorer's file, or models:/twinear/3.")
    ] = "artifacts/training/scorer.safetensors",
    again: Annotated[
        bool, typer.Option("--again/--never", help="Whether one that was rolled back may return.")
    ] = False,
    data: Data = DATA,
    artifacts: Artifacts = ARTIFACTS,
    into: Into = DECISION,
    as_json: AsJson = False,
) -> None:
    """Make a scorer champion if it ranks the held-out artists better; exit status 1 if refused."""
    import os

    from twinear.compute.pool import choose_workers
    from twinear.retraining.held_out import Folders
    from twinear.retraining.promotion import promote as decide

    folders = Folders(data=data, artifacts=artifacts)
    found = decide(scorer, folders, read_rules(), choose_workers(os.environ), again=again)
    _tell(found, into, as_json=as_json)


@app.command()
def rollback(into: Into = DECISION, as_json: AsJson = False) -> None:
    """Make the champion before this one champion again."""
    from twinear.retraining.promotion import roll_back

    _tell(roll_back(), into, as_json=as_json)


@app.command()
def champion(as_json: AsJson = False) -> None:
    """Show who is champion, and every decision, the latest first."""
    from dataclasses import asdict

    from twinear.tracking.promotions import follow, read_decisions

    named, decisions = follow(), read_decisions()[::-1]
    if as_json:
        shown = asdict(named) if named else None
        print_json({"champion": shown, "decisions": [asdict(each) for each in decisions]})
        return
    print(f"champion: {named.uri}, scorer {named.scorer[:10]}" if named else "no champion yet")
    for each in decisions:
        print(f"{each.number:>4}  version {each.version:<4}  {each.outcome:<11}  {each.reason}")


def read_rules() -> "Rules":
    """Every param that a promotion reads."""
    from twinear.base.params import read_params, read_stages
    from twinear.ranking.ranking import RankingParams
    from twinear.retraining.promotion import Rules
    from twinear.retraining.promotion_rule import PromotionParams

    return Rules(
        promotion=read_params("promotion", PromotionParams),
        ranking=read_params("ranking", RankingParams),
        sections=read_stages(),
    )


def _tell(found: "Promotion", into: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    if found.outcome != "kept":
        found.write(into)
    if as_json:
        print_json(asdict(found))
    else:
        for check in found.checks:
            print(check, file=sys.stderr)
        print(f"version {found.version} {found.outcome}: {found.reason}")
    if not found.stands:
        raise typer.Exit(1)
