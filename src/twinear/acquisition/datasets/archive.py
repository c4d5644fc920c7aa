"""Extract files from an archive that is not trusted.

Only files with requested names are written, under those names, wherever they are in the archive: no
path, link or device in it is followed. Bytes and members are bounded as they come, whatever the
archive says about itself.
"""

import errno
import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.listens.readers.decompression import decompressed

MAX_MEMBERS = 10_000
PIECE_BYTES = 1 << 20

Members = Iterator[tuple[str, IO[bytes]]]  # the requested files, each open, with its name


@dataclass(frozen=True, kw_only=True)
class ExtractedFile:
    """Size and hashes of an extracted file."""

    bytes: int
    md5: str
    sha256: str


def hash_file(path: Path) -> ExtractedFile:
    """Size and hashes of a file."""
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return ExtractedFile(bytes=path.stat().st_size, md5=md5, sha256=sha256(path))


def extract_files(
    path: Path, names: Collection[str], into: Path, max_bytes: int
) -> dict[str, ExtractedFile]:
    """Write the files of these names to a folder.

    `DataError` if the archive is damaged, unpacks to more bytes or members than allowed, or holds
    one of the files twice or not at all.
    """
    files: dict[str, ExtractedFile] = {}
    members = _zip_members if zipfile.is_zipfile(path) else _tar_members
    bytes_left = max_bytes
    try:
        for name, file in members(path, names, max_bytes):
            if name in files:
                raise DataError(path, f"holds {name} twice")
            with (into / name).open("wb") as target:
                bounded = cast(IO[bytes], _BoundedStream(file, bytes_left, path))
                shutil.copyfileobj(bounded, target, PIECE_BYTES)
            files[name] = hash_file(into / name)
            bytes_left -= files[name].bytes
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(path, f"is damaged ({error})") from error
    except (NotImplementedError, RuntimeError) as error:  # from zipfile: a password, a method
        raise DataError(path, f"cannot be unpacked ({error})") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # those two come from damage, not the system
            raise
        raise DataError(path, f"is damaged ({error})") from error
    for name in names:
        if name not in files:
            raise DataError(path, f"holds no file {name}", expected=", ".join(names))
    return files


def _tar_members(path: Path, names: Collection[str], max_bytes: int) -> Members:
    with decompressed(path) as stream:
        bounded = cast(IO[bytes], _BoundedStream(stream, max_bytes, path))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for n, member in enumerate(archive):
                _require_few(path, n)
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isreg() and name in names else None
                if file:
                    yield name, file
        while bounded.read(PIECE_BYTES):  # reading to the end shows whether the file is cut off
            pass


def _zip_members(path: Path, names: Collection[str], max_bytes: int) -> Members:
    with zipfile.ZipFile(path) as archive:
        for n, member in enumerate(archive.infolist()):
            _require_few(path, n)
            name = PurePosixPath(member.filename).name
            kind = member.external_attr >> 28  # of the file's mode: 8 is a file, 0 unknown
            if name in names and not member.is_dir() and kind in (0, 8):
                with archive.open(member) as file:
                    yield name, file


def _require_few(path: Path, n: int) -> None:
    if n >= MAX_MEMBERS:
        raise DataError(path, f"holds more than {MAX_MEMBERS} files")


class _BoundedStream:
    """A stream that is not read beyond a bound."""

    def __init__(self, stream: IO[bytes], max_bytes: int, path: Path) -> None:
        self._stream, self._max_bytes, self._path = stream, max_bytes, path
        self._n_read = 0

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._n_read += len(piece)
        if self._n_read > self._max_bytes:
            raise DataError(self._path, f"unpacks to more than {self._max_bytes} bytes")
        return piece
