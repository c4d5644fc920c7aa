"""Write the sample: `listens/`, `clips/`, `clips.csv`, `truth.csv` and a README that says so.

The folder has the shape of `data/`. The same seed writes the same bytes, on the same versions of
numpy, scipy and PyAV.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd
from av.codec.context import Flags

from twinear.acquisition.sample.listeners import (
    PLAYS_FILE,
    PROFILE_FILE,
    imagine_listeners,
    listens_text,
    profile_text,
)
from twinear.acquisition.sample.sound import synthesise
from twinear.acquisition.sample.style import DIMENSIONS, imagine_artists, invent_word
from twinear.base.errors import DataError
from twinear.base.files import replacing
from twinear.compute.pool import Progress

README = """\
# A made-up corpus

Nothing here is real. The artists are imagined, their names and MusicBrainz-like ids invented;
the clips are synthesised; the listeners are simulated. Likeness to anyone is chance.

Made by `twinear sample --seed {seed}`. Licence: MIT, like twinear.

- `listens/`: who played whom, in the format of Last.fm-360K, with some of its quirks.
- `clips/`, `clips.csv`: clips of the artists.
- `truth.csv`: the hidden style of each artist, from which both grow. The pipeline never reads it.
"""


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


@dataclass(frozen=True, kw_only=True)
class CorpusSize:
    """The size of a synthetic corpus."""

    n_artists: int = 80
    clips_per_artist: int = 2
    seconds: float = 30.0
    n_listeners: int = 2000


def write_sample(folder: Path, seed: int, progress: Progress = iter) -> None:
    """Write the bundled sample to a new or empty folder, whole or not at all, else `DataError`."""
    write_corpus(folder, seed, CorpusSize(), progress)


def write_corpus(folder: Path, seed: int, size: CorpusSize, progress: Progress = iter) -> None:
    """Write a corpus of any size; see `write_sample`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(folder, "is not empty", remedy="name a new folder or empty this one")
    artists = imagine_artists(size.n_artists, np.random.default_rng([seed, 0]))
    with replacing(folder) as temporary:
        (temporary / "listens").mkdir(parents=True)
        (temporary / "clips").mkdir()
        _write(temporary / "README.md", README.format(seed=seed))
        truth = zip(artists.names, artists.mbids, artists.styles, strict=True)
        styles = [[name, mbid, *(f"{at:.6f}" for at in style)] for name, mbid, style in truth]
        table = pd.DataFrame(styles, columns=["artist", "mbid", *DIMENSIONS])
        table.to_csv(temporary / "truth.csv", index=False, lineterminator="\n")
        rng = np.random.default_rng([seed, 1])
        listeners = imagine_listeners(artists, size.n_listeners, rng)
        _write(temporary / "listens" / PLAYS_FILE, listens_text(artists, listeners, rng))
        _write(temporary / "listens" / PROFILE_FILE, profile_text(listeners, rng))
        rows = []
        for artist in progress(range(size.n_artists)):
            for clip in range(size.clips_per_artist):
                # a generator for each clip: one more clip changes none of the others
                rng = np.random.default_rng([seed, 2, artist, clip])
                codec = CODECS[rng.integers(len(CODECS))]
                file = f"clips/{artists.mbids[artist]}-{clip + 1}{codec.suffix}"
                y = synthesise(artists.styles[artist], size.seconds, codec.sr, rng)
                encode(y, codec, temporary / file)
                title = f"{invent_word(rng)} {invent_word(rng)}"
                rows.append([file, artists.names[artist], artists.mbids[artist], title])
        table = pd.DataFrame(rows, columns=["file", "artist", "mbid", "title"])
        table.to_csv(temporary / "clips.csv", index=False, lineterminator="\n")


def encode(y: np.ndarray, codec: Codec, path: Path) -> None:
    """Write a mono waveform (n,) at the codec's sample rate: the same bytes each time."""
    # the bit-exact modes leave out dates, version strings and the random serial number of an Ogg
    with av.open(path, "w", format=codec.muxer, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec.encoder, rate=codec.sr, layout="mono")
        stream.bit_rate = codec.bit_rate
        stream.codec_context.flags |= Flags.bitexact
        frame = av.AudioFrame.from_ndarray(y[None], format="fltp", layout="mono")
        frame.sample_rate = codec.sr
        container.mux([*stream.encode(frame), *stream.encode(None)])


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")  # keeps a carriage return in a name
