"""Import your own data, make the bundled sample, or fetch public data sets of listens."""

import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from twinear.cli.app import AsJson, app, fetch, print_json, print_result

Into = Annotated[Path, typer.Option(help="The data folder: the files go to its listens/.")]
Replace = Annotated[bool, typer.Option("--replace/--keep", help="Replace existing listens.")]
DATA = Path("data")


@app.command("import")
def import_(
    clips: Annotated[Path, typer.Option(help="A clips table (CSV), or a folder of music.")],
    listens: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file, folder or archive of listens; may be given several times, or not at all."
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            "--vectors",  # its name in 0.1
            help="A table of the clips' embeddings: .npz, .csv or .parquet.",
        ),
    ] = None,
    into: Annotated[Path, typer.Option(help="The data folder to write.")] = Path("data"),
    replace: Annotated[
        bool, typer.Option("--replace/--keep", help="Replace what is there.")
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link/--copy", help="Share audio with the originals where that is safe."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--write", help="Only tell; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import listens and clips into the data folder, and tell what the pipeline will say."""
    from tqdm import tqdm

    from twinear.acquisition.import_corpus import (
        format_corpus,
        format_plan,
        plan_import,
        require_free,
        write_corpus,
    )
    from twinear.base.params import PARAMS
    from twinear.compute.memory import choose_memory
    from twinear.compute.pool import choose_workers
    from twinear.forecast import forecast, format_forecast, read_forecast_params

    if not dry_run:
        require_free(into, replace)
    params = read_forecast_params() if PARAMS.exists() else None
    plan = plan_import(listens, clips, embeddings, params.listens if params else None)
    result: dict[str, Any] = {
        "found": {
            "listens": [asdict(file.recognised) for file in plan.listens.files],
            "left_out": plan.listens.left_out,
            "clips": len(plan.clips),
            "clips_left_out": asdict(plan.left_out),
        },
        "forecast": None,
        "imported": None,
    }
    if not as_json:
        print(format_plan(plan))
    if params and listens:
        memory, workers = choose_memory(os.environ), choose_workers(os.environ)
        told = forecast(listens, plan.clip_table(), params, memory, workers)
        result["forecast"] = asdict(told)
        if not as_json:
            print(format_forecast(told))
    elif listens:
        print(f"no {PARAMS} here: what the pipeline will say is not known", file=sys.stderr)
    if not dry_run:
        bar = partial(tqdm, desc="clips", unit="clip")
        report = write_corpus(plan, into, link_files=link, progress=bar)
        result["imported"] = asdict(report)
        if not as_json:
            print(format_corpus(report, into))
        print("next: dvc add data, then dvc repro", file=sys.stderr)
    if as_json:
        print_json(result)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="A folder to write, new or empty.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 1,
    artists: Annotated[int, typer.Option(help="How many artists.")] = 80,
    clips: Annotated[int, typer.Option(help="How many clips an artist.")] = 2,
    listeners: Annotated[int, typer.Option(help="How many listeners.")] = 2000,
    seconds: Annotated[float, typer.Option(help="The length of a clip.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Make the bundled sample, or one of another size: artists, clips and listeners are made up.

    A clip of 30 s takes about half a second on one core; all cores are used, or TWINEAR_DASK.
    """
    from tqdm import tqdm

    from twinear.acquisition.sample.corpus import CorpusSize, write_corpus
    from twinear.compute.pool import choose_workers

    size = CorpusSize(
        n_artists=artists, clips_per_artist=clips, n_listeners=listeners, seconds=seconds
    )
    progress = partial(tqdm, desc="clips", unit="clip")
    write_corpus(folder, seed, size, progress, choose_workers(os.environ))
    result = {"folder": str(folder), "seed": seed, **asdict(size)}
    print_result(result, str(folder), as_json=as_json)


@fetch.command("lastfm-360k")
def lastfm_360k(into: Into = DATA, replace: Replace = False, as_json: AsJson = False) -> None:
    """Fetch Last.fm-360K: plays of 359,347 listeners, 570 MB; non-commercial use."""
    _fetch("lastfm-360k", into, replace, as_json)


@fetch.command("lastfm-1k")
def lastfm_1k(into: Into = DATA, replace: Replace = False, as_json: AsJson = False) -> None:
    """Fetch Last.fm-1K: 19 million listens of 992 listeners; non-commercial use."""
    _fetch("lastfm-1k", into, replace, as_json)


@fetch.command("hetrec")
def hetrec(into: Into = DATA, replace: Replace = False, as_json: AsJson = False) -> None:
    """Fetch HetRec 2011 Last.fm: plays of 1,892 listeners; non-commercial use."""
    _fetch("hetrec", into, replace, as_json)


def _fetch(name: str, into: Path, replace: bool, as_json: bool) -> None:
    from tqdm import tqdm

    from twinear.acquisition.datasets.fetch import fetch_dataset
    from twinear.acquisition.datasets.registry import find_dataset
    from twinear.acquisition.network.rate_limit import SystemClock

    dataset = find_dataset(name)
    print(f"{name}: {dataset.licence}", file=sys.stderr)

    def progress(n_present: int, total: int | None) -> Any:
        return tqdm(initial=n_present, total=total, unit="B", unit_scale=True, desc=dataset.archive)

    report = fetch_dataset(dataset, into, progress, SystemClock(), replace=replace)
    if as_json:
        print_json(asdict(report))
        return
    print(f"{report.folder}: {'fetched' if report.fetched else 'already there, intact'}")
    for file, size in report.files.items():
        how = "checksum as published" if report.checked[file] else "no published checksum"
        print(f"  {file}  {size:,} bytes, {how}")
