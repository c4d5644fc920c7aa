"""Text as it streams out of a file, compressed or not, or out of a tar archive; memory is bounded.

How a file is compressed is told by its first bytes, not by its name. What is cut off or damaged is
an error, never a silent end.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from twinear.base.errors import DataError
from twinear.listens.readers.formats import ARCHIVES, MONTH, REMEDY, kind_of

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
CHUNK_BYTES = 1 << 25
START_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 26  # beyond this it is no line of text, and would fill the memory
END_OF_TAR = bytes(512)
AGAIN = "fetch or export it again"


def compression(path: Path) -> str:
    """How the file is compressed: gzip, zstd, bz2, or "" for not at all."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked as they are read.

    Raises
    ------
    DataError
        On reading: the file is cut off or damaged.
    """
    kind = compression(path)
    with _told(path):
        if not kind:
            with path.open("rb") as file:
                yield file
        else:
            with pa.CompressedInputStream(pa.OSFile(str(path)), kind) as stream:
                yield stream


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one line that a file is damaged."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise DataError(path, f"is cut off or damaged ({error})", remedy=AGAIN) from error
    except OSError as error:
        if error.errno is not None:  # the system's; those of pyarrow have no number
            raise
        raise DataError(path, f"is cut off or damaged ({error})", remedy=AGAIN) from error


def chunks(stream: IO[bytes], path: Path, quoted: bool = False) -> Iterator[bytes]:
    """Yield the text of a stream in pieces that end with a line, each about `CHUNK_BYTES`.

    Parameters
    ----------
    path
        For messages.
    quoted
        A line feed between double quotes ends no line.

    Raises
    ------
    DataError
        A line beyond all measure, or NUL bytes: that is no text.
    """
    rest = b""
    while piece := _read(stream, path):
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


def _read(stream: IO[bytes], path: Path) -> bytes:
    with _told(path):
        return stream.read(CHUNK_BYTES)


def _end_of_lines(text: bytes, quoted: bool) -> int:
    """Where the last line of the text ends; 0 if none does."""
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
    """The first bytes of a text, unpacked; more than any header has."""
    with unpacked(path) as stream:
        start = stream.read(START_BYTES)
    require_text(start, path)
    return start


def require_text(start: bytes, path: Path) -> None:
    """Raise `DataError` where bytes are not those of text in UTF-8."""
    found = "is UTF-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "is binary"
    if found == "is UTF-16" or b"\0" in start:
        raise DataError(path, found, expected="text in UTF-8", remedy=REMEDY)


def months(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of listens of a ListenBrainz dump, by name: of a tar archive, or the file itself.

    Each is to be read before the next is asked for.
    """
    with unpacked(path) as stream:
        if kind_of(path) not in ARCHIVES:
            yield str(path), stream
            return
        _require_whole(path)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file and MONTH.search(member.name):
                    yield f"{path}:{member.name}", file
        while stream.read(CHUNK_BYTES):  # behind the archive's end: to see that nothing is cut off
            pass


def _require_whole(path: Path) -> None:
    """A plain archive that is cut between two files shows it only by its missing end."""
    if compression(path):
        return
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(END_OF_TAR), 0))
        if file.read() != END_OF_TAR:
            raise DataError(path, "is cut off or no tar archive", remedy=AGAIN)
