"""What every source of clips does, whichever service or folder it is, and how it fails.

A source finds an artist, lists previews of it, and puts the audio of one on disk. It says how sure
it is that the artist is the one that was meant, and what may be done with its audio.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An artist of whom clips are wanted.

    Parameters
    ----------
    artist
        Our id.
    mbid
        The MusicBrainz id, or "".
    titles
        Of releases, where they are known: they tell artists of one name apart.
    ids
        Service -> the artist's id there, as MusicBrainz tells it: deezer, itunes, spotify.
    """

    artist: str
    name: str
    mbid: str
    titles: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The artist of a source that is probably the one that was meant.

    Parameters
    ----------
    artist_id
        The source's id.
    popularity
        In the source's own unit; 0 where it tells none.
    confidence
        1: MusicBrainz says so. .95: one of that name has releases of the known titles. .9: the
        only one of that name. .7: by far the most popular of that name. .5: the likeliest of
        several of that name, a guess.
    why
        The same in words.
    """

    artist_id: str
    name: str
    source: str
    popularity: int
    confidence: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A piece of audio that a source offers.

    Parameters
    ----------
    source_artist, source_id
        The source's ids of the artist and of the recording.
    url
        Where the audio is, perhaps only for some minutes; for a local source the file's path.
    duration_seconds
        Of the whole recording, 0 if unknown.
    terms
        What may be done with the audio.
    """

    source: str
    source_artist: str
    source_id: str
    title: str
    url: str
    duration_seconds: float
    terms: str


class Source(Protocol):
    """A service, folder or table that has audio of artists. Safe to use from many threads."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def terms(self) -> str:
        """What may be done with its audio, in one line."""

    def find(self, artist: Wanted) -> Candidate | None:
        """Find the artist; None if the source knows nobody of that name."""

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        """List at most `limit` previews, the best known first; those without audio left out."""

    def download(self, preview: Preview, to: Path) -> None:
        """Put the audio into a file, whole or not at all.

        Raises
        ------
        PreviewError
            It could not be had, also not from a renewed address.
        """
