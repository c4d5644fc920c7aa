"""The encoding of a text of unknown origin, decided from its bytes.

A byte-order mark decides; else zero bytes in every second place mean UTF-16. Text with letters
beyond ASCII is UTF-8 unless most of them cannot be: then it is Windows-1252, the encoding of
spreadsheets and old exports in western Europe, which contains Latin-1's letters.
"""

import codecs
import os
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


def detect_encoding(text: bytes) -> str:
    """Return Python's name of the encoding of some bytes from the beginning of a text.

    ASCII is UTF-8. A text in UTF-8 with some damaged letters is UTF-8.

    Examples
    --------
    >>> detect_encoding("Björk".encode("cp1252")), detect_encoding("Björk".encode())
    ('cp1252', 'utf-8')
    >>> detect_encoding("u1,Muse".encode("utf-16-le"))
    'utf-16-le'
    """
    for mark, encoding in MARKS:
        if text.startswith(mark):
            return encoding
    pairs = len(text) // 2
    zeros = text[0 : 2 * pairs : 2].count(0), text[1 : 2 * pairs : 2].count(0)
    for encoding, many, few in (("utf-16-le", zeros[1], zeros[0]), ("utf-16-be", *zeros)):
        if many > 0.4 * pairs and few < 0.1 * pairs:
            return encoding
    if text.isascii():
        return "utf-8"
    others, n_letters = MULTIBYTE.subn(b"", text)
    # at most three bytes of a letter that the end of `text` cuts off are no damage
    n_damaged = len(BEYOND_ASCII.findall(others)) - _n_cut_off(text)
    return "cp1252" if n_damaged > n_letters else "utf-8"


def decode_name(name: str) -> str:
    r"""Return the text of a file name, which may hold bytes that are not UTF-8.

    Python keeps such bytes as lone surrogates, which no UTF-8 file can hold. Each part of a path is
    decoded by itself: an old folder may hold new files.

    Examples
    --------
    >>> decode_name("Bj\udcf6rk/Jóga.mp3")
    'Björk/Jóga.mp3'
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        parts = map(os.fsencode, name.split("/"))
        return "/".join(part.decode(detect_encoding(part), "replace") for part in parts)
    return name


def _n_cut_off(text: bytes) -> int:
    """Return how many bytes at the end begin a letter of UTF-8 that is not complete."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(text[-3:])
    return len(decoder.getstate()[0])
