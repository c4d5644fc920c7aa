"""The services as the environment has them: addresses, keys, contact and answers on disk.

| variable | for |
|---|---|
| `TWINEAR_CONTACT` | an e-mail address or a web address that services are told |
| `TWINEAR_DEEZER_URL`, `TWINEAR_ITUNES_URL`, `TWINEAR_MUSICBRAINZ_URL` | another address |
| `TWINEAR_SPOTIFY_URL`, `TWINEAR_SPOTIFY_ACCOUNTS_URL` | another address |
| `TWINEAR_SPOTIFY_ID`, `TWINEAR_SPOTIFY_SECRET` | the keys of an application, for spotify only |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinear.acquisition.network.client import Client, Manners, user_agent
from twinear.acquisition.network.rate_limit import Clock
from twinear.acquisition.network.response_cache import Answers
from twinear.acquisition.previews.services import deezer, itunes, musicbrainz, spotify
from twinear.acquisition.previews.services.musicbrainz import Identity
from twinear.acquisition.previews.source import Source
from twinear.base.errors import TwinearError, nearest

SERVICES = (deezer.NAME, itunes.NAME, spotify.NAME)

Connect = Callable[[str, str, Manners], Client]


@dataclass(frozen=True, kw_only=True)
class Services:
    """MusicBrainz, and the services that were named, in their order."""

    identity: Identity
    sources: list[Source]


@contextmanager
def open_services(
    names: Sequence[str],
    contact: str,
    answers: Path,
    environment: Mapping[str, str],
    clock: Clock,
) -> Iterator[Services]:
    """Open the services by name: one client each, to be shared by all threads.

    Parameters
    ----------
    answers
        The folder in which answers are kept.
    environment
        See the module; an empty value counts as none.

    Raises
    ------
    TwinearError
        No contact, an unknown service, or Spotify without its keys.
    """
    agent = user_agent(contact or environment.get("TWINEAR_CONTACT", ""))
    kept = Answers(answers)
    with ExitStack() as stack:

        def connect(name: str, url: str, manners: Manners) -> Client:
            url = environment.get(f"TWINEAR_{name.upper()}_URL") or url
            client = Client(name, url, agent, manners, answers=kept, clock=clock)
            return stack.enter_context(client)

        identity = Identity(connect(musicbrainz.NAME, musicbrainz.URL, musicbrainz.MANNERS))
        sources = [_source(name, connect, environment) for name in dict.fromkeys(names)]
        yield Services(identity=identity, sources=sources)


def _source(name: str, connect: Connect, environment: Mapping[str, str]) -> Source:
    if name == deezer.NAME:
        return deezer.Deezer(connect(name, deezer.URL, deezer.MANNERS))
    if name == itunes.NAME:
        return itunes.ITunes(connect(name, itunes.URL, itunes.MANNERS))
    if name == spotify.NAME:
        return _spotify(connect, environment)
    meant = "".join(f"; '{each}' may be meant" for each in nearest(name, SERVICES))
    raise TwinearError("--sources", f"no service {name!r}{meant}", expected=", ".join(SERVICES))


def _spotify(connect: Connect, environment: Mapping[str, str]) -> Source:
    keys = [environment.get(f"TWINEAR_SPOTIFY_{each}", "") for each in ("ID", "SECRET")]
    if not all(keys):
        raise TwinearError(
            spotify.NAME,
            "has no keys",
            expected="TWINEAR_SPOTIFY_ID and TWINEAR_SPOTIFY_SECRET",
            remedy="set them or leave spotify out: it gives no audio, only who is who",
        )
    accounts = connect("spotify_accounts", spotify.ACCOUNTS_URL, spotify.MANNERS)
    token = spotify.Token(accounts, *keys)
    return spotify.Spotify(connect(spotify.NAME, spotify.URL, spotify.MANNERS), token)
