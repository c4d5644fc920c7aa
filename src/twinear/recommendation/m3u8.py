"""A playlist as an m3u8 file: UTF-8, one path a line, with artist, title and seconds.

Paths are relative to the playlist where both lie in one folder of music, or the playlist above it,
so that they can be moved together; else they are absolute. A path that a player could take for
something else (a comment, an address, a name without its leading space) begins with "./".
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from twinear.base.errors import DataError
from twinear.base.files import replacing
from twinear.base.text import one_line
from twinear.recommendation.playlist import PlaylistEntry

HEADER = "#EXTM3U"
MISTAKABLE = re.compile(r"[#\s]|[A-Za-z][\w+.-]*:")  # at the beginning of a relative path


def write_m3u8(path: Path, entries: Sequence[PlaylistEntry], root: Path) -> None:
    """Write a playlist, whole or not at all; only another playlist is replaced.

    Parameters
    ----------
    root
        The folder of the recordings.

    Raises
    ------
    DataError
        `path` is something else than a playlist, an entry cannot be listed, or the disk is full.
    """
    if path.is_dir() or (path.exists() and not _is_playlist(path)):
        raise DataError(path, "is there and is not a playlist", remedy="name another file")
    text = format_m3u8(entries, root, path.parent)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _is_playlist(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf")  # a byte-order mark
    except OSError:
        return False
    return not start or start.startswith(HEADER.encode())


def format_m3u8(entries: Sequence[PlaylistEntry], root: Path, folder: Path | None) -> str:
    """Format a playlist that will stand in `folder`; with None all paths are absolute.

    Raises
    ------
    DataError
        An entry cannot be listed.
    """
    for entry in entries:
        if reason := find_unlistable(entry.file):
            raise DataError(entry.file, f"no playlist can hold a {reason}", remedy="rename it")
    return format_addresses(entries, [_listed_path(entry.file, root, folder) for entry in entries])


def format_addresses(entries: Sequence[PlaylistEntry], addresses: Sequence[str]) -> str:
    """Format a playlist whose entries are at these addresses: paths, or URLs."""
    lines = [HEADER]
    for entry, address in zip(entries, addresses, strict=True):
        seconds = round(entry.seconds) or -1  # unknown
        # a title alone would be read as the artist's, so both are always there
        described = f"{one_line(entry.name)} - {one_line(entry.title)}"
        lines += [f"#EXTINF:{seconds},{described}", address]
    return "\n".join(lines) + "\n"


def find_unlistable(file: Path) -> str:
    r"""Say why a playlist cannot hold a path; "" if it can.

    Examples
    --------
    >>> find_unlistable(Path("Air/Sexy Boy.mp3")), find_unlistable(Path("Air/Sexy\nBoy.mp3"))
    ('', 'path with a line break')
    """
    name = str(file)
    if "\n" in name or "\r" in name:
        return "path with a line break"
    if name != name.rstrip():
        return "name that ends with a space"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "name that is not UTF-8"
    return ""


def _listed_path(file: Path, root: Path, folder: Path | None) -> str:
    absolute = Path(os.path.abspath(file))  # noqa: PTH100  # keeps links, as the user placed them
    root_given = Path(os.path.abspath(root))  # noqa: PTH100
    if folder is None or not absolute.is_relative_to(root_given):
        return str(absolute)
    # ".." leads up from where a folder really is
    root, folder = root_given.resolve(), folder.resolve()
    if not (folder.is_relative_to(root) or root.is_relative_to(folder)):
        return str(absolute)
    path = os.path.relpath(root / absolute.relative_to(root_given), folder)
    return f"./{path}" if MISTAKABLE.match(path) else path
