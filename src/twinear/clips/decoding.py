"""Audio file -> decoded frames -> mono, by PyAV, whose wheels bring the codecs.

The first audio stream with a codec is decoded, on one thread; pictures and other streams are
skipped. Of a damaged or truncated file, whatever decodes is used.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError

# Audio containers only: a playlist could lead the decoder to another file or to the network.
CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,eac3,flac,iff,matroska,mov,mp3,mpc,mpc8,ogg,tak,tta,w64"
    ",wav,wv"
)

# Suffixes of files in these containers. The first always hold audio that decodes, unless they are
# damaged; the second may hold pictures only, or audio that is protected or of another codec.
USUAL = ".mp3 .mp2 .m4a .m4b .aac .ogg .oga .opus .spx .flac .wav .w64 .aif .aiff .aifc .caf .au"
UNUSUAL = ".mp4 .3gp .webm .mka .wma .asf .ape .wv .tta .tak .mpc .dsf .dff .ac3 .eac3 .amr .m4r"
UNCERTAIN = frozenset(UNUSUAL.split())
AUDIO = UNCERTAIN | frozenset(USUAL.split())

# sample format -> dtype, zero and full scale; planar formats end in p
FORMATS: dict[str, tuple[type[np.number[Any]], float, float]] = {
    "u8": (np.uint8, 2.0**7, 2.0**7),
    "s16": (np.int16, 0.0, 2.0**15),
    "s32": (np.int32, 0.0, 2.0**31),
    "s64": (np.int64, 0.0, 2.0**63),
    "flt": (np.float32, 0.0, 1.0),
    "dbl": (np.float64, 0.0, 1.0),
}

BLOCK = 2**15  # samples decoded before Python sees them
MAX_PACKET_SECONDS = 10.0  # the last packet of Ogg Vorbis may claim a day
MAX_CHANNELS = 8  # PyAV distinguishes no more planes
SAMPLE_RATES = range(1000, 384_001)  # Hz; a false header must not decide how much memory is taken

REPLACE = "replace the file or leave it out"


def open_audio(path: Path) -> av.container.InputContainer:
    """Open an audio file and nothing else: no playlist, no other protocol than this file."""
    return av.open(
        f"file:{path}",
        metadata_errors="ignore",
        options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
    )


def compressed_seconds(path: Path) -> float:
    """Add up the durations of a file's packets, in seconds: a tenth of the time of decoding.

    0 where they are not known, and where samples are stored as they are (PCM), which are read as
    quickly and may be anything.
    """
    try:
        with open_audio(path) as container:
            for stream in container.streams.audio:
                if stream.codec_context and not stream.codec_context.name.startswith("pcm_"):
                    base = float(stream.time_base or 0)
                    packets = (base * (each.duration or 0) for each in container.demux(stream))
                    return sum(seconds for seconds in packets if seconds < MAX_PACKET_SECONDS)
    except av.FFmpegError:  # decoding will say what is wrong
        pass
    return 0.0


def frames(path: Path) -> Iterator[av.AudioFrame]:
    """Decode the first audio stream, frame by frame: at least one, all of one sample rate."""
    sr = 0
    try:
        with open_audio(path) as container:
            streams = [stream for stream in container.streams.audio if stream.codec_context]
            if not streams:
                raise ClipError(path, "has no audio that can be decoded", remedy=REPLACE)
            for frame in join_frames(_decode(container, streams[0])):
                sr = sr or frame.sample_rate
                if frame.sample_rate != sr:
                    found = f"changes from {sr} to {frame.sample_rate} Hz"
                    raise ClipError(path, found, expected="one sample rate", remedy=REPLACE)
                if sr not in SAMPLE_RATES:
                    usual = f"{SAMPLE_RATES[0]} to {SAMPLE_RATES[-1]} Hz"
                    raise ClipError(path, f"claims {sr} Hz", expected=usual, remedy=REPLACE)
                if frame.layout.nb_channels > MAX_CHANNELS:
                    found = f"has {frame.layout.nb_channels} channels"
                    raise ClipError(path, found, expected=f"at most {MAX_CHANNELS}", remedy=REPLACE)
                yield frame
    except av.FFmpegError as error:
        raise ClipError(path, f"is not audio ({error.strerror})", remedy=REPLACE) from None
    if not sr:
        raise ClipError(path, "holds no samples", remedy=REPLACE)


def _decode(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    stream.codec_context.thread_count = 1
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:  # a damaged packet; the next may be whole
                continue
    except av.FFmpegError:  # cut off
        return


def join_frames(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Join small frames: a Python step for each would cost as much as the decoding."""
    fifo, channels = av.AudioFifo(), 0
    for frame in frames:
        frame.pts = None  # the queue would refuse a gap in time
        try:
            if frame.layout.nb_channels != channels:
                raise ValueError(channels)
            fifo.write(frame)  # refuses another rate or format, but not other channels
        except ValueError:
            if fifo.samples:
                yield fifo.read()
            fifo, channels = av.AudioFifo(), frame.layout.nb_channels
            fifo.write(frame)
        if fifo.samples >= BLOCK:
            yield fifo.read()
    if fifo.samples:
        yield fifo.read()


def mix(frame: av.AudioFrame, out: npt.NDArray[np.float32]) -> None:
    """Write the mean of the frame's channels to `out`, (samples,)."""
    dtype, zero, full = FORMATS[frame.format.name.removesuffix("p")]
    n, n_channels = frame.samples, frame.layout.nb_channels
    if frame.format.is_planar:  # PyAV gives one plane too many for eight channels
        channels = [np.frombuffer(plane, dtype, n) for plane in frame.planes[:n_channels]]
    else:
        packed = np.frombuffer(frame.planes[0], dtype, n * n_channels)
        channels = [packed[c::n_channels] for c in range(n_channels)]
    if len(channels) > 1:
        np.add(channels[0], channels[1], out=out, dtype=np.float32)
    else:
        out[:] = channels[0]
    for channel in channels[2:]:
        out += channel
    if full * len(channels) != 1:
        out *= 1 / (full * len(channels))
    if zero:
        out -= zero / full
