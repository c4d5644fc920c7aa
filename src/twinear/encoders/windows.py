"""Windows of a clip for an encoder, decoded in worker processes.

Apart from the encoders, so that a worker does not import torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError
from twinear.base.files import sha256
from twinear.clips.spans import Spans
from twinear.clips.waveform import decode

Floats = npt.NDArray[np.float32]

N_WINDOWS = 3
MAX_SECONDS = 300.0  # no more of a clip is decoded, as for the spectrograms


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipWindows:
    """Windows of a clip, and the hash of its file."""

    sha256: str
    windows: Floats  # (windows, ...), as the encoder takes them


def load_windows(
    path: Path, sr: int, cut: Callable[[Floats], Floats], spans: Spans
) -> ClipWindows | str:
    """Decode a clip and cut its windows; the reason if it cannot be decoded."""
    if not path.is_file():
        return "is not there"
    try:
        y = decode(path, MAX_SECONDS, spans).without_silence().at(sr)
    except ClipError as error:
        return str(error).removeprefix(f"{path}: ").partition(";")[0]
    return ClipWindows(sha256=sha256(path), windows=cut(y))


def window_seconds(seconds: float, of_window: float) -> list[tuple[float, float]]:
    """Find what `cut_windows` takes of a recording, with windows of `of_window` seconds.

    Examples
    --------
    >>> window_seconds(100, of_window=10)
    [(35.0, 65.0)]
    """
    start = max(0.0, seconds - N_WINDOWS * of_window) / 2
    return [(start, seconds - start)]


def cut_windows(y: Floats, n_samples: int, *, fixed: bool = False) -> Floats:
    """Cut evenly spread windows, (N_WINDOWS, n_samples), out of the middle of a waveform, (n,).

    A waveform that is shorter than a window is repeated. There are always as many, `fixed` or not.

    Examples
    --------
    >>> cut_windows(np.arange(10, dtype=np.float32), 2)
    array([[2., 3.],
           [4., 5.],
           [6., 7.]], dtype=float32)
    """
    start = max(0, len(y) - N_WINDOWS * n_samples) // 2
    y = y[start : start + N_WINDOWS * n_samples]
    if len(y) < n_samples:
        y = np.resize(y, n_samples)  # repeats it
    starts = np.linspace(0, len(y) - n_samples, N_WINDOWS).round().astype(int)
    return np.stack([y[first : first + n_samples] for first in starts])
