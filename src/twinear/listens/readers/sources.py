"""Sources of listens -> their files, those in folders and archives at any depth.

System files are left out. What an archive holds is unpacked into a temporary folder, where its
files have numbers for names. Dumps of ListenBrainz, which are large, stay packed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path, PurePath

import polars as pl

from twinear.base.errors import DataError
from twinear.base.files import is_system_file, require
from twinear.listens.readers.archives import archive_kind, open_members, unpack
from twinear.listens.readers.formats import (
    BESIDE,
    COMPRESSED,
    MONTH,
    NO_LISTENS,
    REDIRECTS,
    REMEDY,
    SOURCE,
    bare_name,
    printable,
)
from twinear.listens.readers.rows import POLARS_ERRORS

# What is found also beside a file that is a source itself.
COMPANIONS = (
    *(name + suffix for name in BESIDE.values() for suffix in ("", *COMPRESSED)),
    *(REDIRECTS, SOURCE),
)
MAX_DEPTH = 3  # of archives in archives
SPARK_MEMBER = re.compile(r"(?:^|/)\d+\.parquet$")
SPARK_COLUMNS = {"listened_at", "user_id", "artist_name", "artist_credit_mbids"}
YEAR = re.compile(r"(?:^|/)listens/\d{4}$")  # in an export of ListenBrainz


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file of a source.

    Parameters
    ----------
    path
        Where its bytes are.
    name
        For messages.
    place
        Its path below the source; in an archive that of the archive, then its own.
    origin
        What an import copies: the file, or the archive that holds it, and its place.
    dump
        How it is streamed if it is an archive that stays packed: "listenbrainz" or
        "listenbrainz_spark".
    depth
        Number of archives around it.
    """

    path: Path
    name: str
    place: PurePath
    origin: tuple[PurePath, Path]
    dump: str = ""
    depth: int = 0

    @property
    def listener(self) -> str:
        """Who listened, where each file is one listener's."""
        return printable(_without_suffixes(self.place))

    @property
    def folder_listener(self) -> str:
        """Who listened, where each folder is one listener's."""
        return YEAR.sub("", printable(self.place.parent)).removeprefix(".") or "listens"


def _without_suffixes(path: PurePath) -> PurePath:
    return path.with_name(PurePath(bare_name(path)).stem)


def find_files(sources: Sequence[Path], unpacked: Path) -> list[FoundFile]:
    """Find the files of sources, each a file, a folder or an archive, in their natural order.

    Parameters
    ----------
    unpacked
        An empty folder for what archives hold.

    Raises
    ------
    DataError
        A source that is missing; an archive that is damaged or does not fit on the disk.
    """
    walker = _Walker(unpacked=unpacked)
    for source, prefix in zip(sources, _prefixes(sources), strict=True):
        require(source, REMEDY)
        if source.is_dir():
            walker.walk(source, prefix, frozenset())
        else:
            walker.add_file(source, prefix / source.name)
            for path in map(source.with_name, COMPANIONS):
                if path.is_file() and walker.found:
                    walker.add_file(path, prefix / path.name)
    return walker.found


def _prefixes(sources: Sequence[Path]) -> list[PurePath]:
    """Return what stands before the paths of each source, so that those of several differ."""
    if len(sources) == 1:
        return [PurePath()]
    names = Counter(source.name for source in sources)
    prefixes = []
    places = set()
    for source in sources:
        whole, is_folder = source.resolve(), source.is_dir()
        name = whole.name if is_folder else whole.parent.name if names[source.name] > 1 else ""
        for prefix in chain([name], (f"{name}-{number}" for number in count(2))):
            place = PurePath(prefix) if is_folder else PurePath(prefix, source.name)
            if place not in places:
                break
        places.add(place)
        prefixes.append(PurePath(prefix))
    return prefixes


@dataclass(kw_only=True)
class _Walker:
    unpacked: Path
    found: list[FoundFile] = field(default_factory=list)
    _seen: set[Path] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=count)

    def walk(self, folder: Path, place: PurePath, above: frozenset[Path]) -> None:
        """Add the files of a folder; links are followed, but not in circles."""
        whole = folder.resolve()
        if whole in above:
            return
        with _explain_unreadable(folder):
            paths = sorted(folder.iterdir(), key=lambda path: _natural(path.name))
        for path in paths:
            if is_system_file(PurePath(path.name)) or path.name == NO_LISTENS:
                continue
            if path.is_dir():
                self.walk(path, place / path.name, above | {whole})
            elif path.is_file():
                self.add_file(path, place / path.name)

    def add_file(self, path: Path, place: PurePath) -> None:
        """Add a file of the disk, once however often it is met."""
        whole = path.parent.resolve() / path.name
        if whole not in self._seen:
            self._seen.add(whole)
            self._add(FoundFile(path=path, name=str(path), place=place, origin=(place, path)))

    def _add(self, found: FoundFile) -> None:
        """Add a file, or what it holds if it is an archive."""
        with _explain_unreadable(found.name):
            kind = archive_kind(found.path, found.name)
        if not kind or found.depth == MAX_DEPTH:
            self.found.append(found)
            return
        folder = _without_suffixes(found.place)
        members = []
        for member in open_members(found.path, found.name):
            name = f"{found.name}:{member.name}"
            if kind == "tar" and MONTH.search(str(member.name)):
                self.found.append(replace(found, dump="listenbrainz"))
                return
            path = self.unpacked / f"{next(self._numbers):06}"
            unpack(member, path, name)
            if kind == "tar" and SPARK_MEMBER.search(str(member.name)) and is_spark(path):
                path.unlink()
                self.found.append(replace(found, dump="listenbrainz_spark"))
                return
            place = folder / member.name
            members.append(replace(found, path=path, name=name, place=place, depth=found.depth + 1))
        if not members:
            self.found.append(found)
        for each in sorted(members, key=lambda each: _natural(each.name)):
            self._add(each)


def is_spark(path: Path) -> bool:
    """Whether a file is a part of ListenBrainz' dump for Spark."""
    try:
        columns = pl.scan_parquet(path, glob=False).collect_schema().names()
    except POLARS_ERRORS:
        return False
    return set(columns) >= SPARK_COLUMNS


def _natural(name: str) -> str:
    """Return a key that sorts numbers in names by their value.

    Examples
    --------
    >>> sorted(["10.jsonl", "9.jsonl"], key=_natural)
    ['9.jsonl', '10.jsonl']
    """
    return re.sub(r"\d+", lambda number: number[0].zfill(20), name)


@contextmanager
def _explain_unreadable(place: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found = f"cannot be read ({error.strerror or error})"
        raise DataError(place, found, remedy="make it readable") from error
