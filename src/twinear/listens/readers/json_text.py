"""JSON of unknown origin: what a file begins with, and its items one by one.

Three shapes: an array of items, one object that holds them, and JSON lines. An array is held in
memory as text (500 MB of it need about 700 MB); its items are decoded as they are used.
"""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from twinear.base.errors import DataError
from twinear.listens.readers.rows import TextFile

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_DEPTH = 16  # more than any export has
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
CLOSERS = {b"[": b"]", b"{": b"}"}

Item = TypeVar("Item")


def first_value(start: bytes) -> Any:
    r"""Return the first value of a text of JSON, as far as it goes; None if it is not JSON.

    Parameters
    ----------
    start
        The beginning of a text. Values that its end cuts off are left out.

    Examples
    --------
    >>> first_value(b'[{"artist": "Air", "plays": 5}, {"artist": "Mu')
    [{'artist': 'Air', 'plays': 5}]
    >>> first_value(b'{"artist": "Air"}\n{"artist": "Muse"}'), first_value(b"artist,plays")
    ({'artist': 'Air'}, None)
    """
    start = start.lstrip()
    if not start.startswith((b"[", b"{")):
        return None
    open_brackets: list[bytes] = []
    end, closers = 0, b""  # where the last complete value ends, and what closes those around it
    for token in TOKEN.finditer(start):
        kind = token.group()
        if kind in CLOSERS:
            open_brackets.append(CLOSERS[kind])
            if len(open_brackets) > MAX_DEPTH:
                return None
            continue
        if kind in (b"]", b"}"):
            if open_brackets.pop() != kind:
                return None
            end = token.end()
        elif kind == b",":
            end = token.start()
        else:
            continue
        closers = b"".join(reversed(open_brackets))
        if not open_brackets:
            break
    try:
        return msgspec.json.decode(start[:end] + closers)
    except NOT_JSON:
        return None


def first_item(start: bytes, *path: str) -> dict[str, Any]:
    """Return the first object at a path of keys in a text of JSON; {} if there is none.

    Of an array the first element counts.

    Examples
    --------
    >>> first_item(b'{"scrobbles": [{"time": 1}]}', "scrobbles"), first_item(b'[{"time": 1}]')
    ({'time': 1}, {'time': 1})
    """
    value = _first(first_value(start))
    for key in path:
        value = _first(value.get(key))
    return value


def _first(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, dict) else {}


def read_values(file: TextFile) -> Sequence[bytes | msgspec.Raw]:
    """Return the texts of the items of an array, the lines of JSON lines, or the one object.

    An item may be of any shape, or be no JSON.

    Raises
    ------
    DataError
        The array or the object is cut off or damaged.
    """
    text = b"".join(file.chunks()).strip()
    if text.startswith(b"["):
        try:
            return msgspec.json.decode(text, type=list[msgspec.Raw])
        except NOT_JSON as error:
            return _split_items(file, text, error)
    if decode(text, msgspec.Raw) is not None:
        return [text]
    lines = text.split(b"\n")
    if len(lines) > 1 and decode(lines[0], msgspec.Raw) is not None:
        return lines
    raise DataError(file.name, "is cut off or damaged JSON", remedy="export it again")


def decode(value: bytes | msgspec.Raw, item_type: type[Item]) -> Item | None:
    """Decode the text of a value; None if it is of another shape.

    Examples
    --------
    >>> decode(b'{"artist": "Air"}', dict), decode(b"5", dict)
    ({'artist': 'Air'}, None)
    """
    try:
        return msgspec.json.decode(value, type=item_type)
    except NOT_JSON:
        return None


def as_list(value: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the texts of the elements of an array, or of the one object.

    An answer that was XML has no array where it has one item only.
    """
    return decode(value, list[msgspec.Raw]) or ([value] if bytes(value).startswith(b"{") else [])


def _split_items(file: TextFile, text: bytes, error: Exception) -> list[bytes]:
    """Split an array, in which some item is no JSON, by its brackets.

    Raises
    ------
    DataError
        A bracket is not closed: the rest is missing.
    """
    items, depth, start = [], 0, 0
    for token in TOKEN.finditer(text):
        kind = token.group()
        if kind in CLOSERS:
            depth += 1
            start = token.start() if depth == 2 else start
        elif kind in (b"]", b"}"):
            depth -= 1
            if depth == 1:
                items.append(text[start : token.end()])
            elif depth == 0:
                return items
    reason = str(error).partition(" (")[0]
    found = f"is cut off or damaged JSON ({reason})"
    raise DataError(f"{file.name}:{len(items) + 1}", found, remedy="export it again")
