"""What every command shares: the app, the `--json` flag, and how results are printed.

Results go to stdout, progress and errors to stderr. Every command imports what it needs when it
runs, so that `--help` answers at once.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Which artists sound alike, learned from what people listen to.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

fetch = typer.Typer(help="Fetch from services, or from your own music.", no_args_is_help=True)
clips = typer.Typer(help="What is known of the clips in the data folder.", no_args_is_help=True)
app.add_typer(fetch, name="fetch")
app.add_typer(clips, name="clips")

REGISTERED = "models:/"  # before the name of a registered scorer
AsJson = Annotated[bool, typer.Option("--json/--text", help="JSON for machines, or text.")]


def local_catalogue(context: typer.Context, catalogue: Path) -> Path:
    """Fetch the catalogue of a registered scorer for the time of the command; keep a folder's."""
    if not str(catalogue).startswith(REGISTERED):
        return catalogue
    from twinear.tracking.registry import catalogue_folder  # with MLflow, slow to import

    return context.with_resource(catalogue_folder(str(catalogue)))


def print_result(value: Any, text: str, *, as_json: bool) -> None:
    """Print a value for machines, or its text."""
    print_json(value) if as_json else print(text)


def print_json(value: Any) -> None:
    """Print a value for machines; in ASCII where the output has not every letter."""
    whole = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(value, ensure_ascii=not whole, indent=2))
