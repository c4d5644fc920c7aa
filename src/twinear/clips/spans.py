"""Parts of a long compressed audio file, decoded without the rest.

Decoding is most of what a long recording costs, and a front end takes half a minute of it. Reading
the packets without decoding them is cheap and shows where each begins, to the sample. Decoding
then starts a little before a part, because packets depend on those before, and what it gives there
is dropped. Nothing is sought by time, which is inexact in mp3. The samples are those of decoding
all, but for codecs that make up noise (AAC does, in faint high bands).

Where the packets do not show where they begin (gaps, no or coarse time stamps, damage), nothing is
decoded here, and the caller decodes the whole file; so too for PCM, where there is nothing to save.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from twinear.clips.decoding import MAX_CHANNELS, SAMPLE_RATES, join_frames, mix, open_audio

# duration of a recording -> what is needed of it, as (start, end); all in seconds
Spans = Callable[[float], Sequence[tuple[float, float]]]

LONG_SECONDS = 120.0  # shorter recordings are decoded whole
RUN_IN_SECONDS = 0.5  # decoded before a part, more than any codec needs to converge
MARGIN_SECONDS = 0.1  # around a span, for resampling


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedParts:
    """A recording, mono, of which some parts are decoded.

    Attributes
    ----------
    y
        (n,), of the whole length; zeros where nothing is decoded, which take no memory.
    sr
        Sample rate.
    parts
        What is decoded, in order. Each begins at a whole second, where every rate has a sample.
    """

    y: npt.NDArray[np.float32]
    sr: int
    parts: tuple[slice, ...]


def decode_spans(path: Path, max_seconds: float, spans: Spans) -> DecodedParts | None:
    """Decode the spans of a long file; None where it has to be decoded whole.

    Parameters
    ----------
    max_seconds
        The file counts as no longer than this.
    """
    try:
        with open_audio(path) as container:
            if (container.duration or np.inf) < LONG_SECONDS * av.time_base:
                return None
            streams = [stream for stream in container.streams.audio if stream.codec_context]
            if not streams or streams[0].codec_context.name.startswith("pcm_"):
                return None
            track = _Track.read(container, streams[0], max_seconds)
            if track is None or track.n < LONG_SECONDS * track.sr:
                return None
            y, parts = np.zeros(track.n, np.float32), []
            for first, last in _whole_seconds(spans(track.n / track.sr), track.n / track.sr):
                part = slice(first * track.sr, min(last * track.sr, track.n))
                if not track.decode(part, y):
                    return None
                parts.append(part)
            return DecodedParts(y=y, sr=track.sr, parts=tuple(parts))
    except (av.FFmpegError, ValueError):  # decoding the whole file will say what is wrong
        return None


def _whole_seconds(
    spans: Sequence[tuple[float, float]], seconds: float
) -> Iterator[tuple[int, int]]:
    """Widen spans by the margin to whole seconds, and join those that meet.

    Examples
    --------
    >>> list(_whole_seconds([(0.0, 1.5), (2.05, 3.0), (7.2, 7.5)], 9.5))
    [(0, 4), (7, 8)]
    """
    needed = np.zeros(ceil(seconds) + 2, np.int8)  # of each second, with 0 before and after
    for start, end in spans:
        first, last = floor(start - MARGIN_SECONDS), ceil(end + MARGIN_SECONDS)
        needed[1 + max(first, 0) : 1 + min(last, ceil(seconds))] = 1
    edges = np.flatnonzero(np.diff(needed))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Track:
    """The packets of an audio stream without gaps, and where they begin."""

    context: av.AudioCodecContext
    packets: Sequence[av.Packet]
    starts: Sequence[int]  # of the packets, in ticks
    sr: int
    ticks: int  # of a sample
    origin: int  # of the first sample, in ticks
    n: int  # samples

    @classmethod
    def read(
        cls, container: av.container.InputContainer, stream: av.AudioStream, max_seconds: float
    ) -> "_Track | None":
        """Read the packets; None if they do not show where each begins."""
        context, base = stream.codec_context, stream.time_base
        context.thread_count = 1
        sr = context.sample_rate
        if not base or sr not in SAMPLE_RATES or (1 / (base * sr)).denominator != 1:
            return None
        packets: list[av.Packet] = []
        starts: list[int] = []
        end = None  # of the last packet
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or not packet.duration or end not in (None, packet.pts):
                return None
            packets.append(packet)
            starts.append(packet.pts)
            end = packet.pts + packet.duration
            if (end - starts[0]) * base > max_seconds + 1:
                break
        if not packets:
            return None
        ticks = int(1 / (base * sr))
        first = next(_decode(context, packets), None)
        if first is None or first.pts is None:
            return None
        run_in = bisect_left(starts, starts[-1] - RUN_IN_SECONDS / base)
        *_, last = _decode(context, [*packets[run_in:], None])
        n = (last.pts - first.pts) // ticks + last.samples
        return cls(
            context=context,
            packets=packets,
            starts=starts,
            sr=sr,
            ticks=ticks,
            origin=first.pts,
            n=int(min(n, max_seconds * sr)),
        )

    def decode(self, part: slice, y: npt.NDArray[np.float32]) -> bool:
        """Decode a part of `y`; False if there are gaps in it, or other rates or channels."""
        start, stop = (self.origin + sample * self.ticks for sample in (part.start, part.stop))
        run_in = int(RUN_IN_SECONDS * self.sr * self.ticks)
        rows = slice(
            max(bisect_right(self.starts, start - run_in) - 1, 0),
            bisect_left(self.starts, stop) + 1,
        )
        kept: list[av.AudioFrame] = []
        first = at = 0  # sample where the kept frames begin, and where the next one has to
        for frame in _decode(self.context, self.packets[rows]):
            if frame.pts is None or frame.sample_rate != self.sr:
                return False
            position = (frame.pts - self.origin) // self.ticks
            if position + frame.samples <= part.start:
                continue
            if position != at and (kept or position > part.start):
                return False
            if frame.layout.nb_channels > MAX_CHANNELS:
                return False
            first = first if kept else position
            at = position + frame.samples
            kept.append(frame)
        if at < part.stop:
            return False
        for frame in join_frames(iter(kept)):
            mono = np.empty(frame.samples, np.float32)
            mix(frame, mono)
            inside = slice(max(first, part.start), min(first + len(mono), part.stop))
            y[inside] = mono[inside.start - first : max(inside.stop - first, 0)]
            first += len(mono)
        return True


def _decode(
    context: av.AudioCodecContext, packets: Sequence[av.Packet | None]
) -> Iterator[av.AudioFrame]:
    """Decode packets that do not follow those decoded before; None ends the stream."""
    context.flush_buffers()
    for packet in packets:
        try:
            yield from context.decode(packet)
        except av.FFmpegError:  # of the run-in, or it leaves a gap
            continue
