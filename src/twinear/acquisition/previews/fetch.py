"""Clips of many artists, with their provenance, and a report of what could not be had.

What has been done is kept in a `Journal`, so that a fetch may be killed and started again, for more
artists, more clips or other sources as well: nothing is fetched twice. Clips are added to those in
the data folder, never taken away. Artists of whom a source was away are asked for again, after a
while, at the end.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from twinear.acquisition.network.rate_limit import Clock
from twinear.acquisition.network.threads import in_threads
from twinear.acquisition.previews.artist_fetch import Errand
from twinear.acquisition.previews.journal import Journal, Outcome
from twinear.acquisition.previews.provenance import read_rows, write_clips
from twinear.acquisition.previews.report import FetchReport, summarise
from twinear.acquisition.previews.services.musicbrainz import Identity
from twinear.acquisition.previews.source import Source, Wanted
from twinear.artists.redirects import add_redirects, read_redirects
from twinear.clips.clips import ClipsParams
from twinear.compute.pool import Progress

CLIPS = "clips.csv"
REDIRECTS = "listens/redirects.csv"  # beside the listens, whose ids it mends
OFTEN = 25  # artists between two writings of clips.csv


@dataclass(frozen=True, kw_only=True)
class FetchParams:
    """How clips are fetched.

    Parameters
    ----------
    n_clips
        Wanted of each artist.
    usable
        Audio that the stage clips would set aside is not taken.
    min_confidence, again
        As of `Errand`.
    threads
        Artists under way at once.
    rounds, pause_seconds
        Artists of whom a source was away are tried so often, with pauses between.
    """

    n_clips: int
    usable: ClipsParams
    min_confidence: float = 0.7
    again: bool = False
    threads: int = 8
    rounds: int = 3
    pause_seconds: float = 300.0


def journal_folder(into: Path) -> Path:
    """Where a fetch into a data folder keeps its journal: beside it, hidden."""
    into = into.absolute()
    return into.with_name(f".{into.name}.fetch")


def fetch_clips(
    wanted: Sequence[Wanted],
    sources: Sequence[Source],
    identity: Identity | None,
    into: Path,
    params: FetchParams,
    progress: Progress,
    clock: Clock,
) -> FetchReport:
    """Fetch clips of every artist into the data folder `into`.

    Parameters
    ----------
    wanted
        Each artist once.
    identity
        Tells who is who; None to go by the names and ids of `wanted` alone.
    clock
        Lets the pauses between rounds pass.

    Raises
    ------
    DataError
        The folder cannot be written or its tables not be read, or another fetch is under way.
    """
    read_rows(into / CLIPS), read_redirects(into / REDIRECTS)  # to fail now, not after hours
    journal = Journal(journal_folder(into), into, params.usable)
    errand = Errand(
        sources=sources,
        identity=identity,
        journal=journal,
        n_clips=params.n_clips,
        min_confidence=params.min_confidence,
        again=params.again,
    )
    outcomes: dict[str, Outcome] = {}
    rounds = _rounds(wanted, errand, params, progress, clock)
    with journal.held(), closing(rounds) as found:
        try:
            for n, outcome in enumerate(found):
                outcomes[outcome.artist] = outcome
                if n % OFTEN == OFTEN - 1:
                    _write(_in_order(wanted, outcomes), into)
        finally:
            _write(_in_order(wanted, outcomes), into)
    return summarise(_in_order(wanted, outcomes), params.n_clips)


def _rounds(
    wanted: Sequence[Wanted], errand: Errand, params: FetchParams, progress: Progress, clock: Clock
) -> Generator[Outcome]:
    """What came of each artist, and again of those of whom a source was away."""
    left = list(wanted)
    for n in range(params.rounds):
        if n:
            clock.sleep(params.pause_seconds)
        missed = set()
        found = in_threads(errand.run, left, params.threads)
        for _, outcome in zip(progress(left), found, strict=True):
            if outcome.away and not errand.is_enough(outcome):
                missed.add(outcome.artist)
            yield outcome
        left = [each for each in left if each.artist in missed]
        if not left:
            return


def _in_order(wanted: Sequence[Wanted], outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    return [outcomes[each.artist] for each in wanted if each.artist in outcomes]


def _write(outcomes: Sequence[Outcome], into: Path) -> None:
    write_clips((kept.clip for outcome in outcomes for kept in outcome.clips), into / CLIPS)
    merged = {old: new for outcome in outcomes for old, new in outcome.redirects.items()}
    if merged:
        add_redirects(merged, into / REDIRECTS)
