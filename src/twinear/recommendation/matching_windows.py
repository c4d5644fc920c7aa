"""Which seconds of two clips are most alike: an approximation.

A score is of whole clips, and is no sum over time. Here windows of six seconds, of the part of each
clip that the score hears, are encoded as if each were a clip, and every window of one is scored
against every window of the other. Windows are no shorter, since the slowest modulations that the
statistics measure need as long.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import Floats, SpectrogramsParams, excerpts
from twinear.spectrograms.statistics import WINDOW_SECONDS

STEP_SECONDS = 2.0  # the largest distance of two windows
N_MATCHES = 3


@dataclass(frozen=True, kw_only=True)
class MatchingWindows:
    """A window of each of two clips, and their score; times in seconds from the file's start."""

    first_start: float
    first_end: float
    second_start: float
    second_end: float
    score: float


@dataclass(frozen=True, kw_only=True)
class WindowMatches:
    """The windows of two clips that are most alike.

    Attributes
    ----------
    best
        Best first, without overlap, and only those above the mean.
    mean_score
        Over all pairs of windows.
    """

    best: tuple[MatchingWindows, ...]
    mean_score: float


class EmbedSeconds(Protocol):
    """Embeds the seconds from `start` to `end` of the first clip (0) or the second (1)."""

    def __call__(self, clip: int, start: float, end: float) -> Floats:
        """(n_dims, n_frames), as `inference.compute_embedding`."""


def match_windows(
    scorer: Scorer,
    log_mels: Floats,
    n_samples: tuple[int, int],
    starts: tuple[float, float] = (0.0, 0.0),
    embed: EmbedSeconds | None = None,
) -> WindowMatches | None:
    """Find the windows of two clips that are most alike.

    Parameters
    ----------
    log_mels
        (2, n_mels, n_frames), as `log_mel` makes them; not used of a scorer of embeddings only.
    n_samples
        Length of each waveform.
    starts
        Where each begins in its file, in seconds; found windows are told in seconds of the file.
    embed
        For a scorer that needs embeddings.

    Returns
    -------
    The matches. A clip shorter than a window is one window. None where no two windows are to
    choose from: both clips are that short, or the front end keeps no six seconds in one piece.
    """
    front = scorer.spectrograms
    cuts = [_windows(n, front) for n in n_samples]
    if min(len(cut) for cut in cuts) == 0 or max(len(cut) for cut in cuts) == 1:
        return None
    encoded = []
    for clip, cut in enumerate(cuts):
        joined = None
        if embed is not None:
            embedded = np.stack([embed(clip, window.start, window.end) for window in cut])
            joined = embedded.mean(axis=2)  # (windows, n_dims)
        if embed is not None and front.embeddings == "only":
            encoded.append(scorer.encode(embedded))
            continue
        values = np.stack([_loudest_at_1(log_mels[clip][:, window.frames]) for window in cut])
        encoded.append(scorer.encode(values, joined))
    u, v = encoded
    scores = scorer.score(u, v).astype(np.float64)  # (windows of the first, of the second)
    mean, left = float(scores.mean()), scores.copy()
    best: list[MatchingWindows] = []
    while len(best) < N_MATCHES and left.max() > mean:
        i, k = np.unravel_index(left.argmax(), left.shape)
        first, second = cuts[0][i], cuts[1][k]
        best.append(
            MatchingWindows(
                first_start=starts[0] + first.start,
                first_end=starts[0] + first.end,
                second_start=starts[1] + second.start,
                second_end=starts[1] + second.end,
                score=float(scores[i, k]),
            )
        )
        left[[window.overlaps(first) for window in cuts[0]]] = -np.inf
        left[:, [window.overlaps(second) for window in cuts[1]]] = -np.inf
    return WindowMatches(best=tuple(best), mean_score=mean)


@dataclass(frozen=True, kw_only=True)
class _Window:
    frames: slice  # of the log-mel
    start: float  # seconds in the waveform
    end: float

    def overlaps(self, other: "_Window") -> bool:
        return self.start < other.end and other.start < self.end


def _windows(n_samples: int, front: SpectrogramsParams) -> list[_Window]:
    """Cut the part of a waveform that the front end keeps into windows."""
    hop, sr = front.hop_length, front.sr
    size = round(WINDOW_SECONDS * sr / hop)  # frames
    step = max(1, round(STEP_SECONDS * sr / hop))
    if size > front.n_frames:
        return []
    if n_samples // hop < size:  # its log-mel repeats it
        return [_Window(frames=slice(0, size), start=0.0, end=n_samples / sr)]
    windows, joined = [], 0  # samples before a part in the log-mel
    for part in excerpts(n_samples, front):
        length = part.stop - part.start
        room = length // hop - size  # frames
        for first in _spread(room, step):
            start = (part.start + first * hop) / sr
            frame = joined // hop + first
            frames = slice(frame, frame + size)
            windows.append(_Window(frames=frames, start=start, end=start + size * hop / sr))
        joined += length
    return windows


def _spread(room: int, step: int) -> npt.NDArray[np.int64]:
    """Spread starts evenly from 0 to `room`, at most about `step` apart; none if it is negative."""
    n = 1 + -(-room // step) if room >= 0 else 0
    return np.linspace(0, room, n).astype(np.int64)


def _loudest_at_1(values: Floats) -> Floats:
    """Shift a log-mel so that its loudest value is 1, as that of a clip; silence stays 0."""
    loudest = values.max()
    return values + (1 - loudest) if loudest > 0 else values
