"""Retrain: check the data, run the pipeline, promote a better scorer, write a summary."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import app
from twinear.cli.promotion import ARTIFACTS, DATA, ArtifactsFolder, DataFolder, read_rules


@app.command()
def retrain(
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift/--block-drift", help="Accept the data: you have looked.")
    ] = False,
    data: DataFolder = DATA,
    artifacts: ArtifactsFolder = ARTIFACTS,
    reports: Annotated[Path, typer.Option(help="The folder of the reports.")] = Path("reports"),
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
