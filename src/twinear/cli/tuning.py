"""Search for better params."""

from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_json


@app.command()
def tune(
    trials: Annotated[
        int, typer.Option(min=0, help="Trials in all, also before a resume; 0: see params.yaml.")
    ] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop the search after that long.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials at a time.")] = None,
    study: Annotated[str, typer.Option(help="The study to begin or to go on with.")] = "twinear",
    storage: Annotated[
        str,
        typer.Option(
            help="A file, postgresql+pg8000://user:password@host/database, or grpc://host:port.",
            envvar="TWINEAR_STORAGE",
        ),
    ] = "artifacts/tuning/journal.log",
    restart: Annotated[
        bool, typer.Option("--restart/--resume", help="Forget the study, or go on with it.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply/--show", help="Write the best values into params.yaml.")
    ] = False,
    confirm: Annotated[
        int | None,
        typer.Option(min=0, help="Fresh seeds to compare the best and the defaults with."),
    ] = None,
    artifacts: Annotated[Path, typer.Option(help="What the stages have written.")] = Path(
        "artifacts"
    ),
    reports: Annotated[Path, typer.Option(help="Where summary and figures go.")] = Path(
        "reports/tuning"
    ),
    as_json: AsJson = False,
) -> None:
    """Search for better params. What is not given stands in params.yaml. Resumes."""
    import sys
    from functools import partial

    from tqdm import tqdm

    from twinear.base.params import PARAMS
    from twinear.tuning.evaluation import Sources
    from twinear.tuning.summary import format_summary
    from twinear.tuning.tune import Request, read_tuning, tune

    tuning = read_tuning(PARAMS, trials=trials or None, minutes=minutes, workers=workers)
    if confirm is not None:
        tuning = tuning.model_copy(update={"confirm_seeds": tuning.confirm_seeds[:confirm]})
    request = Request(
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
    if as_json:
        print_json(summary.as_json())
    else:
        print(format_summary(summary))
    print(f"summary and figures: {reports}", file=sys.stderr)
