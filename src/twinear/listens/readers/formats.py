"""The names of formats and files of listens, and what is known of files before they are read."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from twinear.base.params import Params

if TYPE_CHECKING:
    import polars as pl

    from twinear.listens.readers.rows import Piece

# The usual names of the files of the public data sets, and of what belongs beside them.
PLAYS: dict[str, str] = {
    "lastfm_360k": "usersha1-artmbid-artname-plays.tsv",
    "lastfm_1k": "userid-timestamp-artid-artname-traid-traname.tsv",
    "hetrec": "user_artists.dat",
}
BESIDE: dict[str, str] = {"lastfm_360k": "usersha1-profile.tsv", "hetrec": "artists.dat"}
BESIDE_1K = "userid-profile.tsv"  # comes with Last.fm-1K and is not used
REDIRECTS = "redirects.csv"  # merged MusicBrainz ids
SOURCE = "source.json"  # origin and terms of listens that were fetched
NO_LISTENS = "no-listens.txt"  # alone in a folder of listens: there are none

COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
MONTH = re.compile(r"(?:^|/)\d{4}/\d{1,2}\.listens$")  # the files of listens in a ListenBrainz dump

MAX_NAME = 1000  # letters of an artist; more is no name but damage
REMEDY = "bring listens in with 'twinear import'"


class TableColumns(Params):
    """The names of a table's columns; it may lack all but the one of the artist."""

    listener: str
    artist: str
    mbid: str
    plays: str


USUAL_COLUMNS = TableColumns(listener="listener", artist="artist", mbid="mbid", plays="plays")


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a file was taken for.

    Parameters
    ----------
    name
        The file, below its source.
    format
        A value of `listens.format`.
    title
        For people.
    assumed
        What the file does not say: separator, encoding, columns, time zone; "" if nothing.
    """

    name: str
    format: str
    title: str
    assumed: str


@dataclass(frozen=True, kw_only=True)
class ListensFile:
    """A file of listens.

    Parameters
    ----------
    place
        For messages.
    origins
        What an import copies: where it goes, and where it is.
    timed
        Its rows are single listens with a time.
    read
        Its rows, in pieces.
    scannable
        The file itself, if it is Last.fm-360K in plain UTF-8.
    profiles
        listener, of those with a profile; None where profiles are not known.
    """

    recognised: Recognised
    place: str
    origins: tuple[tuple[PurePath, Path], ...]
    timed: bool
    read: "Callable[[], Iterator[Piece]]"
    scannable: Path | None = None
    profiles: "pl.LazyFrame | None" = None


@dataclass(frozen=True, kw_only=True)
class ListensFiles:
    """The files of some sources of listens.

    Parameters
    ----------
    place
        For messages: the sources.
    files
        Those of listens, in the order in which they are read.
    left_out
        Other files -> why they are not read.
    redirects
        The merged MusicBrainz ids.
    copies
        What an import copies: where it goes below the folder of listens, and where it is.
    """

    place: str
    files: tuple[ListensFile, ...]
    left_out: dict[str, str]
    redirects: Path | None
    copies: dict[PurePath, Path]

    @property
    def format(self) -> str:
        """The formats of all files."""
        return ", ".join(dict.fromkeys(file.recognised.format for file in self.files))

    @property
    def names(self) -> list[str]:
        """The names of all files that are copied, but not of the terms beside them."""
        return [printable(path) for path in self.copies if path.name != SOURCE]


def printable(path: PurePath) -> str:
    """Return a path as text, distinct also where it is not UTF-8."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def bare_name(path: PurePath) -> str:
    """Return the file's name without the suffix of its compression.

    Examples
    --------
    >>> bare_name(Path("plays.csv.gz")), bare_name(Path("plays.csv"))
    ('plays.csv', 'plays.csv')
    """
    return path.stem if path.suffix.lower() in COMPRESSED else path.name
