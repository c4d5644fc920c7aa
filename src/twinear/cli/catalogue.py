"""Add artists to a catalogue without building it again, list them, remove them."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from twinear.cli.app import AsJson, app, print_result
from twinear.cli.similar import CATALOGUE, CatalogueFolder

catalogue = typer.Typer(
    help="Artists added to the catalogue without building it again.", no_args_is_help=True
)
app.add_typer(catalogue, name="catalogue")


def repeat_option(words: Sequence[str], option: str) -> list[str]:
    """Write `--option A B` as `--option A --option B`, which Click understands.

    Examples
    --------
    >>> repeat_option(["Air", "--clips", "a.mp3", "b.mp3", "--json"], "--clips")
    ['Air', '--clips', 'a.mp3', '--clips', 'b.mp3', '--json']
    """
    repeated: list[str] = []
    is_value = False
    for word in words:
        if word.startswith("-") and word != "-":
            is_value = word == option
        elif is_value:
            repeated.append(option)
        if word != option:
            repeated.append(word)
    return repeated


class ClipsCommand(TyperCommand):
    """A command whose option `--clips` takes several files."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual once the option is repeated before each file."""
        return super().parse_args(ctx, repeat_option(args, "--clips"))


@catalogue.command("add", cls=ClipsCommand)
def add(
    name: Annotated[str, typer.Argument(help="The artist's name.")],
    clips: Annotated[
        list[Path],
        typer.Option(help="Audio files of the artist, or folders of them; one or more."),
    ],
    mbid: Annotated[str, typer.Option(help="The artist's MusicBrainz id, if it has one.")] = "",
    catalogue: CatalogueFolder = CATALOGUE,
    as_json: AsJson = False,
) -> None:
    """Add the artist NAME, who is then found like all others."""
    from tqdm import tqdm

    from twinear.base.params import PARAMS, read_params
    from twinear.catalogue.catalogue import Catalogue
    from twinear.clips.clips import ClipsParams
    from twinear.recommendation.additions import Additions
    from twinear.recommendation.collection import Collection

    opened = Catalogue.read(catalogue)
    added = Additions.beside(opened).add(
        name,
        clips,
        Collection(catalogue=opened).load_scorer(),
        mbid,
        usable=read_params("clips", ClipsParams) if PARAMS.exists() else None,
        progress=partial(tqdm, desc="clips", unit="clip", disable=None),
    )
    for line in added.left_out:
        print(f"left out: {line}", file=sys.stderr)
    text = f"added {added.name} ({added.artist}), clips: {len(added.clips)}"
    print_result(asdict(added), text, as_json=as_json)


@catalogue.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name or id; case and accents do not matter.")],
    catalogue: CatalogueFolder = CATALOGUE,
    as_json: AsJson = False,
) -> None:
    """Remove an artist that was added; the audio stays where it is."""
    from twinear.catalogue.catalogue import Catalogue
    from twinear.recommendation.additions import Additions

    removed = Additions.beside(Catalogue.read(catalogue)).remove(name)
    text = f"removed {removed.name} ({removed.artist}), clips: {len(removed.clips)}"
    print_result(asdict(removed), text, as_json=as_json)


@catalogue.command("check")
def check(catalogue: CatalogueFolder = CATALOGUE, as_json: AsJson = False) -> None:
    """Compare every file of the catalogue with the checksum that was written with it."""
    from twinear.catalogue.catalogue import verify

    n_bytes = verify(catalogue)
    text = f"{catalogue}: {n_bytes:,} bytes, all as they were written"
    print_result({"catalogue": str(catalogue), "bytes": n_bytes}, text, as_json=as_json)


@catalogue.command("list")
def list_(catalogue: CatalogueFolder = CATALOGUE, as_json: AsJson = False) -> None:
    """List the artists that were added, and whether each can be asked about."""
    from twinear.base.text import text_table
    from twinear.catalogue.catalogue import Catalogue
    from twinear.recommendation.additions import Additions
    from twinear.recommendation.collection import Collection

    opened = Catalogue.read(catalogue)
    listed = Additions.beside(opened).describe(Collection(catalogue=opened).load_scorer)
    rows = [(each.name, each.artist, str(len(each.clips)), each.state) for each in listed]
    lines = [text_table(("name", "id", "clips", "state"), rows)] if rows else ["none were added"]
    lines += [f"{each.name}: {each.problem}" for each in listed if each.problem]
    print_result([asdict(each) for each in listed], "\n".join(lines), as_json=as_json)
