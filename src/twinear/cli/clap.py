"""Make vectors of clips with a network that others trained."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_json


@app.command()
def embed(
    model: Annotated[
        str,
        typer.Option(help="A CLAP model: a folder, or ARTIST_INDEX/MODEL of the Hugging Face hub."),
    ],
    frames: Annotated[
        bool, typer.Option("--frames/--mean", help="A vector of each window, or one a clip.")
    ] = False,
    data: Annotated[Path, typer.Option(help="The data folder.")] = Path("data"),
    into: Annotated[
        Path | None, typer.Option(help="The table to write; else clips/vectors.npz in the data.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace/--keep", help="Replace vectors by another extractor.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the table of the clips' vectors with CLAP; goes on where it was stopped."""
    import os
    from dataclasses import asdict
    from functools import partial

    from tqdm import tqdm

    from twinear.compute.pool import choose_workers
    from twinear.encoders.clap import EmbedParams, embed_clips, load_extractor
    from twinear.spectrograms.embedding_table import TABLE

    extractor = load_extractor(model, partial(print, file=sys.stderr))
    unknown = "unknown; look it up before you use the vectors"
    print(f"licence of the weights: {extractor.licence or unknown}", file=sys.stderr)
    table = into or data / TABLE
    params = EmbedParams(frames=frames, replace=replace)
    progress = partial(tqdm, desc="clips", unit="clip")
    workers = choose_workers(os.environ)
    report = embed_clips(extractor, data, table, params, progress, workers)
    if as_json:
        print_json({"table": str(table)} | asdict(report))
        return
    for file, reason in report.set_aside.items():
        print(f"set aside: {file}: {reason}", file=sys.stderr)
    shape = " x ".join(map(str, report.shape))
    print(f"{table}: {report.clips} clips, {report.new} of them new, {shape} by {report.extractor}")
