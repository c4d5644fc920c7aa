"""Checksums of the files of a folder, so that a reader notices bytes that have changed.

A flipped byte in an array is a number like any other: nothing else would notice it. CRC-32 finds
every change of a few neighbouring bytes and takes a small share of the time that reading takes. It
is no protection against a file that was changed on purpose; readers check what their code relies on
besides.
"""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from twinear.base.errors import DataError

CHECKSUMS = "checksums.json"
BLOCK = 2**20  # bytes read at a time
# Of files that are mapped, and of which a question reads little, so many are compared each time:
# some hundredths of a second. Of larger ones it would take longer than the question.
VERIFIED_BYTES = 2**26


def crc32(path: Path) -> str:
    """Compute the CRC-32 of a file's bytes, 8 hexadecimal digits."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return f"{checksum:08x}"


def write_checksums(folder: Path, names: Iterable[str] | None = None) -> None:
    """Write the checksums of some files of a folder, or of all that lie in it, also deeper."""
    if names is None:
        files = (path for path in folder.rglob("*") if path.is_file())
        paths = sorted(path for path in files if path != folder / CHECKSUMS)
        names = [path.relative_to(folder).as_posix() for path in paths]
    checksums = {name: crc32(folder / name) for name in names}
    text = json.dumps(checksums, indent=2) + "\n"
    (folder / CHECKSUMS).write_text(text, encoding="utf-8")


def verify_checksums(folder: Path, names: Iterable[str], remedy: str) -> None:
    """Compare files of a folder with the checksums that were written there.

    Files that are missing are left to their readers. So are all files of a folder without
    checksums: twinear 0.2 wrote none.

    Raises
    ------
    DataError
        A file, or the file of checksums, is not what was written.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return
    try:
        checksums = json.loads(path.read_text(encoding="utf-8"))
        written = {name: checksums[name] for name in names if (folder / name).exists()}
    except (ValueError, KeyError, TypeError) as error:
        found = f"is not what was written there ({type(error).__name__}: {error})"
        raise DataError(path, found, remedy=remedy) from error
    for name, checksum in written.items():
        verify_file(folder / name, checksum, remedy)


def verify_file(path: Path, checksum: str, remedy: str) -> None:
    """Compare a file with its checksum; `DataError` if it has changed."""
    found = crc32(path)
    if found != checksum:
        raise DataError(
            path,
            f"has changed since it was written (checksum {found})",
            expected=str(checksum),
            remedy=remedy,
        )
