"""Import your own data, or make the bundled sample."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_json


@app.command("import")
def import_(
    listens: Annotated[Path, typer.Option(help="A listens file, or the folder that holds it.")],
    clips: Annotated[Path, typer.Option(help="A clips table (CSV), or a folder Artist/….")],
    vectors: Annotated[
        Path | None, typer.Option(help="A table of the clips' embeddings: .npz, .csv or .parquet.")
    ] = None,
    into: Annotated[Path, typer.Option(help="The data folder to write.")] = Path("data"),
    replace: Annotated[
        bool, typer.Option("--replace/--keep", help="Replace what is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import listens and clips into the data folder."""
    from twinear.acquisition.import_corpus import import_corpus

    report = asdict(import_corpus(listens, clips, into, replace=replace, vectors=vectors))
    if as_json:
        print_json(report)
        return
    for name, value in report.items():
        print(f"{name}: {value}")
    print("next: dvc add data, then dvc repro", file=sys.stderr)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="A folder to write, new or empty.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make the bundled sample: imagined artists, synthesised clips, simulated listeners."""
    from tqdm import tqdm

    from twinear.acquisition.sample.corpus import write_sample

    write_sample(folder, seed, partial(tqdm, unit="artist"))
    if as_json:
        print_json({"folder": str(folder), "seed": seed})
    else:
        print(folder)
