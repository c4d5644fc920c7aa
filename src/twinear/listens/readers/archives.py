"""Archives, zip and tar of any compression, recognised by what they hold.

Only bytes of regular files are ever taken from them: links and devices are left out, and names of
members say nothing about where anything is written.
"""

import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from twinear.base.errors import DataError
from twinear.base.files import is_system_file
from twinear.listens.readers.decompression import (
    AGAIN,
    compression,
    decompressed,
    explain_damage,
    explain_full_disk,
    read_pieces,
)

Kind = Literal["", "zip", "tar"]

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
END_OF_TAR = bytes(tarfile.BLOCKSIZE)
MAX_MEMBERS = 100_000
REGULAR = (0, 8)  # the kinds of files in a zip that are files: unknown, regular


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in an archive; its stream must be read before the next member is asked for."""

    name: PurePosixPath
    size: int
    stream: IO[bytes]


def archive_kind(path: Path, name: str = "") -> Kind:
    """Return whether a file is an archive, and which; "" if it is none."""
    with decompressed(path, name) as stream, explain_damage(name or path):
        start = stream.read(tarfile.BLOCKSIZE)
    if start.startswith(ZIP) and not compression(path):
        return "zip"
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return ""
    return "tar"


def open_members(path: Path, name: str = "") -> Iterator[Member]:
    """Open the files of an archive one after the other, without those of the system.

    Parameters
    ----------
    name
        For messages, instead of the path.

    Raises
    ------
    DataError
        It is damaged, cut off or encrypted, or holds too many files.
    """
    name = name or str(path)
    members = _zip_members if archive_kind(path, name) == "zip" else _tar_members
    with explain_damage(name):
        for number, member in enumerate(members(path, name)):
            if number >= MAX_MEMBERS:
                raise DataError(name, f"holds more than {MAX_MEMBERS} files", remedy="unpack it")
            if not is_system_file(member.name):
                yield member


def _zip_members(path: Path, name: str) -> Iterator[Member]:
    with _explain_unsupported(name), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename[-1:] in ("", "/") or info.external_attr >> 28 not in REGULAR:
                continue
            with archive.open(info) as stream:
                yield Member(name=_relative(info.filename), size=info.file_size, stream=stream)


@contextmanager
def _explain_unsupported(name: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:  # a password, a method, a version
        raise DataError(name, f"cannot be unpacked ({error})", remedy="unpack it") from None


def _tar_members(path: Path, name: str) -> Iterator[Member]:
    if not compression(path):  # cut between two files, only the end of the archive is missing
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - len(END_OF_TAR), 0))
            if file.read() != END_OF_TAR:
                raise DataError(name, "is cut off or no tar archive", remedy=AGAIN)
    with decompressed(path, name) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                content = archive.extractfile(info) if info.isreg() else None
                if content:
                    yield Member(name=_relative(info.name), size=info.size, stream=content)
        for _ in read_pieces(stream, name):  # the compressed stream must be whole to its end
            pass


def _relative(name: str) -> PurePosixPath:
    r"""Return the path of a member below its archive, whatever it claims.

    Examples
    --------
    >>> _relative("C:\\x\\..\\y.csv"), _relative("/etc/passwd"), _relative("./a/b.csv")
    (PurePosixPath('C:/x/y.csv'), PurePosixPath('etc/passwd'), PurePosixPath('a/b.csv'))
    """
    parts = re.split(r"[/\\]", name)
    return PurePosixPath(*(part for part in parts if part not in ("", ".", "..")))


def unpack(member: Member, path: Path, name: str) -> None:
    """Write a member to a file.

    Raises
    ------
    DataError
        It is larger than the disk has room for; the archive is damaged.
    """
    free = shutil.disk_usage(path.parent).free
    if member.size > free:
        found = f"unpacks to more bytes than the disk has ({member.size}, free: {free})"
        raise DataError(name, found, remedy="set TMPDIR to a larger disk")
    with explain_full_disk(path.parent):
        file = path.open("wb")
    with file:
        for piece in read_pieces(member.stream, name):
            with explain_full_disk(path.parent):
                file.write(piece)
