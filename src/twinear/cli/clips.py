"""Fetch clips and check them; fetch what services say of the artists."""

import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from twinear.cli.app import AsJson, clips, fetch, print_result


@fetch.command("clips")
def fetch_clips_command(
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Fetch for so many artists, those with the most listeners."),
    ] = None,
    artists: Annotated[
        Path | None, typer.Option(help="Or for a list: a CSV (artist, mbid), or one name a line.")
    ] = None,
    n_clips: Annotated[int, typer.Option("--clips", min=1, help="Clips for each artist.")] = 3,
    sources: Annotated[
        str,
        typer.Option(help="Any of deezer, itunes, folder, table, spotify; asked in this order."),
    ] = "deezer,itunes",
    music: Annotated[
        Path | None, typer.Option(help="A folder Artist/Album/… of your own music.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="A CSV (file, artist) of files or URLs.")
    ] = None,
    contact: Annotated[
        str, typer.Option(help="Your e-mail or web address, for the services' User-Agent.")
    ] = "",
    into: Annotated[Path, typer.Option(help="The data folder to add to.")] = Path("data"),
    listens: Annotated[Path, typer.Option(help="The stage's listens, for --top.")] = Path(
        "artifacts/listens"
    ),
    again: Annotated[
        bool, typer.Option("--again/--once", help="Ask again for artists with too few clips.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch clips of artists, each from the first source that has them."""
    from tqdm import tqdm

    from twinear.acquisition.network.rate_limit import SystemClock
    from twinear.acquisition.previews.artist_fetch import FetchParams
    from twinear.acquisition.previews.fetch import fetch_clips, journal_folder
    from twinear.acquisition.previews.report import format_report
    from twinear.acquisition.previews.requested_artists import choose_requested_artists
    from twinear.acquisition.previews.sources import SourceSettings, open_sources
    from twinear.base.params import read_params
    from twinear.clips.clips import ClipsParams

    usable = read_params("clips", ClipsParams)
    params = FetchParams(n_clips=n_clips, usable=usable, again=again)
    requested = choose_requested_artists(listens, top, artists)
    names = [name.strip() for name in sources.split(",") if name.strip()]
    settings = SourceSettings(names=names, music=music, table=table, contact=contact)
    clock, progress = SystemClock(), partial(tqdm, desc="clips", unit="artist")
    with open_sources(settings, journal_folder(into) / "answers", os.environ, clock) as opened:
        for source in opened.sources:
            print(f"{source.name}: {source.terms}", file=sys.stderr)
        report = fetch_clips(requested, opened, into, params, progress, clock)
    print_result(asdict(report), format_report(report), as_json=as_json)
    if not report.clips:
        raise typer.Exit(1)


@fetch.command("truth")
def fetch_truth_command(
    source: Annotated[
        Literal["listenbrainz", "deezer"], typer.Option(help="The service that is asked.")
    ],
    artists: Annotated[
        Path, typer.Option(help="Whom to ask for: a CSV (artist, mbid), or one name a line.")
    ] = Path("data/clips.csv"),
    into: Annotated[
        Path | None, typer.Option(help="The CSV to write; by default truth-SOURCE.csv.")
    ] = None,
    contact: Annotated[
        str, typer.Option(help="Your e-mail or web address, for the services' User-Agent.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Fetch the similar artists of artists, as a truth for evaluate and crossval."""
    from tqdm import tqdm

    from twinear.acquisition.network.rate_limit import SystemClock
    from twinear.acquisition.previews.requested_artists import read_requested_artists
    from twinear.acquisition.truths.fetch import (
        TERMS,
        TruthReport,
        fetch_truth,
        format_truth_report,
        open_similar,
    )

    requested = read_requested_artists(artists)
    file = into or Path(f"truth-{source}.csv")
    with open_similar(source, file, contact, os.environ, SystemClock()) as similar:
        print(f"{source}: {TERMS[source]}", file=sys.stderr)
        begun = TruthReport(source=source, file=str(file))
        progress = partial(tqdm, desc="similar artists", unit="artist")
        report = fetch_truth(requested, similar, begun, progress)
    print_result(asdict(report), format_truth_report(report), as_json=as_json)
    if not report.pairs:
        raise typer.Exit(1)


@clips.command("check")
def check(
    data: Annotated[Path, typer.Option(help="The data folder.")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Check every clip against clips.csv; exit status 1 if something is wrong."""
    from tqdm import tqdm

    from twinear.acquisition.previews.check import check_clips, format_check

    report = check_clips(data, partial(tqdm, desc="clips", unit="clip"), os.cpu_count() or 1)
    print_result(asdict(report), format_check(report), as_json=as_json)
    if report.faults:
        raise typer.Exit(1)
