"""An excerpt of thirty seconds that represents a recording, cut out without loss.

The first seconds of a recording say little about it: they fade in, or are spoken. So the excerpt
never starts within the first `INTRO_SECONDS` of a recording that is long enough. Of the remaining
windows of thirty seconds the one is taken whose seconds have the smallest mean distance, in dB, to
the median level of the loudest third of the recording's seconds; of equals, the earliest. This
prefers a chorus to a bridge, and the typical loud level to the single loudest moment. A recording
that is not longer than the window is taken whole; one that is not longer than window and intro
loses its beginning.

No audio is encoded with loss a second time: packets of mp3, AAC, Opus and Vorbis are copied;
lossless audio, and audio that cannot be copied, becomes mono FLAC of 16 bits. The same recording
gives the same bytes each time.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError
from twinear.base.files import replacing
from twinear.clips.decoding import frames, mix, open_audio

EXCERPT_SECONDS = 30
INTRO_SECONDS = 15
TOLERANCE_SECONDS = 1.0  # a copy of another duration has lost packets, or their times
LEVEL_SECONDS = 1200  # of a recording of hours, the first twenty minutes are searched

# codec -> the container that holds a copy of its packets
COPIED = {"mp3": "mp3", "mp3float": "mp3", "aac": "mp4", "opus": "ogg", "vorbis": "ogg"}
BITEXACT = {"fflags": "+bitexact"}  # no random serial numbers, no name of the program

Levels = npt.NDArray[np.float64]


def cut_excerpt(recording: Path, to: Path) -> None:
    """Write the excerpt of a recording, whole or not at all; `ClipError` if it is not audio."""
    levels = read_levels(recording)
    start = find_excerpt(levels)
    seconds = min(EXCERPT_SECONDS, len(levels) - start)
    with replacing(to) as temporary:
        copied = _copy(recording, temporary, start)
        if not copied or abs(copied - seconds) > TOLERANCE_SECONDS:
            _store(recording, temporary, start)


def read_levels(recording: Path) -> Levels:
    """The level of each whole second in dB, (seconds,), of the first `LEVEL_SECONDS` at most."""
    powers: list[npt.NDArray[np.floating]] = []
    rest = np.empty(0, np.float32)  # samples that do not fill a second yet
    for y, sr in _mono(recording):
        rest = np.concatenate([rest, y])
        n = len(rest) // sr
        powers.append(rest[: n * sr].reshape(n, sr).var(axis=1))
        rest = rest[n * sr :]
        if sum(map(len, powers)) >= LEVEL_SECONDS:
            break
    power = np.nan_to_num(np.concatenate(powers).astype(float), posinf=0.0)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-10)))


def find_excerpt(levels: Levels) -> int:
    """The second at which the excerpt starts; `levels` in dB, (seconds,), may be empty.

    Examples
    --------
    >>> quiet, loud = np.full(60, -30.0), np.full(40, -10.0)
    >>> find_excerpt(np.concatenate([quiet, loud, quiet]))
    60
    """
    last = len(levels) - EXCERPT_SECONDS
    if last <= 0:
        return 0
    loud = np.median(np.sort(levels)[-(len(levels) // 3) :])
    first = min(INTRO_SECONDS, last)
    average = np.full(EXCERPT_SECONDS, 1 / EXCERPT_SECONDS)
    distance = np.convolve(np.abs(levels - loud), average, "valid")[first:]  # of each start
    # the tolerance makes windows equal that differ only by rounding
    return first + int(np.argmax(distance <= distance.min() + 1e-9))


def _copy(recording: Path, to: Path, start: int) -> float:
    """Copy the excerpt's packets to a container for their codec; the seconds copied, or 0."""
    copied_seconds = 0.0
    try:
        with open_audio(recording) as source:
            stream = next(audio for audio in source.streams.audio if audio.codec_context)
            container = COPIED.get(stream.codec_context.name)
            if container is None:
                return 0.0
            with av.open(str(to), "w", format=container, options=BITEXACT) as target:
                copied = target.add_stream_from_template(stream)
                for packet in _packets(source, stream, start):
                    copied_seconds += float((packet.duration or 0) * stream.time_base)
                    packet.stream = copied
                    target.mux(packet)
    except av.FFmpegError:  # damaged; decoding it may still work
        return 0.0
    return copied_seconds


def _packets(
    source: av.container.InputContainer, stream: av.AudioStream, start: int
) -> Iterator[av.Packet]:
    """The packets of the excerpt, timed from 0."""
    origin = first = None
    for packet in source.demux(stream):
        if packet.pts is None or packet.dts is None:
            continue
        origin = packet.pts if origin is None else origin
        seconds = (packet.pts - origin) * packet.time_base
        if seconds >= start + EXCERPT_SECONDS:
            return
        if seconds >= start:
            first = packet.pts if first is None else first
            packet.pts -= first
            packet.dts = packet.pts
            yield packet


def _store(recording: Path, to: Path, start: int) -> None:
    """Decode the excerpt and store it as FLAC."""
    n_decoded, pieces = 0, []
    for y, sr in _mono(recording):
        begin = start * sr - n_decoded
        end = begin + EXCERPT_SECONDS * sr
        pieces.append(y[max(0, begin) : max(0, end)])
        n_decoded += len(y)
        if end <= len(y):
            break
    y = np.nan_to_num(np.concatenate(pieces))
    if not len(y):
        raise ClipError(recording, "is shorter than it was")
    y /= max(1.0, float(np.abs(y).max(initial=0.0)))  # floats may exceed full scale
    samples = np.round(y * 32767).astype(np.int16)[None]  # (1, n)
    frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
    frame.sample_rate = sr
    with av.open(str(to), "w", format="flac", options=BITEXACT) as target:
        stream = target.add_stream("flac", rate=sr, layout="mono", format="s16")
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def _mono(recording: Path) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
    for frame in frames(recording):
        y = np.empty(frame.samples, np.float32)
        mix(frame, y)
        yield y, frame.sample_rate
