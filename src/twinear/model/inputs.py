"""What one clip gives the network: a log-mel spectrogram, or the embedding of another network.

Both know their shape and how fixed statistics are computed from them. An embedding of a pre-trained
network may be joined to a log-mel spectrogram (`n_joined`) or replace it (`Embedding`).
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from twinear.spectrograms.statistics import Array, embedding_statistics, spectrogram_statistics

Dims = Annotated[int, Field(ge=0, le=2**16)]
Frames = Annotated[int, Field(ge=1, le=2**24)]


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """A log-mel spectrogram, and by choice the embedding that is joined to it."""

    n_mels: Dims
    n_frames: Frames
    frames_per_second: float  # `sr / hop_length`
    top_db: float  # what the value 0 stands for, in decibels below 1
    n_joined: Dims = 0  # length of the joined embedding; 0 if there is none
    extractor: str = ""  # what made that embedding; "" if unknown

    @property
    def shape(self) -> tuple[int, int]:
        """Bands and frames of one clip."""
        return self.n_mels, self.n_frames

    def statistics(self, x: Array, joined: Array) -> dict[str, Array]:
        """Summarise clips by named blocks (clips, n); `x`: (clips, n_mels, n_frames) in [0, 1]."""
        blocks = spectrogram_statistics(x, self.frames_per_second, self.top_db)
        return blocks | {"embedding": joined} if self.n_joined else blocks


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The embedding of a pre-trained network: one vector a clip, or one a frame."""

    n_dims: Dims
    n_frames: Frames  # 1 where a clip has one vector
    extractor: str = ""  # what made it; "" if unknown
    n_joined = 0  # nothing is joined to an embedding

    @property
    def shape(self) -> tuple[int, int]:
        """Dimensions and frames of one clip."""
        return self.n_dims, self.n_frames

    def statistics(self, x: Array, joined: Array) -> dict[str, Array]:
        """Summarise clips (clips, n_dims, n_frames) by named blocks (clips, n); none is joined."""
        return embedding_statistics(x)


InputSpec = LogMel | Embedding
KINDS: dict[str, type[LogMel] | type[Embedding]] = {"log_mel": LogMel, "embedding": Embedding}


def block_sizes(spec: InputSpec) -> dict[str, int]:
    """Count the statistics of a clip in each block, in the order of the blocks.

    Examples
    --------
    >>> block_sizes(Embedding(n_dims=200, n_frames=1))
    {'embedding': 200}
    """
    clip = np.full((1, *spec.shape), 0.5, np.float32)
    blocks = spec.statistics(clip, np.zeros((1, spec.n_joined), np.float32))
    return {name: block.shape[1] for name, block in blocks.items()}


def describe_input(spec: InputSpec) -> dict[str, Any]:
    """Give the input as plain values, for a file; an unknown extractor is left out.

    Examples
    --------
    >>> describe_input(Embedding(n_dims=200, n_frames=1))
    {'kind': 'embedding', 'n_dims': 200, 'n_frames': 1}
    """
    kind = next(name for name, cls in KINDS.items() if isinstance(spec, cls))
    named = {name: value for name, value in asdict(spec).items() if value or name != "extractor"}
    return {"kind": kind, **named}


def parse_input(values: dict[str, Any]) -> InputSpec:
    """Read what `describe_input` gave.

    Raises
    ------
    KeyError, ValueError
        An unknown kind, a missing or an unknown field, or a value of another type or out of range.
    """
    given = dict(values)
    kind = KINDS[given.pop("kind")]
    if unknown := given.keys() - {field.name for field in fields(kind)}:
        raise ValueError(f"unknown inputs.{min(unknown)}")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"inputs.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
