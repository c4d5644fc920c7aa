"""One array in several files, of which only the rows that are asked for are read.

Each file is an `.npy` of some rows. Rows are read, not mapped: the pages of a mapped file count as
the memory of the process until the system takes them back, and a process that draws rows at random
would soon seem to hold the whole array.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError
from twinear.base.files import require

Rows = npt.NDArray[np.int64]

BLOCK = 1024  # rows read at a time where all are


@dataclass(frozen=True, kw_only=True, eq=False)
class Shards:
    """An array on disk, read by rows like an array in memory.

    Parameters
    ----------
    files
        In the order of their rows.
    offsets
        Bytes before the first row of each file, (files,).
    starts
        The first row of each file and, at the end, the number of all rows, (files + 1,).
    row_shape, dtype
        Of one row.
    rows
        Which rows are selected, in this order, (rows,).
    remedy
        What an error about a file advises.
    """

    files: tuple[Path, ...]
    offsets: tuple[int, ...]
    starts: Rows
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rows: Rows
    remedy: str

    @classmethod
    def open(cls, files: Sequence[Path], remedy: str) -> Self:
        """Open files; at least one.

        Raises
        ------
        DataError
            A file is missing, truncated or no array, or its rows differ from those of the first.
        """
        arrays = [_open(file, remedy) for file in files]
        first = arrays[0]
        for file, array in zip(files, arrays, strict=True):
            found = f"{array.dtype} rows of {array.shape[1:]}"
            expected = f"{first.dtype} rows of {first.shape[1:]}"
            if found != expected:
                expected = f"{expected}, as in {files[0].parent.name}"
                raise DataError(file, f"has {found}", expected=expected, remedy=remedy)
        starts = np.cumsum([0, *map(len, arrays)])
        return cls(
            files=tuple(files),
            offsets=tuple(array.offset for array in arrays),
            starts=starts,
            row_shape=first.shape[1:],
            dtype=first.dtype,
            rows=np.arange(starts[-1]),
            remedy=remedy,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (len(self.rows), *self.row_shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the whole array would take in memory."""
        return len(self.rows) * self._row_bytes

    def select(self, rows: npt.ArrayLike) -> "Shards":
        """Select rows by number or by a mask; nothing is read."""
        return replace(self, rows=self.rows[np.asarray(rows)])

    def blocks(self, size: int = BLOCK) -> Iterator[npt.NDArray[Any]]:
        """Read all rows, `size` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def read_into(self, rows: npt.ArrayLike, out: npt.NDArray[Any]) -> None:
        """Read rows by number into an array of their shape, which may be pinned memory."""
        wanted = self.rows[np.asarray(rows, np.int64)]
        of_file = np.searchsorted(self.starts, wanted, side="right") - 1
        at = np.array(self.offsets)[of_file] + (wanted - self.starts[of_file]) * self._row_bytes
        target = out.reshape(len(wanted), -1).view(np.uint8)  # (rows, bytes)
        order = np.argsort(wanted, kind="stable")
        for number, group in groupby(order.tolist(), key=of_file.__getitem__):
            with self.files[number].open("rb", buffering=0) as file:
                for row in group:
                    file.seek(at[row])
                    if file.readinto(target[row]) != self._row_bytes:
                        raise DataError(self.files[number], "ends too early", remedy=self.remedy)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]:
        wanted = np.arange(len(self))[rows]
        out = np.empty((wanted.size, *self.row_shape), self.dtype)
        if out.size:
            self.read_into(wanted.reshape(-1), out)
        return out.reshape(*wanted.shape, *self.row_shape)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.row_shape)) * self.dtype.itemsize


def _open(file: Path, remedy: str) -> np.memmap[Any, Any]:
    """Map a file to check it: its size, and where its rows begin."""
    try:
        array = np.load(require(file, remedy), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(file, f"cannot be read ({error})", remedy=remedy) from None
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous or not array.size:
        raise DataError(file, "is no array of rows", expected="an .npy file", remedy=remedy)
    return array
