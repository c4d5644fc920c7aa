"""Files taken out of an archive that nobody vouches for.

Only files whose names are asked for are written, under those names, wherever they stand in the
archive: no path, link or device of it is ever followed. Bytes and members are bounded as they come,
whatever the archive says of itself.
"""

import errno
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from twinear.base.errors import DataError
from twinear.listens.readers.decompression import decompressed

MAX_MEMBERS = 10_000
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A file that was taken out."""

    bytes: int
    md5: str
    sha256: str


def take_out(path: Path, names: Collection[str], into: Path, max_bytes: int) -> dict[str, Taken]:
    """Write the files of these names to a folder.

    Raises
    ------
    DataError
        Damaged, too large or with too many members, without one of the files or with two of it.
    """
    taken: dict[str, Taken] = {}
    members = _of_zip if zipfile.is_zipfile(path) else _of_tar
    left = max_bytes
    with _told(path):
        for name, file in members(path, names, max_bytes):
            if name in taken:
                raise DataError(path, f"holds {name} twice")
            taken[name] = _write(file, into / name, left, path)
            left -= taken[name].bytes
    for name in names:
        if name not in taken:
            raise DataError(path, f"holds no file {name}", expected=", ".join(names))
    return taken


def _of_tar(path: Path, names: Collection[str], max_bytes: int) -> Iterator[tuple[str, IO[bytes]]]:
    with decompressed(path) as stream:
        bounded = cast(IO[bytes], _Bounded(stream, max_bytes, path))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for n, member in enumerate(archive):
                _require_few(path, n)
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isreg() and name in names else None
                if file:
                    yield name, file
        while bounded.read(PIECE_BYTES):  # to see that nothing is cut off
            pass


def _of_zip(path: Path, names: Collection[str], max_bytes: int) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for n, member in enumerate(archive.infolist()):
            _require_few(path, n)
            name = PurePosixPath(member.filename).name
            kind = member.external_attr >> 28  # of the file's mode: 8 is a file, 0 not said
            if name in names and not member.is_dir() and kind in (0, 8):
                with archive.open(member) as file:
                    yield name, file


def _require_few(path: Path, n: int) -> None:
    if n >= MAX_MEMBERS:
        raise DataError(path, f"holds more than {MAX_MEMBERS} files")


def _write(file: IO[bytes], to: Path, max_bytes: int, path: Path) -> Taken:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    bounded = _Bounded(file, max_bytes, path)
    n = 0
    with to.open("wb") as target:
        while piece := bounded.read(PIECE_BYTES):
            n += target.write(piece)
            md5.update(piece)
            sha256.update(piece)
    return Taken(bytes=n, md5=md5.hexdigest(), sha256=sha256.hexdigest())


class _Bounded:
    """A stream that is not read beyond a bound."""

    def __init__(self, stream: IO[bytes], left: int, path: Path) -> None:
        self._stream, self._left, self._most, self._path = stream, left, left, path

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise DataError(self._path, f"unpacks to more than {self._most} bytes")
        return piece


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(path, f"is damaged ({error})") from error
    except (NotImplementedError, RuntimeError) as error:  # of zipfile: a password, a method
        raise DataError(path, f"cannot be unpacked ({error})") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the system's, not a seek before the start
            raise
        raise DataError(path, f"is damaged ({error})") from error
