"""Text of any encoding, with any ends of lines -> whole lines of valid UTF-8.

UTF-8 and UTF-16 with or without a byte-order mark, and Windows-1252 (see `base.encoding`). A text
that begins in ASCII is decided by its first letters beyond. Bytes that its encoding does not have
become replacement characters. Carriage returns end lines only where no line feed does.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from twinear.base.encoding import detect_encoding
from twinear.base.errors import DataError
from twinear.listens.readers.decompression import compression, decompressed, read_pieces
from twinear.listens.readers.rows import TextFile

START_BYTES = 1 << 16
LETTERS_BYTES = 1 << 20  # that decide the encoding, from the first letter beyond ASCII
MAX_LINE_BYTES = 1 << 26  # a longer line is not text, and would fill the memory
MAX_DOCUMENT_BYTES = 1 << 30  # of JSON without line ends
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")  # not tabs and ends of lines
MAX_CONTROLS = 0.01  # share of the bytes at the beginning; with more it is not text,
SOME_CONTROLS = 32  # but a short text may have some that are not zeros
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


class _Decoder:
    """Bytes of any encoding to UTF-8, piece by piece; damaged UTF-8 is left as it is."""

    encoding = ""  # unknown as long as all is ASCII

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None

    def decode(self, piece: bytes, is_first: bool, is_last: bool = False) -> bytes:
        if not self.encoding:
            self.encoding = _encoding(piece, is_first)
            if self.encoding not in ("", "utf-8", "utf-8-sig"):
                self._decoder = codecs.getincrementaldecoder(self.encoding)("replace")
            elif self.encoding == "utf-8-sig":
                piece = piece.removeprefix(codecs.BOM_UTF8)
        if self._decoder is None:
            return piece
        return self._decoder.decode(piece, is_last).encode(errors="replace")


def _encoding(piece: bytes, is_first: bool) -> str:
    """Return the encoding of a piece of text; "" if it is ASCII, as all before it."""
    if is_first:
        encoding = detect_encoding(piece[:START_BYTES])
        if encoding not in ("utf-8", "cp1252"):
            return encoding
    if piece.isascii():
        return ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(piece)
    except UnicodeDecodeError:
        letter = BEYOND_ASCII.search(piece)
        first = letter.start() if letter else 0
        encoding = detect_encoding(piece[first : first + LETTERS_BYTES])
        # a byte-order mark counts only at the beginning
        return "utf-8" if encoding == "utf-8" else "cp1252"
    return "utf-8"


def open_text(path: Path, name: str, listener: str, folder_listener: str) -> TextFile | None:
    """Open a file as text; None if it is not text.

    Raises
    ------
    DataError
        It is cut off or damaged.
    """
    decoder = _Decoder()
    start = b""
    with decompressed(path, name) as stream:
        for number, piece in enumerate(read_pieces(stream, name)):
            text = decoder.decode(piece, not number)
            start += text[: START_BYTES - len(start)]
            # A compressed file is not read twice only to tell its encoding.
            if len(start) == START_BYTES and (decoder.encoding or compression(path)):
                break
    most = MAX_CONTROLS * len(start)
    if start.count(0) > most or len(CONTROLS.findall(start)) > most + SOME_CONTROLS:
        return None

    def chunks() -> Iterator[bytes]:
        with decompressed(path, name) as stream:
            yield from whole_lines(read_pieces(stream, name), name)

    return TextFile(
        name=name,
        listener=listener,
        folder_listener=folder_listener,
        encoding=decoder.encoding or "utf-8",
        start=_line_feeds(start, has_only_returns(start)).decode(errors="replace").encode(),
        chunks=chunks,
    )


def whole_lines(pieces: Iterable[bytes], place: object) -> Iterator[bytes]:
    """Yield the text of some bytes in pieces that end with a line, in valid UTF-8.

    Raises
    ------
    DataError
        A line of more than `MAX_LINE_BYTES`: that is not text.
    """
    rest: list[bytes] = []
    n_rest = 0
    limit = MAX_LINE_BYTES
    only_returns = False
    for number, text in enumerate(_decoded(pieces)):
        if not number:
            only_returns = has_only_returns(text[:START_BYTES])
            if text.lstrip()[:1] in (b"[", b"{"):
                limit = MAX_DOCUMENT_BYTES
        text = _line_feeds(text, only_returns)
        end = text.rfind(b"\n") + 1
        if end:
            yield _valid(b"".join([*rest, text[:end]]))
            rest, n_rest = [], 0
        rest.append(text[end:])
        n_rest += len(text) - end
        if n_rest > limit:
            found = f"has a line of more than {limit} bytes"
            raise DataError(place, found, remedy="it is not text, or damaged: export it again")
    if n_rest:
        yield _valid(b"".join(rest))


def _decoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decoder = _Decoder()
    for number, piece in enumerate(pieces):
        yield decoder.decode(piece, not number)
    yield decoder.decode(b"", is_first=False, is_last=True)


def has_only_returns(start: bytes) -> bool:
    """Whether carriage returns end the lines of a text, as on old Macintoshes."""
    return b"\n" not in start and b"\r" in start


def _line_feeds(text: bytes, only_returns: bool) -> bytes:
    return text.replace(b"\r", b"\n") if only_returns else text


def _valid(text: bytes) -> bytes:
    try:
        if not text.isascii():
            text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text
