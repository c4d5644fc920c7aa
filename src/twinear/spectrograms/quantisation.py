"""Log-mels in 8 bits: the values of the compact form.

With `top_db` 80 a step is 0.31 dB.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

LEVELS = 255  # of 8 bits: the highest stands for 1


def as_floats(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return a copy of the numbers that values of spectrograms stand for, as float32.

    Examples
    --------
    >>> as_floats(np.array([0, 51, 255], np.uint8)).round(3).tolist()
    [0.0, 0.2, 1.0]
    """
    floats = np.array(values, dtype=np.float32)
    if values.dtype == np.uint8:
        floats /= LEVELS
    return floats


def quantise(values: npt.NDArray[np.float32], average_frames: int) -> npt.NDArray[np.uint8]:
    """Average frames of a log-mel (n_mels, n_frames) in [0, 1], and round to 8 bits.

    The last frame averages what is left, as `torch.nn.functional.avg_pool1d` with `ceil_mode`.

    Examples
    --------
    >>> quantise(np.array([[0.0, 0.5, 1.0]], np.float32), average_frames=2)
    array([[ 64, 255]], dtype=uint8)
    """
    n_frames = values.shape[1]
    starts = np.arange(0, n_frames, average_frames)
    sums = np.add.reduceat(values, starts, axis=1)
    means = sums / np.minimum(average_frames, n_frames - starts)
    return np.asarray(np.rint(means * LEVELS), dtype=np.uint8)
