"""`twinear serve`: the page, the API, and the protocols of music players."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from twinear.base.errors import TwinearError
from twinear.cli.app import app, local_catalogue
from twinear.cli.similar import CATALOGUE, DATA, AnyCatalogue, DataFolder


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine TWINEAR_TOKEN must be set.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    model: Annotated[
        str,
        typer.Option(
            help="Serve the catalogue only while it is of this scorer: models:/twinear@champion."
        ),
    ] = "",
    music: Annotated[
        Path | None,
        typer.Option(
            help="A folder of your own music: 'twinear library sync' it, and it makes playlists."
        ),
    ] = None,
    library: Annotated[
        Path, typer.Option(help="Where the encoded recordings of --music are kept.")
    ] = Path("artifacts/library.sqlite"),
    items: Annotated[
        Path, typer.Option(help="What media servers may ask for, from 'twinear library sync'.")
    ] = Path("artifacts/library.csv"),
    reports: Annotated[Path, typer.Option(help="The folder of the reports.")] = Path("reports"),
    data: DataFolder = DATA,
    catalogue: AnyCatalogue = CATALOGUE,
) -> None:
    """Serve similar artists as a page and an API, until Ctrl-C.

    A catalogue that is built again is taken over without a gap.
    """
    # Requests are answered side by side: threads of one would be in the way of the others. The
    # libraries read this when they are imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from twinear.serve.server import serve as run
    except ModuleNotFoundError as error:
        found = f"needs {error.name}, which is not installed"
        raise TwinearError("serve", found, remedy="pip install 'twinear[serve]'") from None
    from twinear.serve.options import SUBSONIC_PASSWORD, SUBSONIC_USER, TOKEN, ServeOptions

    options = ServeOptions(
        catalogue=local_catalogue(context, catalogue),
        data=data,
        reports=reports,
        model=model,
        music=music,
        library=library,
        items=items,
        token=os.environ.pop(TOKEN, ""),
        subsonic_user=os.environ.pop(SUBSONIC_USER, ""),
        subsonic_password=os.environ.pop(SUBSONIC_PASSWORD, ""),
        host=host,
    )

    def say(address: str) -> None:
        print(f"twinear is at {address}", flush=True)
        print("Ctrl-C ends it", file=sys.stderr)

    run(options, port, say)
