"""Retrain: check the data, run the pipeline, promote the winner, say what happened."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import app
from twinear.cli.promotion import ARTIFACTS, DATA, Artifacts, Data, read_rules


@app.command()
def retrain(
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift/--block-drift", help="You have looked: take the data.")
    ] = False,
    data: Data = DATA,
    artifacts: Artifacts = ARTIFACTS,
    reports: Annotated[Path, typer.Option(help="The folder of the reports.")] = Path("reports"),
) -> None:
    """Retrain on new data, as far as its checks allow; exit status 1 if nobody was promoted.

    The summary goes to stdout, to reports/retraining.md, and to the page of a GitHub workflow.
    """
    from twinear.base.files import write_text
    from twinear.base.params import read_params
    from twinear.compute.pool import choose_workers
    from twinear.retraining.acceptance import AcceptanceParams
    from twinear.retraining.held_out import Folders
    from twinear.retraining.retraining import Errand, retrain
    from twinear.retraining.summary import summarise

    errand = Errand(
        folders=Folders(data=data, artifacts=artifacts),
        reports=reports,
        rules=read_rules(),
        acceptance=read_params("acceptance", AcceptanceParams),
        workers=choose_workers(os.environ),
        accept_drift=accept_drift,
    )
    done = retrain(errand)
    write_text(reports / "retraining.md", summarise(done, pictures=True))
    _add_to_workflow(text := summarise(done, pictures=False))
    print(text)
    if not done.succeeded:
        print(f"error: {done.outcome}: {done.reason}", file=sys.stderr)
        raise typer.Exit(1)


def _add_to_workflow(text: str) -> None:
    """Append to the summary of the workflow's step, where one runs us."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
