"""Fetch public data sets of listens."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from twinear.cli.app import AsJson, fetch, print_json

Into = Annotated[Path, typer.Option(help="The data folder: the files go to its listens/.")]
Replace = Annotated[bool, typer.Option("--replace/--keep", help="Replace existing listens.")]
DATA = Path("data")


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
