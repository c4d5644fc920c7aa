"""Fetches against the services on loopback, also as a program of its own that can be killed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conftest import PARAMS
from tests.support.services import FakeArtist
from twinear.acquisition.network.client import Client, Manners
from twinear.acquisition.network.rate_limit import Clock, SystemClock
from twinear.acquisition.network.response_cache import Answers
from twinear.acquisition.previews.fetch import FetchParams, fetch_clips, journal_folder
from twinear.acquisition.previews.report import FetchReport
from twinear.acquisition.previews.services import deezer, itunes, musicbrainz
from twinear.acquisition.previews.services.musicbrainz import Identity
from twinear.acquisition.previews.source import Source, Wanted
from twinear.base.params import read_params
from twinear.clips.clips import ClipsParams

# the services' windows and waits, made short
HASTE = {"deezer": 0.05, "itunes": 0.01, "musicbrainz": 0.01}


def mbid_of(n: int) -> str:
    return f"{n:08d}-0000-4000-8000-000000000000"


def artists(n: int) -> list[FakeArtist]:
    """Artists 1 to n, each with an MBID, on Deezer and iTunes."""
    return [
        FakeArtist(name=f"Artist {i:03d}", mbid=mbid_of(i), deezer=i, itunes=10_000 + i)
        for i in range(1, n + 1)
    ]


def wanted_of(known: Sequence[FakeArtist]) -> list[Wanted]:
    return [
        Wanted(artist=each.mbid or each.name.lower(), name=each.name, mbid=each.mbid)
        for each in known
    ]


def fetch_params(n_clips: int = 3, **values: Any) -> FetchParams:
    """As the command line's, but the short clips of the tests are long enough."""
    usable = read_params("clips", ClipsParams, PARAMS).model_copy(update={"min_seconds": 1.0})
    return replace(FetchParams(n_clips=n_clips, usable=usable, pause_seconds=0.0), **values)


@contextmanager
def opened(
    url: str, answers: Path, clock: Clock | None = None
) -> Iterator[tuple[list[Source], Identity]]:
    """Deezer, iTunes and MusicBrainz of the server at `url`.

    With a clock of its own each has the manners of its module; else they are in haste.
    """

    def client(name: str, base: str, manners: Manners) -> Client:
        if clock is None:
            manners = hasty(manners, HASTE[name])
        agent = "twinear/0 (me@example.org)"
        return Client(name, base, agent, manners, answers=Answers(answers), clock=clock)

    with (
        client("deezer", f"{url}/deezer", deezer.MANNERS) as for_deezer,
        client("itunes", f"{url}/itunes", itunes.MANNERS) as for_itunes,
        client("musicbrainz", f"{url}/musicbrainz/ws/2", musicbrainz.MANNERS) as for_musicbrainz,
    ):
        sources: list[Source] = [deezer.Deezer(for_deezer), itunes.ITunes(for_itunes)]
        yield sources, Identity(for_musicbrainz)


def hasty(manners: Manners, haste: float) -> Manners:
    return replace(
        manners,
        seconds=manners.seconds * haste,
        backoff_seconds=0.01,
        max_backoff_seconds=0.02,
        away_seconds=0.05,
    )


def fetch(
    url: str,
    into: Path,
    wanted: Sequence[Wanted],
    params: FetchParams,
    clock: Clock | None = None,
) -> FetchReport:
    """Fetch from Deezer, then iTunes, with MusicBrainz to tell who is who."""
    with opened(url, journal_folder(into) / "answers", clock) as (sources, identity):
        return fetch_clips(wanted, sources, identity, into, params, list, clock or SystemClock())


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]), wanted_of(artists(int(sys.argv[3]))), fetch_params())
