"""`twinear neighbours`: the artists most similar by listens."""

from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_json


@app.command()
def neighbours(
    artist: Annotated[str, typer.Argument(help="Name or id; case and accents are ignored.")],
    top: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 10,
    folder: Annotated[
        Path, typer.Option("--neighbours", help="Folder written by the similarity stage.")
    ] = Path("artifacts/neighbours"),
    as_json: AsJson = False,
) -> None:
    """Show the artists most similar to ARTIST by listens, with or without clips."""
    from twinear.similarity.neighbours import find_similar

    similar = find_similar(folder, artist, top)
    if as_json:
        rows = similar.table.to_dict("records")
        print_json({"artist": similar.artist, "name": similar.name, "similar": rows})
        return
    width = max(similar.table["name"].str.len(), default=0)
    shared = similar.table.columns[-1]
    for row in similar.table.itertuples():
        score = f"{row.similarity:.3f}  {getattr(row, shared)} {shared}"
        print(f"{row.rank:>3}  {row.name:<{width}}  {score}")
