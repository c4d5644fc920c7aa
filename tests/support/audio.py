"""Audio for the tests: a little music, and files of every kind that hold it."""

import struct
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

CODECS = {
    ".mp3": "libmp3lame",
    ".m4a": "aac",
    ".ogg": "vorbis",
    ".opus": "libopus",
    ".flac": "flac",
    ".wav": "pcm_s16le",
}
# further kinds, which a folder of music may hold: suffix -> codec, container
MORE = {
    ".aac": ("aac", "adts"),
    ".ac3": ("ac3", "ac3"),
    ".aif": ("pcm_s16be", "aiff"),
    ".aifc": ("pcm_s16le", "aiff"),
    ".aiff": ("pcm_s16be", "aiff"),
    ".asf": ("wmav2", "asf"),
    ".au": ("pcm_s16be", "au"),
    ".caf": ("pcm_s16be", "caf"),
    ".eac3": ("eac3", "eac3"),
    ".m4b": ("aac", "mp4"),
    ".m4r": ("aac", "mp4"),
    ".mka": ("libopus", "matroska"),
    ".mp2": ("mp2", "mp2"),
    ".mp4": ("aac", "mp4"),
    ".oga": ("vorbis", "ogg"),
    ".tta": ("tta", "tta"),
    ".w64": ("pcm_s16le", "w64"),
    ".webm": ("libopus", "webm"),
    ".wma": ("wmav2", "asf"),
    ".wv": ("wavpack", "wv"),
}
NARROW = {".3gp": ("libopencore_amrnb", "3gp"), ".amr": ("libopencore_amrnb", "amr")}  # 8 kHz
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def music(seconds: float, sr: int = 44100, seed: int = 0) -> npt.NDArray[np.float32]:
    """Notes with overtones under 6 kHz, four a second, each fading for a second: (n,), peak 0.5."""
    random = np.random.default_rng(seed)
    n = round(seconds * sr)
    y = np.zeros(n + sr)
    for start in range(0, n, sr // 4):
        y[start : start + sr] += note(int(random.integers(0, 24)), sr)
    return np.asarray(y[:n] / np.abs(y[:n]).max() / 2, np.float32)


@cache
def note(semitone: int, sr: int) -> npt.NDArray[np.float64]:
    """A second of a note, so many semitones above 110 Hz."""
    tone = 110 * 2 ** (semitone / 12)
    t = np.arange(sr) / sr
    overtones = np.arange(1, int(min(6000, sr / 2) / tone), 3)[:, None]
    waves = np.sin(2 * np.pi * tone * overtones * t) / overtones  # (overtones, sr)
    y: npt.NDArray[np.float64] = np.exp(-4 * t) * np.minimum(t * 50, 1) * waves.sum(axis=0)
    return y


def write_clip(
    path: Path, y: npt.NDArray[np.floating], sr: int = 44100, codec: str = "", bit_rate: int = 0
) -> Path:
    """Encode `y`, (n,) or (channels, n), in the kind that the suffix of `path` names."""
    channels = np.atleast_2d(y).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    own, kind = {**MORE, **NARROW, ".m4a": ("aac", "mp4")}.get(path.suffix, ("", None))
    bit_rate = bit_rate or (128_000 if own == "wmav2" else 0)
    with av.open(str(path), "w", format=kind) as container:
        layout = LAYOUTS[len(channels)]
        stream = container.add_stream(codec or own or CODECS[path.suffix], rate=sr, layout=layout)
        stream.codec_context.options = {"strict": "experimental"}  # vorbis
        if bit_rate:
            stream.bit_rate = bit_rate
        packed = np.ascontiguousarray(channels.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = sr
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tagged(path: Path, y: npt.NDArray[np.floating], **tags: str) -> Path:
    """Encode `y`, of 48 kHz, with tags of one value each."""
    plain = write_clip(path.with_name(f"plain{path.suffix}"), y, 48000)
    kind = MORE.get(path.suffix, ("", "mp4" if path.suffix == ".m4a" else None))[1]
    with av.open(str(plain)) as source, av.open(str(path), "w", format=kind) as target:
        target.metadata.update(tags)
        copied = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    plain.unlink()
    return path


def write_speex(path: Path) -> Path:
    """Two seconds of Speex, 8 kHz, in Ogg: its encoder is not installed, but any bits are sound."""
    numbers = (1, 80, 8000, 0, 4, 1, -1, 160, 0, 1, 0, 0, 0)
    header = struct.pack("<8s20s13i", b"Speex   ", b"1.2", *numbers)
    random = np.random.default_rng(0)
    # the first bits of a packet name its mode: 3 is narrow band, 20 bytes
    packets = [bytes([0x18 | random.integers(8), *random.integers(0, 256, 19)]) for _ in range(100)]
    comments = struct.pack("<I4sI", 4, b"test", 0)
    pages = b""
    for n, packet in enumerate([header, comments, *packets]):
        flags = 2 if n == 0 else 4 if n == len(packets) + 1 else 0  # first and last page
        position = max(0, n - 1) * 160
        page = struct.pack("<4sBBqIIIBB", b"OggS", 0, flags, position, 7, n, 0, 1, len(packet))
        page += packet
        crc = 0
        for byte in page:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        pages += page[:22] + struct.pack("<I", crc) + page[26:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pages)
    return path


def write_dsd(path: Path, seconds: float = 1.0) -> Path:
    """A DSF file of one-bit audio; random bits are a quiet noise."""
    n_blocks = round(seconds * 2_822_400 / 8 / 4096)
    n = n_blocks * 4096
    data = np.random.default_rng(0).integers(0, 256, n, np.uint8).tobytes()
    form = struct.pack("<4sQ6IQII", b"fmt ", 52, 1, 0, 1, 1, 2_822_400, 1, n * 8, 4096, 0)
    body = struct.pack("<4sQ", b"data", 12 + n) + data
    size = 28 + len(form) + len(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<4sQQQ", b"DSD ", 28, size, 0) + form + body)
    return path
