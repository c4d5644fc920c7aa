"""Text streamed out of a file, compressed or not, or out of a tar archive, in bounded memory.

The compression is recognised by the first bytes of the file, not by its name. A truncated or
damaged file is an error, never a silent end.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from twinear.base.errors import DataError
from twinear.listens.readers.formats import ARCHIVES, MONTH, REMEDY, file_type

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
CHUNK_BYTES = 1 << 25
START_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 26  # a longer line is not text, and would fill the memory
END_OF_TAR = bytes(512)
AGAIN = "fetch or export it again"


def compression(path: Path) -> str:
    """Return how the file is compressed: gzip, zstd, bz2, or "" for not at all."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def decompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open the bytes of a file, decompressed as they are read.

    Raises
    ------
    DataError
        On reading: the file is cut off or damaged.
    """
    kind = compression(path)
    with (
        _explain_damage(path),
        pa.CompressedInputStream(pa.OSFile(str(path)), kind) if kind else path.open("rb") as stream,
    ):
        yield stream


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the system: those of pyarrow have no number
        raise DataError(path, f"is cut off or damaged ({error})", remedy=AGAIN) from error


def chunks(stream: IO[bytes], path: Path, quoted: bool = False) -> Iterator[bytes]:
    """Yield the text of a stream in pieces that end with a line, each about `CHUNK_BYTES`.

    Parameters
    ----------
    path
        For messages.
    quoted
        A line feed between double quotes does not end a line.

    Raises
    ------
    DataError
        A line of more than `MAX_LINE_BYTES`, or NUL bytes: that is not text.
    """
    rest = b""
    while True:
        with _explain_damage(path):
            piece = stream.read(CHUNK_BYTES)
        if not piece:
            break
        require_text(piece[:START_BYTES], path)
        text = rest + piece
        end = _end_of_lines(text, quoted)
        rest = text[end:]
        if len(rest) > MAX_LINE_BYTES:
            found = f"has a line of more than {MAX_LINE_BYTES} bytes"
            raise DataError(path, found, remedy="look for a quote that is never closed")
        if end:
            yield text[:end]
    if rest:
        yield rest


def _end_of_lines(text: bytes, quoted: bool) -> int:
    r"""Return where the last complete line of the text ends; 0 if there is none.

    A line feed after an odd number of quotes is inside of a field.

    Examples
    --------
    >>> _end_of_lines(b'a,"b"\nc,"d \n', quoted=True)
    6
    """
    end = text.rfind(b"\n") + 1
    if not quoted:
        return end
    n_quotes = text.count(b'"', 0, end)
    while end and n_quotes % 2:
        before = text.rfind(b"\n", 0, end - 1) + 1
        n_quotes -= text.count(b'"', before, end)
        end = before
    return end


def beginning(path: Path) -> bytes:
    """Return the first bytes of a text, decompressed: more than any header has."""
    with decompressed(path) as stream:
        start = stream.read(START_BYTES)
    require_text(start, path)
    return start


def require_text(start: bytes, path: Path) -> None:
    """Raise `DataError` if the bytes are not text in UTF-8."""
    is_utf16 = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    if is_utf16 or b"\0" in start:
        found = "is UTF-16" if is_utf16 else "is binary"
        raise DataError(path, found, expected="text in UTF-8", remedy=REMEDY)


def open_months(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Open the files of listens in a ListenBrainz dump: a tar archive, or one file itself.

    Yields the name of each file, for messages, and its stream, which must be read before the next.
    """
    with decompressed(path) as stream:
        if file_type(path) not in ARCHIVES:
            yield str(path), stream
            return
        if not compression(path):  # cut between two files, only the end of the archive is missing
            with path.open("rb") as file:
                file.seek(max(path.stat().st_size - len(END_OF_TAR), 0))
                if file.read() != END_OF_TAR:
                    raise DataError(path, "is cut off or no tar archive", remedy=AGAIN)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                file_of_month = archive.extractfile(member) if member.isfile() else None
                if file_of_month and MONTH.search(member.name):
                    yield f"{path}:{member.name}", file_of_month
        while stream.read(CHUNK_BYTES):  # the compressed stream must be whole to its end
            pass
