"""Embed clips with a pre-trained network."""

import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_json
from twinear.encoders.loading import DEFAULT, load_encoder


@app.command()
def embed(
    model: Annotated[
        str,
        typer.Option(
            help="musicnn-msd, musicnn-mtt, or a CLAP model: a folder, or OWNER/MODEL of the "
            "Hugging Face hub."
        ),
    ] = DEFAULT,
    frames: Annotated[
        bool, typer.Option("--frames/--mean", help="One vector a window, or one a clip.")
    ] = False,
    data: Annotated[Path, typer.Option(help="The data folder.")] = Path("data"),
    into: Annotated[
        Path | None,
        typer.Option(
            help="The table to write; clips/embeddings.npz in the data folder by default."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace/--keep", help="Replace embeddings of another extractor.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Embed the clips with a pre-trained network; a run that was stopped is resumed."""
    from tqdm import tqdm

    from twinear.compute.pool import choose_workers
    from twinear.encoders.embedding import EmbedParams, embed_clips
    from twinear.spectrograms.embedding_table import TABLE

    encoder = load_encoder(model, partial(print, file=sys.stderr))
    unknown = "unknown; look it up before you use the embeddings"
    print(f"licence of the weights: {encoder.licence or unknown}", file=sys.stderr)
    table = into or data / TABLE
    params = EmbedParams(frames=frames, replace=replace)
    progress = partial(tqdm, desc="clips", unit="clip")
    report = embed_clips(encoder, data, table, params, progress, choose_workers(os.environ))
    if as_json:
        print_json({"table": str(table)} | asdict(report))
        return
    for file, reason in report.set_aside.items():
        print(f"set aside: {file}: {reason}", file=sys.stderr)
    shape = " x ".join(map(str, report.shape))
    print(f"{table}: {report.clips} clips, {report.new} of them new, {shape} by {report.extractor}")
