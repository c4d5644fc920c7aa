"""Champions: promote a scorer, roll back, show the champion, retrain on new data."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinear.cli.app import AsJson, app, print_json

if TYPE_CHECKING:
    from twinear.retraining.promotion import Promotion, Rules

DataFolder = Annotated[Path, typer.Option(help="The data folder.")]
ArtifactsFolder = Annotated[Path, typer.Option(help="The folder that the pipeline writes.")]
DecisionFile = Annotated[Path, typer.Option(help="The file for the decision, to be committed.")]
ReportsFolder = Annotated[Path, typer.Option(help="The folder of the reports.")]
DATA, ARTIFACTS, REPORTS = Path("data"), Path("artifacts"), Path("reports")
DECISION = REPORTS / "champion.json"


@app.command()
def promote(
    scorer: Annotated[
        str, typer.Argument(help="A scorer's file, or models:/twinear/3.")
    ] = "artifacts/training/scorer.safetensors",
    again: Annotated[
        bool, typer.Option("--again/--never", help="Whether a rolled back scorer may return.")
    ] = False,
    data: DataFolder = DATA,
    artifacts: ArtifactsFolder = ARTIFACTS,
    into: DecisionFile = DECISION,
    as_json: AsJson = False,
) -> None:
    """Make a scorer champion if it ranks the held-out artists better; exit status 1 if refused."""
    from twinear.compute.pool import choose_workers
    from twinear.retraining.decision_file import find_missing_champion
    from twinear.retraining.held_out import PipelineFolders
    from twinear.retraining.promotion import promote as decide

    if missing := find_missing_champion(into):
        print(f"not compared with it: {missing}", file=sys.stderr)
    folders = PipelineFolders(data=data, artifacts=artifacts)
    promotion = decide(scorer, folders, read_rules(), choose_workers(os.environ), again=again)
    _show(promotion, into, as_json=as_json)


@app.command()
def rollback(into: DecisionFile = DECISION, as_json: AsJson = False) -> None:
    """Make the champion before this one champion again."""
    from twinear.retraining.decision_file import find_missing_champion
    from twinear.retraining.promotion import roll_back

    if missing := find_missing_champion(into):
        raise missing
    _show(roll_back(), into, as_json=as_json)


@app.command()
def champion(
    checkout: Annotated[
        bool,
        typer.Option(
            "--checkout/--show", help="Bring its scorer, catalogue and reports into the workspace."
        ),
    ] = False,
    artifacts: ArtifactsFolder = ARTIFACTS,
    reports: ReportsFolder = REPORTS,
    as_json: AsJson = False,
) -> None:
    """Show the champion, and every decision, the latest first; or bring it into the workspace."""
    from twinear.retraining.decision_file import find_missing_champion
    from twinear.retraining.held_out import PipelineFolders
    from twinear.tracking.promotions import follow, read_decisions
    from twinear.tracking.registry import CHAMPION, check_out, resolve

    version, decisions = follow(), read_decisions()[::-1]
    if missing := find_missing_champion(reports / DECISION.name):
        raise missing
    if checkout:
        version = version or resolve(CHAMPION)  # whose error says what is missing
        folders = PipelineFolders(data=DATA, artifacts=artifacts)
        check_out(version, folders.scorer, folders.catalogue, reports)
        brought = f"{folders.scorer}, {folders.catalogue} and {reports}"
        print(f"{brought} are of {version.uri}", file=sys.stderr)
    if as_json:
        content = asdict(version) if version else None
        print_json({"champion": content, "decisions": [asdict(each) for each in decisions]})
        return
    scorer = f"champion: {version.uri}, scorer {version.scorer[:10]}" if version else ""
    print(scorer or "no champion yet")
    for each in decisions:
        print(f"{each.number:>4}  version {each.version:<4}  {each.outcome:<11}  {each.reason}")


@app.command()
def retrain(
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift/--block-drift", help="Accept the data: you have looked.")
    ] = False,
    push: Annotated[
        bool,
        typer.Option("--push/--no-push", help="Push the artefacts of a champion to the remote."),
    ] = False,
    data: DataFolder = DATA,
    artifacts: ArtifactsFolder = ARTIFACTS,
    reports: ReportsFolder = REPORTS,
) -> None:
    """Retrain on new data, if its checks pass; exit status 1 unless the scorer is champion.

    The summary goes to stdout, to reports/retraining.md, and to the page of a GitHub workflow.
    """
    from twinear.base.files import write_text
    from twinear.base.params import read_params
    from twinear.compute.pool import choose_workers
    from twinear.retraining.acceptance import AcceptanceParams
    from twinear.retraining.held_out import PipelineFolders
    from twinear.retraining.retraining import RetrainingRequest, retrain
    from twinear.retraining.summary import summarise

    request = RetrainingRequest(
        folders=PipelineFolders(data=data, artifacts=artifacts),
        reports=reports,
        rules=read_rules(),
        acceptance=read_params("acceptance", AcceptanceParams),
        workers=choose_workers(os.environ),
        accept_drift=accept_drift,
        push=push,
    )
    retraining = retrain(request)
    write_text(reports / "retraining.md", summarise(retraining, pictures=True))
    summary = summarise(retraining, pictures=False)
    if workflow := os.environ.get("GITHUB_STEP_SUMMARY"):  # the page of a GitHub workflow
        with Path(workflow).open("a", encoding="utf-8") as file:
            file.write(summary + "\n")
    print(summary)
    if not retraining.succeeded:
        print(f"error: {retraining.outcome}: {retraining.reason}", file=sys.stderr)
        raise typer.Exit(1)


def read_rules() -> "Rules":
    """Read every param of a promotion."""
    from twinear.base.params import read_params, read_stages
    from twinear.catalogue.params import CatalogueParams
    from twinear.ranking.ranking import RankingParams
    from twinear.retraining.promotion import Rules
    from twinear.retraining.promotion_rule import PromotionParams

    return Rules(
        promotion=read_params("promotion", PromotionParams),
        ranking=read_params("ranking", RankingParams),
        pooling=read_params("catalogue", CatalogueParams).pooling,
        sections=read_stages(),
    )


def _show(promotion: "Promotion", into: Path, *, as_json: bool) -> None:
    if promotion.outcome != "kept":
        promotion.write(into)
    if as_json:
        print_json(asdict(promotion))
    else:
        for check in promotion.checks:
            print(check, file=sys.stderr)
        named = f"version {promotion.version}" if promotion.version else "not registered,"
        print(f"{named} {promotion.outcome}: {promotion.reason}")
    if not promotion.stands:
        raise typer.Exit(1)
