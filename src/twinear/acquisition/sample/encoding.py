"""Waveform -> audio file: the same bytes for the same waveform.

Muxers and encoders run in their bit-exact mode, which leaves out dates, version strings and the
random serial number of an Ogg stream.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One way to write a clip."""

    suffix: str
    muxer: str
    encoder: str
    sr: int
    bit_rate: int


# Small, and different: each has its own bandwidth, delay and artefacts.
CODECS = (
    Codec(suffix=".mp3", muxer="mp3", encoder="libmp3lame", sr=22050, bit_rate=24000),
    Codec(suffix=".m4a", muxer="ipod", encoder="aac", sr=24000, bit_rate=18000),
    Codec(suffix=".ogg", muxer="ogg", encoder="libopus", sr=24000, bit_rate=14000),
)


def encode(y: np.ndarray, codec: Codec, path: Path) -> None:
    """Write a mono waveform (n,) at the codec's sample rate."""
    with av.open(path, "w", format=codec.muxer, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec.encoder, rate=codec.sr, layout="mono")
        stream.bit_rate = codec.bit_rate
        stream.codec_context.flags |= Flags.bitexact
        frame = av.AudioFrame.from_ndarray(y[None], format="fltp", layout="mono")
        frame.sample_rate = codec.sr
        container.mux([*stream.encode(frame), *stream.encode(None)])
