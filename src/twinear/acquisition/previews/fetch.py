"""Clips of many artists, with their provenance, and a report of what is missing.

A `FetchJournal` keeps what has been done, so that a fetch may be killed and started again, also for
more artists, more clips or other sources: nothing is fetched twice. Clips are added to the data
folder, never removed. Artists whose sources were away are tried again, after a pause, at the end.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from twinear.acquisition.croissant import write_description
from twinear.acquisition.music_folder import LeftOut
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.acquisition.previews.artist_fetch import ArtistFetch, FetchParams
from twinear.acquisition.previews.folder import FolderSource
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
POLL_SECONDS = 0.2


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
    clock: SystemClock,
) -> FetchReport:
    """Fetch clips of every artist, each listed once, into the data folder `into`.

    `DataError` if the folder cannot be written, its tables cannot be read, or another fetch is
    running. The clock is for the pauses between rounds.
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
                with closing(_in_threads(artist_fetch.run, left, params.threads)) as results:
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
    folders = [source for source in opened.sources if isinstance(source, FolderSource)]
    left_out = folders[0].left_out() if folders else LeftOut()
    return summarise(in_order(), params.n_clips, left_out)


def _in_threads(
    fetch: Callable[[RequestedArtist], ArtistOutcome],
    artists: Sequence[RequestedArtist],
    n_threads: int,
) -> Generator[ArtistOutcome]:
    """Yield the outcomes as they come; an error in one of the threads ends the iteration."""
    todo: SimpleQueue[RequestedArtist] = SimpleQueue()
    done: SimpleQueue[ArtistOutcome | BaseException] = SimpleQueue()
    for artist in artists:
        todo.put(artist)
    stopped = threading.Event()

    def work() -> None:
        with suppress(Empty):
            while not stopped.is_set():
                artist = todo.get_nowait()
                try:
                    done.put(fetch(artist))
                except BaseException as error:  # raised again in the thread that iterates
                    done.put(error)
                    return

    # daemons: a thread that waits minutes for a service does not delay the end of the program, as
    # those of a `ThreadPoolExecutor` would
    for _ in range(min(n_threads, len(artists))):
        threading.Thread(target=work, daemon=True).start()
    n_left = len(artists)
    try:
        while n_left:
            try:
                outcome = done.get(timeout=POLL_SECONDS)
            except Empty:  # waiting without a timeout can miss an interrupt
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            n_left -= 1
            yield outcome
    finally:
        stopped.set()


def _write_tables(outcomes: Sequence[ArtistOutcome], into: Path) -> None:
    write_clips((fetched.clip for outcome in outcomes for fetched in outcome.clips), into / CLIPS)
    merged = {old: new for outcome in outcomes for old, new in outcome.redirects.items()}
    if merged:
        add_redirects(merged, into / REDIRECTS)
    if (into / CLIPS).is_file():
        write_description(into)
