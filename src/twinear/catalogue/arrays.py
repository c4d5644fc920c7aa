"""The catalogue's arrays, mapped from their files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twinear.base.arrays import NOT_ARRAYS
from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.base.text import one_line

AGAIN = "run 'dvc repro catalogue'"


def map_array(path: Path) -> npt.NDArray[Any]:
    """Map an array of a .npy file; what is not looked at is not read.

    A plain array, because each slice of a `numpy.memmap` takes microseconds.

    Raises
    ------
    DataError
        The file is missing or damaged.
    """
    try:
        array = np.load(require(path, AGAIN), mmap_mode="r", allow_pickle=False)
    except NOT_ARRAYS as error:
        reason = one_line(str(error)) or "unreadable"
        raise DataError(path, f"is not what was written there ({reason})", remedy=AGAIN) from error
    return np.asarray(array)
