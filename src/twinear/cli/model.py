"""Give a scorer to others, or take one in."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinear.cli.app import AsJson, app, print_result

if TYPE_CHECKING:
    from twinear.exchange import ExchangedModel

model = typer.Typer(help="Give a scorer to others, or take one in.", no_args_is_help=True)
app.add_typer(model, name="model")

Replace = Annotated[bool, typer.Option("--replace/--keep", help="Replace a model that is there.")]


@model.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="The folder to write, new or empty.")],
    scorer: Annotated[
        str, typer.Option(help="The scorer's file, or models:/twinear@champion.")
    ] = "artifacts/training/scorer.safetensors",
    card: Annotated[
        Path, typer.Option(help="The model card that the report wrote for this scorer.")
    ] = Path("reports/model_card.md"),
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Write a folder with the scorer, its card, its settings and the licences, to be published."""
    from twinear.exchange import export_model
    from twinear.tracking.registry import scorer_file

    with scorer_file(scorer) as path:
        exported = export_model(path, card, folder, replace=replace)
    _show(exported, as_json=as_json)


@model.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="A folder that 'twinear model export' wrote.")],
    into: Annotated[Path, typer.Option(help="The folder to write.")] = Path("artifacts/model"),
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Check an exported folder and copy it into this project."""
    from twinear.exchange import import_model

    imported = import_model(folder, into, replace=replace)
    _show(imported, as_json=as_json)
    print(f"next: twinear score CLIP OTHER --scorer {imported.scorer}", file=sys.stderr)


def _show(exchanged: "ExchangedModel", *, as_json: bool) -> None:
    lines = [f"{exchanged.folder}: {', '.join(exchanged.files)}", f"scorer {exchanged.sha256}"]
    if exchanged.encoder:
        lines.append(f"needs the encoder {exchanged.encoder}")
    print_result(asdict(exchanged), "\n".join(lines), as_json=as_json)
