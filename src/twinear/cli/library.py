"""Tell the service which recordings a media server knows."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from twinear.cli.app import AsJson, app, print_result
from twinear.cli.playlist import MAX_EXAMPLES, encode_music_folder
from twinear.cli.similar import CATALOGUE, CatalogueFolder

library = typer.Typer(
    help="Your music, as a media server knows it, for 'twinear serve'.", no_args_is_help=True
)
app.add_typer(library, name="library")


@library.command("sync")
def sync(
    music: Annotated[Path, typer.Argument(help="The folder of music, as this machine sees it.")],
    subsonic: Annotated[
        str | None,
        typer.Option(
            help="Address of a Subsonic server (Navidrome and others) that knows the folder: its "
            "ids are taken. SUBSONIC_USER and SUBSONIC_PASSWORD, or SUBSONIC_API_KEY, are read "
            "from the environment."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The table to write.")] = Path("artifacts/library.csv"),
    library: Annotated[Path, typer.Option(help="Where encoded recordings are kept.")] = Path(
        "artifacts/library.sqlite"
    ),
    catalogue: CatalogueFolder = CATALOGUE,
    as_json: AsJson = False,
) -> None:
    """Encode the recordings of MUSIC and write their ids, so that media servers can ask for them.

    Run it again when the music changed, or the catalogue's scorer: only what is new is encoded.
    """
    from twinear.acquisition.subsonic import Credentials, list_songs, open_server
    from twinear.base.params import read_params
    from twinear.clips.clips import ClipsParams
    from twinear.recommendation.collection import Collection
    from twinear.recommendation.library_table import (
        items_of_folder,
        match_songs,
        write_library_table,
    )

    songs = None
    if subsonic is not None:  # first, because encoding may take hours
        credentials = Credentials.from_environment(os.environ)
        with open_server(subsonic) as client:
            songs = list_songs(client, credentials)
    opened = Collection.open(catalogue)
    scorer, scorer_sha256 = opened.load_scorer(), opened.catalogue.scorer_sha256
    usable = read_params("clips", ClipsParams)
    encoded = encode_music_folder(music, library, scorer, scorer_sha256, usable)
    missing = []
    if songs is None:
        items = items_of_folder(encoded.entries, music)
    else:
        matched = match_songs(songs, encoded.entries, music)
        items, missing = matched.items, matched.missing
        if missing:
            examples = ", ".join(f"{song.artist} - {song.title}" for song in missing[:MAX_EXAMPLES])
            more = ", …" * (len(missing) > MAX_EXAMPLES)
            print(f"no file: {len(missing):,} songs ({examples}{more})", file=sys.stderr)
    write_library_table(items, out)
    result = {
        "file": str(out),
        "items": len(items),
        "songs_without_file": len(missing),
        "encoded": encoded.n_decoded,
        "left_out": encoded.left_out.counts,
    }
    print_result(result, f"{len(items):,} recordings: {out}", as_json=as_json)
