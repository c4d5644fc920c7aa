"""Files of arrays that are damaged, or that unpack to far more than they hold."""

import lzma
import zipfile
import zlib
from pathlib import Path

# of numpy and scipy, for a .npy or .npz that is damaged, truncated, encrypted, packed by another
# method, or that claims to be larger than the memory
NOT_ARRAYS = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)

# Numbers that say something are hardly smaller when packed, names to a tenth; what unpacks to a
# hundred times its size, and to much, was made to fill the memory.
MAX_EXPANSION, HARMLESS_BYTES = 100, 2**26


def is_bomb(stored: int, unpacked: int) -> bool:
    """Whether so many bytes unpack to so many more that nothing sensible can be in them.

    Examples
    --------
    >>> is_bomb(10**6, 10**7), is_bomb(10**6, 10**9)
    (False, True)
    """
    return unpacked > max(HARMLESS_BYTES, MAX_EXPANSION * stored)


def refuse_bombs(path: Path) -> None:
    """Look into an .npz before it is read; `ValueError` if an array unpacks to far more.

    Another kind of file is left to its reader.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if is_bomb(member.compress_size, member.file_size):
                found = f"{member.compress_size:,} bytes unpack to {member.file_size:,}"
                raise ValueError(f"{member.filename}: {found}")
