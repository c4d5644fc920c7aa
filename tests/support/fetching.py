"""Fetches against the services on loopback, also as a program of its own that can be killed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conftest import PARAMS
from tests.support.services import FakeArtist
from twinear.acquisition.network.client import Client, RequestPolicy
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.acquisition.network.response_cache import ResponseCache
from twinear.acquisition.previews.artist_fetch import FetchParams
from twinear.acquisition.previews.fetch import fetch_clips, journal_folder
from twinear.acquisition.previews.report import FetchReport
from twinear.acquisition.previews.services import deezer, itunes, musicbrainz
from twinear.acquisition.previews.services.musicbrainz import MusicBrainz
from twinear.acquisition.previews.source import Candidate, RequestedArtist, Source
from twinear.acquisition.previews.sources import OpenSources
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


def requested(
    name: str, mbid: str = "", *, titles: Sequence[str] = (), **ids: str
) -> RequestedArtist:
    """An artist to find; `ids` by service, "" for none."""
    known = {service: artist_id for service, artist_id in ids.items() if artist_id}
    return RequestedArtist(
        artist=mbid or name.lower(), name=name, mbid=mbid, titles=tuple(titles), ids=known
    )


def requested_all(known: Sequence[FakeArtist]) -> list[RequestedArtist]:
    return [requested(artist.name, artist.mbid) for artist in known]


def find(source: Source, artist: RequestedArtist) -> Candidate:
    """The source's candidate, which must be there."""
    candidate = source.find(artist)
    assert candidate is not None
    return candidate


def candidate_of(artist_id: str) -> Candidate:
    return Candidate(artist_id=artist_id, name="x", confidence=1.0, why="")


def fetch_params(n_clips: int = 3, **values: Any) -> FetchParams:
    """As the command line's, but the short clips of the tests are long enough."""
    usable = read_params("clips", ClipsParams, PARAMS).model_copy(update={"min_seconds": 1.0})
    return replace(FetchParams(n_clips=n_clips, usable=usable, pause_seconds=0.0), **values)


@contextmanager
def opened(url: str, cache: Path, clock: SystemClock | None = None) -> Iterator[OpenSources]:
    """Deezer, iTunes and MusicBrainz of the server at `url`.

    With a clock of its own each has the policy of its module; else a hasty one.
    """

    def client(name: str, path: str, policy: RequestPolicy) -> Client:
        if clock is None:
            policy = hasty(policy, HASTE[name])
        agent = "twinear/0 (me@example.org)"
        return Client(name, f"{url}/{path}", agent, policy, cache=ResponseCache(cache), clock=clock)

    with (
        client("deezer", "deezer", deezer.REQUEST_POLICY) as for_deezer,
        client("itunes", "itunes", itunes.REQUEST_POLICY) as for_itunes,
        client("musicbrainz", "musicbrainz/ws/2", musicbrainz.REQUEST_POLICY) as for_musicbrainz,
    ):
        sources: list[Source] = [deezer.Deezer(for_deezer), itunes.ITunes(for_itunes)]
        yield OpenSources(musicbrainz=MusicBrainz(for_musicbrainz), sources=sources)


def hasty(policy: RequestPolicy, haste: float) -> RequestPolicy:
    return replace(
        policy,
        seconds=policy.seconds * haste,
        backoff_seconds=0.01,
        max_backoff_seconds=0.02,
        away_seconds=0.05,
    )


def fetch(
    url: str,
    into: Path,
    artists: Sequence[RequestedArtist],
    params: FetchParams,
    clock: SystemClock | None = None,
) -> FetchReport:
    """Fetch from Deezer, then iTunes, with MusicBrainz to tell who is who."""
    with opened(url, journal_folder(into) / "answers", clock) as sources:
        return fetch_clips(artists, sources, into, params, list, clock or SystemClock())


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]), requested_all(artists(int(sys.argv[3]))), fetch_params())
