"""Make playlists."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinear.base.text import format_number
from twinear.cli.app import AsJson, app, print_json
from twinear.cli.similar import CATALOGUE, CatalogueFolder

if TYPE_CHECKING:
    from twinear.clips.clips import ClipsParams
    from twinear.model.scorer import Scorer
    from twinear.recommendation.library import MusicLibrary
    from twinear.recommendation.playlist import Playlist
    from twinear.recommendation.playlist_sources import CatalogueClips, LibraryRecordings

STDOUT = Path("-")
MAX_EXAMPLES = 5  # of the files left out for one reason


@app.command()
def playlist(
    start: Annotated[
        str, typer.Option("--from", help="An artist (name or id), a clip or an audio file.")
    ],
    end: Annotated[
        str | None,
        typer.Option(
            "--to", help="Another one; the playlist is then a path from one to the other."
        ),
    ] = None,
    length: Annotated[int, typer.Option(min=2, help="How many recordings.")] = 20,
    out: Annotated[
        Path | None, typer.Option(help="The playlist to write, .m3u8; - for standard output.")
    ] = None,
    music: Annotated[
        Path | None,
        typer.Option(help="A folder of music: take its recordings, not the catalogue's clips."),
    ] = None,
    library: Annotated[
        Path, typer.Option(help="Where the encoded recordings of --music are kept.")
    ] = Path("artifacts/library.sqlite"),
    scorer: Annotated[
        str | None,
        typer.Option(help="Another scorer for --music: a file, or models:/twinear@champion."),
    ] = None,
    catalogue: CatalogueFolder = CATALOGUE,
    data: Annotated[Path, typer.Option(help="The data folder, with the clips.")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Make a playlist in which each recording sounds like the one before.

    No artist stands twice in a row and no recording twice.
    """
    from twinear.base.params import read_params
    from twinear.clips.clips import ClipsParams
    from twinear.recommendation.collection import Collection
    from twinear.recommendation.m3u8 import format_m3u8, write_m3u8
    from twinear.recommendation.playlist import make_playlist
    from twinear.recommendation.playlist_sources import CatalogueClips

    if out == STDOUT and as_json:
        raise typer.BadParameter("- and --json both use standard output", param_hint="--out")
    if scorer is not None and music is None:
        raise typer.BadParameter("needs --music", param_hint="--scorer")
    usable = read_params("clips", ClipsParams)
    clips = None
    if scorer is None:
        clips = CatalogueClips(collection=Collection.open(catalogue), data=data, usable=usable)
    left_out: dict[str, int] = {}
    recordings: CatalogueClips | LibraryRecordings
    if music is not None:
        recordings = _encode_library(music, library, scorer, usable, clips)
        left_out = recordings.library.left_out.counts
    elif clips is not None:
        recordings = clips
    first = recordings.find(start)
    last = None if end is None else recordings.find(end)
    made = make_playlist(recordings.source(), first, last, length)
    for each in (first, last):
        if each and each.instead_of:
            print(
                f"{each.instead_of} is not in {music}; the nearest: {each.entry.file}",
                file=sys.stderr,
            )
    missing = [entry.file for entry in made.entries if not entry.file.is_file()]
    if missing:
        print(f"{len(missing)} files are not there, such as {missing[0]}", file=sys.stderr)
    root = music or data
    if out == STDOUT:
        sys.stdout.buffer.write(format_m3u8(made.entries, root, None).encode())
        return
    if out is not None:
        write_m3u8(out, made.entries, root)
    if as_json:
        print_json({"file": out and str(out), "left_out": left_out} | _describe(made))
    else:
        print(_format(made))
        if out is not None:
            print(out)


def _encode_library(
    music: Path,
    cache: Path,
    scorer: str | None,
    usable: "ClipsParams",
    clips: "CatalogueClips | None",
) -> "LibraryRecordings":
    """Encode a folder of music by the catalogue's scorer, or another."""
    from twinear import inference
    from twinear.base.files import sha256
    from twinear.recommendation.playlist_sources import LibraryRecordings
    from twinear.tracking.registry import scorer_file

    if clips is not None:
        loaded = clips.collection.load_scorer()
        scorer_sha256 = clips.collection.catalogue.scorer_sha256
    else:
        with scorer_file(scorer or "") as path:
            loaded, scorer_sha256 = inference.load_scorer(path), sha256(path)
    encoded = encode_music_folder(music, cache, loaded, scorer_sha256, usable)
    return LibraryRecordings(
        folder=music, library=encoded, scorer=loaded, usable=usable, catalogue=clips
    )


def encode_music_folder(
    music: Path, cache: Path, scorer: "Scorer", scorer_sha256: str, usable: "ClipsParams"
) -> "MusicLibrary":
    """Encode a folder of music and say what was left out."""
    from tqdm import tqdm

    from twinear.compute.pool import choose_workers
    from twinear.recommendation.library import encode_library
    from twinear.recommendation.library_cache import LibraryCache

    progress, workers = partial(tqdm, desc="recordings", unit="file"), choose_workers(os.environ)
    with LibraryCache.open(cache, scorer_sha256, scorer.units) as opened:
        encoded = encode_library(music, scorer, opened, usable, progress, workers)
    for reason, n in encoded.left_out.counts.items():
        examples = ", ".join(encoded.left_out.examples[reason])
        print(f"left out: {n:,} {reason} ({examples}{', …' * (n > MAX_EXAMPLES)})", file=sys.stderr)
    return encoded


def _describe(made: "Playlist") -> dict[str, Any]:
    """Give a playlist as plain values; the score is that of the step to a recording."""
    order = made.order
    scores = [None, *order.scores.tolist()]
    return {
        "recordings": [
            {"file": str(entry.file), "artist": entry.artist, "name": entry.name}
            | {"title": entry.title, "seconds": round(entry.seconds, 1), "score": score}
            for entry, score in zip(made.entries, scores, strict=True)
        ],
        "mean_score": float(order.scores.mean()),
        "least_score": float(order.scores.min()),
        "random_score": order.random_score,
        "nearer_than_random": float(order.nearer.min()),
    }


def _format(made: "Playlist") -> str:
    order = made.order
    named = [" - ".join(filter(None, (entry.name, entry.title))) for entry in made.entries]
    width = max(map(len, named))
    scores = ["", *map(format_number, order.scores)]
    lines = [
        f"{place:>3}  {name:<{width}}  {score}".rstrip()
        for place, (name, score) in enumerate(zip(named, scores, strict=True), start=1)
    ]
    mean, least = map(format_number, (order.scores.mean(), order.scores.min()))
    lines.append(
        f"steps score {mean} on average and at least {least}, random pairs "
        f"{format_number(order.random_score)}; the longest step is nearer than "
        f"{order.nearer.min():.0%} of random pairs"
    )
    return "\n".join(lines)
