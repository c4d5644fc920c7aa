"""Search for better params."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_result
from twinear.cli.promotion import ARTIFACTS, ArtifactsFolder


@app.command()
def tune(
    trials: Annotated[
        int, typer.Option(min=0, help="Trials in all, earlier ones included; 0: as in params.yaml.")
    ] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop the search after so many minutes.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    study: Annotated[str, typer.Option(help="The study to start or resume.")] = "twinear",
    storage: Annotated[
        str,
        typer.Option(
            help="A file, postgresql+pg8000://user:password@host/database, or grpc://host:port.",
            envvar="TWINEAR_STORAGE",
        ),
    ] = "artifacts/tuning/journal.log",
    restart: Annotated[
        bool, typer.Option("--restart/--resume", help="Delete the study first, or resume it.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply/--show", help="Write the best values into params.yaml.")
    ] = False,
    confirm: Annotated[
        int | None, typer.Option(min=0, help="New seeds to compare the best and the defaults with.")
    ] = None,
    artifacts: ArtifactsFolder = ARTIFACTS,
    reports: Annotated[Path, typer.Option(help="The folder for summary and figures.")] = Path(
        "reports/tuning"
    ),
    as_json: AsJson = False,
) -> None:
    """Search for better params. Options that are not given are read from params.yaml."""
    from tqdm import tqdm

    from twinear.base.params import PARAMS
    from twinear.tuning.evaluation import Sources
    from twinear.tuning.summary import format_summary
    from twinear.tuning.tune import TuningRequest, read_tuning, tune

    tuning = read_tuning(PARAMS, trials=trials or None, minutes=minutes, workers=workers)
    if confirm is not None:
        tuning = tuning.model_copy(update={"confirm_seeds": tuning.confirm_seeds[:confirm]})
    request = TuningRequest(
        params=PARAMS,
        sources=Sources(
            spectrograms=artifacts / "spectrograms",
            similarity=artifacts / "similarity",
            split=artifacts / "split.csv",
        ),
        study=study,
        storage=storage,
        folder=artifacts / "tuning",
        reports=reports,
        restart=restart,
        apply=apply,
    )
    try:
        summary = tune(request, tuning, partial(tqdm, unit="trial"))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    print_result(summary.as_json(), format_summary(summary), as_json=as_json)
    print(f"summary and figures: {reports}", file=sys.stderr)
