"""The command line `twinear`: results to stdout, progress and errors to stderr.

Every command imports what it needs when it runs, so that `--help` answers at once.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from twinear.errors import DataError, one_line_errors

app = typer.Typer(
    help="Which artists sound alike, learned from what people listen to.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

fetch = typer.Typer(help="Fetch from services, or from your own music.", no_args_is_help=True)
clips = typer.Typer(help="What is known of the clips in the data folder.", no_args_is_help=True)
app.add_typer(fetch, name="fetch")
app.add_typer(clips, name="clips")

AsJson = Annotated[bool, typer.Option("--json/--text", help="JSON for machines, or text.")]


@app.command()
def similar(
    artist: Annotated[str, typer.Argument(help="Name or id; case and accents do not matter.")],
    top: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 10,
    catalogue: Annotated[Path, typer.Option(help="The catalogue's folder.")] = Path(
        "artifacts/catalogue"
    ),
    as_json: AsJson = False,
) -> None:
    """Show the artists that sound most like ARTIST, with scores in 0..1."""
    from twinear.catalogue import find_neighbours

    found = find_neighbours(catalogue, artist, top)
    if as_json:
        similar = found.table.to_dict("records")
        _print_json({"artist": found.artist, "name": found.name, "similar": similar})
        return
    width = max(found.table["name"].str.len())
    for row in found.table.itertuples():
        print(f"{row.rank:>3}  {row.name:<{width}}  {row.score:.3f}")


@app.command()
def score(
    clip: Annotated[Path, typer.Argument(help="An audio file.")],
    other: Annotated[Path, typer.Argument(help="Another audio file.")],
    scorer: Annotated[Path, typer.Option(help="The scorer's file.")] = Path(
        "artifacts/training/scorer.safetensors"
    ),
    as_json: AsJson = False,
) -> None:
    """Score how alike two clips sound, 0..1."""
    from twinear.scorer import Scorer

    value = Scorer.read(scorer).score_clips(clip, other)
    if as_json:
        _print_json({"clip": str(clip), "other": str(other), "score": value})
    else:
        print(f"{value:.3f}")


@app.command("import")
def import_(
    listens: Annotated[Path, typer.Option(help="A listens file, or the folder that holds it.")],
    clips: Annotated[Path, typer.Option(help="A clips table (CSV), or a folder Artist/….")],
    into: Annotated[Path, typer.Option(help="The data folder to write.")] = Path("data"),
    replace: Annotated[
        bool, typer.Option("--replace/--keep", help="Replace what is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring listens and clips into the data folder."""
    from dataclasses import asdict

    from twinear.corpus import import_corpus

    report = asdict(import_corpus(listens, clips, into, replace=replace))
    if as_json:
        _print_json(report)
        return
    for name, value in report.items():
        print(f"{name}: {value}")
    print("next: dvc add data, then dvc repro", file=sys.stderr)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="A folder to write, new or empty.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another corpus.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make the bundled sample: imagined artists, synthesised clips, simulated listeners."""
    from functools import partial

    from tqdm import tqdm

    from twinear.sample.corpus import write_sample

    write_sample(folder, seed, partial(tqdm, unit="artist"))
    if as_json:
        _print_json({"folder": str(folder), "seed": seed})
    else:
        print(folder)


@app.command()
def ranking(
    reports: Annotated[Path, typer.Option(help="The folder of the reports.")] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Show how well the trained scorer ranks, beside chance and the baselines."""
    from twinear.ranking.table import format_table

    numbers, differences = (
        _read_json(reports / name) for name in ("ranking.json", "differences.json")
    )
    if as_json:
        _print_json({"ranking": numbers, "differences": differences})
    else:
        print(format_table(numbers, differences))


@fetch.command("clips")
def fetch_clips(
    top: Annotated[
        int | None, typer.Option(min=1, help="The artists with the most listeners.")
    ] = None,
    artists: Annotated[
        Path | None, typer.Option(help="Or a list: a CSV (artist, mbid), or a name a line.")
    ] = None,
    n_clips: Annotated[int, typer.Option("--clips", min=1, help="Clips of each artist.")] = 3,
    sources: Annotated[
        str, typer.Option(help="deezer, itunes, folder, table, spotify; asked in this order.")
    ] = "deezer,itunes",
    music: Annotated[
        Path | None, typer.Option(help="A folder Artist/Album/… of your own music.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="A CSV (file, artist) of files or addresses.")
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
    """Fetch clips of artists from the first source that has them."""
    from dataclasses import asdict
    from functools import partial

    from tqdm import tqdm

    from twinear.clips import ClipsParams
    from twinear.params import read_params
    from twinear.previews import fetch, opening
    from twinear.previews.limit import SystemClock
    from twinear.previews.report import format_report
    from twinear.previews.wanted import choose_wanted

    params = fetch.FetchParams(
        n_clips=n_clips, usable=read_params("clips", ClipsParams), again=again
    )
    wanted = choose_wanted(listens, top, artists)
    names = [name.strip() for name in sources.split(",") if name.strip()]
    settings = opening.Settings(names=names, music=music, table=table, contact=contact)
    clock = SystemClock()
    answers = fetch.journal_folder(into) / "answers"
    progress = partial(tqdm, desc="clips", unit="artist")
    with opening.open_sources(settings, answers, clock) as opened:
        for source in opened.sources:
            print(f"{source.name}: {source.terms}", file=sys.stderr)
        report = fetch.fetch_clips(
            wanted, opened.sources, opened.identity, into, params, progress, clock
        )
    if as_json:
        _print_json(asdict(report))
    else:
        print(format_report(report))
    if not report.clips:
        raise typer.Exit(1)


@clips.command("check")
def check(
    data: Annotated[Path, typer.Option(help="The data folder.")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Check every clip against clips.csv; exit status 1 if something is wrong."""
    import os
    from dataclasses import asdict
    from functools import partial

    from tqdm import tqdm

    from twinear.previews.check import check_clips, format_check

    report = check_clips(data, partial(tqdm, desc="clips", unit="clip"), os.cpu_count() or 1)
    if as_json:
        _print_json(asdict(report))
    else:
        print(format_check(report))
    if report.faults:
        raise typer.Exit(1)


def _read_json(path: Path) -> Any:
    from twinear.files import require

    try:
        return json.loads(require(path, "run 'dvc repro'").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(path, f"is not JSON ({error})", remedy="run 'dvc repro'") from error


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def main() -> None:
    """Run the command line; an error of the user's becomes one line and exit status 1."""
    with one_line_errors():
        app()
