"""The sources that the command line names, opened in its order.

| variable | for |
|---|---|
| `TWINEAR_CONTACT` | an e-mail address or a web address, sent to the services |
| `TWINEAR_DEEZER_URL`, `TWINEAR_ITUNES_URL`, `TWINEAR_MUSICBRAINZ_URL` | another address |
| `TWINEAR_SPOTIFY_URL`, `TWINEAR_SPOTIFY_ACCOUNTS_URL` | another address |
| `TWINEAR_SPOTIFY_ID`, `TWINEAR_SPOTIFY_SECRET` | the keys of an application, for spotify only |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinear.acquisition.network.client import Client, RequestPolicy, user_agent
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.acquisition.network.response_cache import ResponseCache
from twinear.acquisition.previews.folder import FolderSource
from twinear.acquisition.previews.services import deezer, itunes, musicbrainz, spotify
from twinear.acquisition.previews.services.musicbrainz import MusicBrainz
from twinear.acquisition.previews.source import Source
from twinear.acquisition.previews.table import TableSource, is_url
from twinear.artists.clip_table import read_clip_table
from twinear.base.errors import TwinearError, nearest

TABLE_REQUEST_POLICY = RequestPolicy(
    n=10, seconds=10.0, max_clip_bytes=200_000_000, total_seconds=600.0
)
SERVICES = (deezer.NAME, itunes.NAME, spotify.NAME)
SOURCES = ("folder", "table", *SERVICES)

Connect = Callable[[str, str, RequestPolicy], Client]


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What the command line says about sources."""

    names: Sequence[str]  # in the order in which they are asked
    music: Path | None = None  # a folder, asked first unless it is named
    table: Path | None = None  # a table, likewise
    contact: str = ""  # "" for TWINEAR_CONTACT

    @property
    def order(self) -> list[str]:
        """The names, each once, after those of a folder or table that is given but not named.

        Examples
        --------
        >>> SourceSettings(names=["deezer", "itunes", "deezer"], music=Path("music")).order
        ['folder', 'deezer', 'itunes']
        """
        given = {"folder": self.music, "table": self.table}
        unnamed = [name for name, path in given.items() if path and name not in self.names]
        return list(dict.fromkeys([*unnamed, *self.names]))


@dataclass(frozen=True, kw_only=True)
class OpenSources:
    """Sources in order; no MusicBrainz if none of them is a service."""

    musicbrainz: MusicBrainz | None
    sources: list[Source]


@contextmanager
def open_sources(
    settings: SourceSettings, cache_folder: Path, environment: Mapping[str, str], clock: SystemClock
) -> Iterator[OpenSources]:
    """Open the sources, with one client for each service, shared by all threads.

    An empty value in `environment` counts as absent. `TwinearError` for an unknown source, one
    without its folder or table, services without a contact, or Spotify without its keys.
    """
    for name in settings.order:
        if name not in SOURCES:
            meant = "".join(f"did you mean '{near}'?" for near in nearest(name, SOURCES))
            expected = ", ".join(SOURCES)
            raise TwinearError("--sources", f"no source {name!r}", expected=expected, remedy=meant)
    if not settings.order:
        raise TwinearError("--sources", "names no source", expected=", ".join(SOURCES))
    contact = settings.contact or environment.get("TWINEAR_CONTACT", "")
    with ExitStack() as stack:

        def connect(name: str, url: str, policy: RequestPolicy) -> Client:
            # a table has URLs on any host, which are not worth keeping
            cache = None if name == "table" else ResponseCache(cache_folder)
            url = environment.get(f"TWINEAR_{name.upper()}_URL") or url
            client = Client(name, url, user_agent(contact), policy, cache=cache, clock=clock)
            return stack.enter_context(client)

        identities = None
        if set(settings.order) & set(SERVICES):
            policy = musicbrainz.REQUEST_POLICY
            identities = MusicBrainz(connect(musicbrainz.NAME, musicbrainz.URL, policy))
        sources = [_open(name, settings, connect, environment) for name in settings.order]
        yield OpenSources(musicbrainz=identities, sources=sources)


def _open(
    name: str, settings: SourceSettings, connect: Connect, environment: Mapping[str, str]
) -> Source:
    if name == "folder":
        if not settings.music:
            raise TwinearError("--sources", "'folder' is not given", remedy="add --music FOLDER")
        return FolderSource(settings.music)
    if name == "table":
        if not settings.table:
            raise TwinearError("--sources", "'table' is not given", remedy="add --table FILE")
        if not any(is_url(file) for file in read_clip_table(settings.table)["file"]):
            return TableSource(settings.table)
        client = connect("table", "http://127.0.0.1", TABLE_REQUEST_POLICY)
        return TableSource(settings.table, client)
    if name == deezer.NAME:
        return deezer.Deezer(connect(name, deezer.URL, deezer.REQUEST_POLICY))
    if name == itunes.NAME:
        return itunes.ITunes(connect(name, itunes.URL, itunes.REQUEST_POLICY))
    keys = [environment.get(f"TWINEAR_SPOTIFY_{key}", "") for key in ("ID", "SECRET")]
    if not all(keys):
        raise TwinearError(
            spotify.NAME,
            "has no keys",
            expected="TWINEAR_SPOTIFY_ID and TWINEAR_SPOTIFY_SECRET",
            remedy="set them or leave spotify out: it gives no audio, only who is who",
        )
    accounts = connect("spotify_accounts", spotify.ACCOUNTS_URL, spotify.REQUEST_POLICY)
    client = connect(spotify.NAME, spotify.URL, spotify.REQUEST_POLICY)
    return spotify.Spotify(client, spotify.AccessToken(accounts, *keys))
