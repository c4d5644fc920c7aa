"""Audio for the tests: a little music, and files of every kind that hold it."""

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
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def music(seconds: float, sr: int = 44100, seed: int = 0) -> npt.NDArray[np.float32]:
    """Notes with overtones under 6 kHz, four a second, each fading for a second: (n,), peak 0.5."""
    random = np.random.default_rng(seed)
    n = round(seconds * sr)
    y = np.zeros(n + sr)
    t = np.arange(sr) / sr
    for start in range(0, n, sr // 4):
        tone = 110 * 2 ** (random.integers(0, 24) / 12)
        for overtone in range(1, int(min(6000, sr / 2) / tone), 3):
            swell = np.exp(-4 * t) * np.minimum(t * 50, 1) / overtone
            y[start : start + sr] += swell * np.sin(2 * np.pi * tone * overtone * t)
    return np.asarray(y[:n] / np.abs(y[:n]).max() / 2, np.float32)


def write_clip(
    path: Path, y: npt.NDArray[np.floating], sr: int = 44100, codec: str = "", bit_rate: int = 0
) -> Path:
    """Encode `y`, (n,) or (channels, n), in the kind that the suffix of `path` names."""
    channels = np.atleast_2d(y).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as container:
        layout = LAYOUTS[len(channels)]
        stream = container.add_stream(codec or CODECS[path.suffix], rate=sr, layout=layout)
        stream.codec_context.options = {"strict": "experimental"}  # vorbis
        if bit_rate:
            stream.bit_rate = bit_rate
        packed = np.ascontiguousarray(channels.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = sr
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
