"""What a pre-trained network is to all that use it: waveform -> embedding.

An encoder works in two steps: windows are cut out of a waveform, by NumPy alone and so in a process
without torch, and the network embeds each window. The embedding of a clip is the mean over its
windows; or each window is a frame.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from twinear.clips.spans import Spans

Floats = npt.NDArray[np.float32]

BATCH = 8  # clips whose windows go through the network together


class Cut(Protocol):
    """Cuts a waveform into windows; a function, or a partial one, that a process can be sent."""

    def __call__(self, y: Floats, *, fixed: bool = False) -> Floats:
        """(n,) to (windows, ...); `fixed`: as many windows of any waveform."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoder:
    """A pre-trained network.

    Attributes
    ----------
    name
        The model, the hash of its weights, and how waveforms are mixed for it: embeddings of the
        same name are comparable, and no others.
    licence
        Of the weights; "" where unknown.
    sr
        Sample rate of the waveforms that it takes, in Hz.
    cut
        Cuts its windows.
    spans
        What that takes of a recording, by its duration.
    embed
        Windows (n, ...) to embeddings (n, n_dims).
    """

    name: str
    licence: str
    sr: int
    cut: Cut
    spans: Spans
    embed: Callable[[Floats], Floats]

    def encode(self, y: Floats) -> Floats:
        """Embed a waveform (n,) at `sr`, (n_dims,)."""
        return np.asarray(self.embed(self.cut(y)).mean(axis=0))

    def embed_clips(
        self, windows: Iterable[Floats | None], *, frames: bool
    ) -> Iterator[Floats | None]:
        """Embed the windows of each clip, (n_dims,), or (n_dims, n_frames) with `frames`.

        A clip without windows, None, gives None.
        """
        remaining = iter(windows)
        while batch := list(islice(remaining, BATCH)):
            cut = [each for each in batch if each is not None]
            vectors: Iterator[Floats] = iter(())
            if cut:
                ends = np.cumsum([len(each) for each in cut])
                vectors = iter(np.split(self.embed(np.concatenate(cut)), ends[:-1]))
            for each in batch:
                vector = None if each is None else next(vectors)  # (windows, n_dims)
                yield None if vector is None else vector.T if frames else vector.mean(axis=0)

    def encode_frames(self, y: Floats) -> Floats:
        """Embed as many windows of any waveform, (n_dims, n_frames)."""
        return self.embed(self.cut(y, fixed=True)).T
