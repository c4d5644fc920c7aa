"""Ask the listens: who is similar to whom by who listens to them."""

from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_json


@app.command()
def neighbours(
    artist: Annotated[str, typer.Argument(help="Name or id; case and accents do not matter.")],
    top: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 10,
    folder: Annotated[Path, typer.Option("--neighbours", help="The neighbours' folder.")] = Path(
        "artifacts/neighbours"
    ),
    as_json: AsJson = False,
) -> None:
    """Show the artists most similar to ARTIST by listens, with or without clips."""
    from twinear.similarity.neighbours import find_similar

    found = find_similar(folder, artist, top)
    if as_json:
        similar = found.table.to_dict("records")
        print_json({"artist": found.artist, "name": found.name, "similar": similar})
        return
    width = max(found.table["name"].str.len(), default=0)
    for row in found.table.itertuples():
        print(
            f"{row.rank:>3}  {row.name:<{width}}  {row.similarity:.3f}  {row.listeners} listeners"
        )
