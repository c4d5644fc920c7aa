"""Clips of many artists, with their provenance, and a report of what is missing.

A `FetchJournal` keeps what has been done, so that a fetch may be killed and started again, also for
more artists, more clips or other sources: nothing is fetched twice. Clips are added to the data
folder, never removed. Artists whose sources were away are tried again, after a pause, at the end.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from twinear.acquisition.network.rate_limit import Clock
from twinear.acquisition.network.threads import in_threads
from twinear.acquisition.previews.artist_fetch import ArtistFetch, FetchParams
from twinear.acquisition.previews.journal import ArtistOutcome, FetchJournal
from twinear.acquisition.previews.provenance import read_rows, write_clips
from twinear.acquisition.previews.report import FetchReport, summarise
from twinear.acquisition.previews.source import RequestedArtist
from twinear.acquisition.previews.sources import OpenSources
from twinear.artists.redirects import add_redirects, read_redirects
from twinear.compute.pool import Progress

CLIPS = "clips.csv"
REDIRECTS = "listens/redirects.csv"  # beside the listens, whose ids it corrects
WRITE_EVERY = 25  # artists between two writings of clips.csv


def journal_folder(into: Path) -> Path:
    """Where a fetch into a data folder keeps its journal: beside it, hidden."""
    into = into.absolute()
    return into.with_name(f".{into.name}.fetch")


def fetch_clips(
    artists: Sequence[RequestedArtist],
    opened: OpenSources,
    into: Path,
    params: FetchParams,
    progress: Progress,
    clock: Clock,
) -> FetchReport:
    """Fetch clips of every artist into the data folder `into`.

    Parameters
    ----------
    artists
        Each once.
    clock
        For the pauses between rounds.

    Raises
    ------
    DataError
        The folder cannot be written, its tables cannot be read, or another fetch is running.
    """
    read_rows(into / CLIPS), read_redirects(into / REDIRECTS)  # to fail now, not after hours
    journal = FetchJournal(journal_folder(into), into, params.usable)
    artist_fetch = ArtistFetch(opened=opened, journal=journal, params=params)
    outcomes: dict[str, ArtistOutcome] = {}  # by the artist's id

    def in_order() -> list[ArtistOutcome]:
        return [outcomes[artist.artist] for artist in artists if artist.artist in outcomes]

    with journal.locked():
        left = list(artists)
        try:
            for n in range(params.rounds):
                if n:
                    clock.sleep(params.pause_seconds)
                with closing(in_threads(artist_fetch.run, left, params.threads)) as results:
                    pairs = zip(progress(left), results, strict=True)
                    for n_done, (_, outcome) in enumerate(pairs, 1):
                        outcomes[outcome.artist] = outcome
                        if n_done % WRITE_EVERY == 0:
                            _write_tables(in_order(), into)
                left = [
                    artist
                    for artist in left
                    if outcomes[artist.artist].away
                    and not artist_fetch.is_enough(outcomes[artist.artist])
                ]
                if not left:
                    break
        finally:
            _write_tables(in_order(), into)
    return summarise(in_order(), params.n_clips)


def _write_tables(outcomes: Sequence[ArtistOutcome], into: Path) -> None:
    write_clips((fetched.clip for outcome in outcomes for fetched in outcome.clips), into / CLIPS)
    merged = {old: new for outcome in outcomes for old, new in outcome.redirects.items()}
    if merged:
        add_redirects(merged, into / REDIRECTS)
