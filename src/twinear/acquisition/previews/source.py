"""What every source of clips does, whether it is a service, a folder or a table.

A source finds an artist, lists previews of it, and puts the audio of one on disk. It says how sure
it is that the artist is the requested one, and what may be done with its audio.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class RequestedArtist:
    """An artist whose clips are requested."""

    artist: str  # our id
    name: str
    mbid: str  # "" if unknown
    titles: tuple[str, ...] = ()  # of known releases: they tell artists of one name apart
    # deezer, itunes, spotify -> the artist's id there, from MusicBrainz
    ids: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The artist of a source that is probably the requested one."""

    artist_id: str  # the source's
    name: str
    # 1: linked by MusicBrainz. .95: of several with the name, the one with releases of the known
    # titles. .9: the only one with the name. .7: by far the most popular with the name. .5: a guess
    # among several with the name
    confidence: float
    why: str  # the same in words


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A piece of audio that a source offers."""

    source_id: str  # the source's id of the recording
    title: str
    url: str  # perhaps valid for some minutes only; for a local source a path
    duration_seconds: float  # of the whole recording, 0 if unknown
    terms: str  # what may be done with the audio


class Source(Protocol):
    """A service, folder or table that has audio of artists. Safe to use from many threads."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def terms(self) -> str:
        """What may be done with its audio, in one line."""

    def find(self, artist: RequestedArtist) -> Candidate | None:
        """Find the artist; None if the source has no artist of that name."""

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List at most `limit` previews that have audio, the most popular first."""

    def download(self, preview: Preview, to: Path) -> None:
        """Put the audio into a file, whole or not at all, else raise `SourceError`."""
