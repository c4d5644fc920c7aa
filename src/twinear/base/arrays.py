"""What reading a damaged file of arrays raises."""

import lzma
import zipfile
import zlib

# of numpy and scipy, for a .npy or .npz that is damaged, truncated, encrypted, packed by another
# method, or that claims to be larger than the memory
NOT_ARRAYS = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
