"""Fetch a truth: for each artist those that a service calls similar, as a CSV of pairs.

The columns are artist, mbid, similar_artist, similar_mbid; `twinear evaluate --truth` reads them.
Every response is kept beside the CSV, so that a fetch that was stopped goes on where it was, and
the file itself is written whole, at the end. An artist that the service may confuse with a namesake
is left out.

Of the variables in `previews.sources`, the contact and the services' addresses are heeded, and
`TWINEAR_LISTENBRAINZ_URL`, another address of ListenBrainz labs.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from twinear.acquisition.lock import exclusive
from twinear.acquisition.network.client import Client, RequestPolicy, user_agent
from twinear.acquisition.network.errors import NotFoundError, SourceError
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.acquisition.network.response_cache import ResponseCache
from twinear.acquisition.previews.artist_fetch import FetchParams
from twinear.acquisition.previews.services import deezer, musicbrainz
from twinear.acquisition.previews.services.musicbrainz import MusicBrainz
from twinear.acquisition.previews.source import RequestedArtist
from twinear.acquisition.truths import listenbrainz
from twinear.artists.identity import is_mbid
from twinear.base.files import replacing
from twinear.compute.pool import Progress

TruthSource = Literal["listenbrainz", "deezer"]
TERMS: dict[TruthSource, str] = {
    "listenbrainz": listenbrainz.TERMS,
    "deezer": "Deezer's related artists: Deezer's terms of use; for personal, non-commercial use",
}
COLUMNS = ("artist", "mbid", "similar_artist", "similar_mbid")

# an artist -> (MBID or "", name) of each similar one; None if the service cannot tell who it is
Similar = Callable[[RequestedArtist], list[tuple[str, str]] | None]


@dataclass(frozen=True, kw_only=True)
class TruthReport:
    """What a fetch of a truth gave.

    Parameters
    ----------
    artists, pairs
        Artists with at least one similar artist, and rows of the file.
    without
        Artists for which the service has none.
    unidentified
        Artists that the service does not know, or cannot tell from a namesake.
    failed
        Artist -> why the service gave nothing; the same command asks again.
    """

    source: TruthSource
    file: str
    artists: int = 0
    pairs: int = 0
    without: list[str] = field(default_factory=list)
    unidentified: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def fetch_truth(
    artists: Sequence[RequestedArtist], similar: Similar, report: TruthReport, progress: Progress
) -> TruthReport:
    """Ask for every artist and write the pairs to `report.file`; the finished report.

    Nothing is written if there are no pairs.

    Raises
    ------
    DataError
        Another fetch to the same file is running, or it cannot be written.
    """
    into, rows, n_artists = Path(report.file), [], 0
    without, unidentified, failed = list[str](), list[str](), dict[str, str]()
    with exclusive(journal_folder(into) / "lock"):
        for artist in progress(artists):
            try:
                found = similar(artist)
            except NotFoundError:
                found = []
            except SourceError as error:
                failed[artist.name or artist.mbid] = str(error)
                continue
            if found is None:
                unidentified.append(artist.name or artist.mbid)
            elif not found:
                without.append(artist.name or artist.mbid)
            else:
                n_artists += 1
                rows += [(artist.name, artist.mbid, name, mbid) for mbid, name in found]
        if rows:
            with (
                replacing(into) as temporary,
                temporary.open("w", encoding="utf-8", newline="") as file,
            ):
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(rows)
    return TruthReport(
        source=report.source,
        file=report.file,
        artists=n_artists,
        pairs=len(rows),
        without=without,
        unidentified=unidentified,
        failed=failed,
    )


def journal_folder(into: Path) -> Path:
    """Where the responses for a file are kept: beside it, hidden."""
    into = into.absolute()
    return into.with_name(f".{into.name}.fetch")


@contextmanager
def open_similar(
    source: TruthSource,
    into: Path,
    contact: str,
    environment: Mapping[str, str],
    clock: SystemClock,
) -> Iterator[Similar]:
    """Open a service, with MusicBrainz to tell who is who; `TwinearError` without a contact."""
    agent = user_agent(contact or environment.get("TWINEAR_CONTACT", ""))
    cache = ResponseCache(journal_folder(into) / "answers")
    with ExitStack() as stack:

        def connect(name: str, url: str, policy: RequestPolicy) -> Client:
            url = environment.get(f"TWINEAR_{name.upper()}_URL") or url
            return stack.enter_context(Client(name, url, agent, policy, cache=cache, clock=clock))

        identities = MusicBrainz(
            connect(musicbrainz.NAME, musicbrainz.URL, musicbrainz.REQUEST_POLICY)
        )
        if source == "deezer":
            service = deezer.Deezer(connect(deezer.NAME, deezer.URL, deezer.REQUEST_POLICY))
            yield lambda artist: _related(artist, service, identities)
        else:
            client = connect(listenbrainz.NAME, listenbrainz.URL, listenbrainz.REQUEST_POLICY)
            yield lambda artist: _similar(artist, client, identities)


def _similar(
    artist: RequestedArtist, client: Client, identities: MusicBrainz
) -> list[tuple[str, str]] | None:
    mbid = artist.mbid
    if not is_mbid(mbid):
        identity = identities.identify(artist)
        if identity is None:
            return None
        mbid = identity.mbid
    return listenbrainz.similar_artists(client, mbid)


def _related(
    artist: RequestedArtist, service: deezer.Deezer, identities: MusicBrainz
) -> list[tuple[str, str]] | None:
    identity = identities.identify(artist)
    known = artist
    if identity is not None:
        known = RequestedArtist(
            artist=artist.artist,
            name=artist.name or identity.name,
            mbid=identity.mbid,
            ids=identity.ids,
        )
    candidate = service.find(known)
    if candidate is None or candidate.confidence < FetchParams.min_confidence:
        return None
    return [("", name) for name in service.related(candidate)]


def format_truth_report(report: TruthReport) -> str:
    """Write a report for people."""
    lines = [f"{report.pairs} pairs of {report.artists} artists"]
    if report.pairs:
        lines[0] += f" in {report.file}"
    lines += [f"none for: {', '.join(report.without)}"] if report.without else []
    lines += [f"not identified: {', '.join(report.unidentified)}"] if report.unidentified else []
    lines += [f"failed: {name}: {why}" for name, why in report.failed.items()]
    lines += ["run it again: what was answered is kept"] if report.failed else []
    return "\n".join(lines)
