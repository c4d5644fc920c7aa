"""The sources that the command line names, in its order, opened together."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinear.acquisition.network.client import Client, Manners, user_agent
from twinear.acquisition.network.rate_limit import Clock
from twinear.acquisition.previews.folder import FolderSource
from twinear.acquisition.previews.services.connect import SERVICES, open_services
from twinear.acquisition.previews.services.musicbrainz import Identity
from twinear.acquisition.previews.source import Source
from twinear.acquisition.previews.table import TableSource, is_address
from twinear.artists.clip_table import read_clip_table
from twinear.base.errors import TwinearError, nearest

TABLE_MANNERS = Manners(n=10, seconds=10.0, max_clip_bytes=200_000_000, total_seconds=600.0)
KNOWN = ("folder", "table", *SERVICES)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line says about sources.

    Parameters
    ----------
    names
        Of the sources, in the order in which they are asked.
    music, table
        The folder and the table, if they are given; asked first unless they are named.
    contact
        "": what TWINEAR_CONTACT says.
    """

    names: Sequence[str]
    music: Path | None
    table: Path | None
    contact: str

    @property
    def order(self) -> list[str]:
        """The names, each once, with what is given but not named in front."""
        given = {"folder": self.music, "table": self.table}
        return list(dict.fromkeys([*(_not_named(given, self.names)), *self.names]))


def _not_named(given: dict[str, Path | None], names: Sequence[str]) -> list[str]:
    return [name for name, path in given.items() if path and name not in names]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Sources in order; no identity if none of them is a service."""

    identity: Identity | None
    sources: list[Source]


@contextmanager
def open_sources(settings: Settings, answers: Path, clock: Clock) -> Iterator[Opened]:
    """Open the sources; services by the environment (`services`).

    Raises
    ------
    TwinearError
        An unknown source, one without its folder or table, or services without a contact.
    """
    order = settings.order
    _require_known(order, settings)
    with ExitStack() as stack:
        opened: dict[str, Source] = {}
        if "folder" in order and settings.music:
            opened["folder"] = FolderSource(settings.music)
        if "table" in order and settings.table:
            opened["table"] = _open_table(settings.table, settings, clock, stack)
        identity = None
        if names := [name for name in order if name in SERVICES]:
            services = stack.enter_context(
                open_services(names, settings.contact, answers, os.environ, clock)
            )
            identity = services.identity
            opened |= {source.name: source for source in services.sources}
        yield Opened(identity=identity, sources=[opened[name] for name in order])


def _require_known(order: Sequence[str], settings: Settings) -> None:
    for name in order:
        if name not in KNOWN:
            meant = "".join(f"did you mean '{each}'?" for each in nearest(name, KNOWN))
            expected = ", ".join(KNOWN)
            raise TwinearError("--sources", f"no source {name!r}", expected=expected, remedy=meant)
    if not order:
        raise TwinearError("--sources", "names none", expected=", ".join(KNOWN))
    for name, path, flag in (
        ("folder", settings.music, "--music FOLDER"),
        ("table", settings.table, "--table FILE"),
    ):
        if name in order and not path:
            raise TwinearError("--sources", f"'{name}' is not given", remedy=f"add {flag}")


def _open_table(table: Path, settings: Settings, clock: Clock, stack: ExitStack) -> TableSource:
    if not any(is_address(file) for file in read_clip_table(table)["file"]):
        return TableSource(table)
    contact = settings.contact or os.environ.get("TWINEAR_CONTACT", "")
    # the table has addresses of its own, on any host
    client = Client("table", "http://127.0.0.1", user_agent(contact), TABLE_MANNERS, clock=clock)
    return TableSource(table, stack.enter_context(client))
