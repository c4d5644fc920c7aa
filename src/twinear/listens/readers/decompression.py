"""Bytes streamed out of a file, compressed or not, in bounded memory.

The compression is recognised by the first bytes of the file, not by its name. A truncated or
damaged file is an error, never a silent end.
"""

import errno
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from twinear.base.errors import DataError

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ": "xz"}
CHUNK_BYTES = 1 << 23
AGAIN = "fetch or export it again"
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError)


def compression(path: Path) -> str:
    """Return how the file is compressed: gzip, zstd, bz2, xz, or "" for not at all."""
    with path.open("rb") as file:
        start = file.read(5)
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def decompressed(path: Path, name: str = "") -> Iterator[IO[bytes]]:
    """Open the bytes of a file, decompressed as they are read.

    Parameters
    ----------
    name
        For messages, instead of the path.

    Raises
    ------
    DataError
        On reading: the file is cut off or damaged.
    """
    with explain_damage(name or path), _open(path) as stream:
        yield stream


def _open(path: Path) -> IO[bytes]:
    match compression(path):
        case "":
            return path.open("rb")
        case "xz":
            return cast(IO[bytes], lzma.open(path))
        case kind:
            return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(str(path)), kind))


@contextmanager
def explain_damage(place: object) -> Iterator[None]:
    """Turn what libraries say of damaged bytes into a `DataError`."""
    try:
        yield
    except DAMAGE as error:
        # An error of the system; those of pyarrow have no number, and a place in the file that
        # cannot be is an invalid argument.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DataError(place, f"is cut off or damaged ({error})", remedy=AGAIN) from error


def read_pieces(stream: IO[bytes], place: object) -> Iterator[bytes]:
    """Read a stream to its end, in pieces of at most `CHUNK_BYTES`.

    Raises
    ------
    DataError
        It is cut off or damaged.
    """
    while True:
        with explain_damage(place):
            piece = stream.read(CHUNK_BYTES)
        if not piece:
            return
        yield piece


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turn what the system says of a write that it refuses into a `DataError`."""
    try:
        yield
    except OSError as error:
        found = f"has no room for what is read ({error.strerror or error})"
        raise DataError(folder, found, remedy="set TMPDIR to a larger disk") from error
