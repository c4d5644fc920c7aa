"""Write the sample: `listens/`, `clips/`, `clips.csv`, `truth.csv` and a README that says so.

The folder has the shape of `data/`, its description in Croissant included. The same seed and size
write the same bytes, with any number of workers, on the same versions of numpy, scipy and PyAV. A
clip depends on the seed, on the number of artists and on its own numbers, so that a corpus with
more clips an artist or other listeners holds the same clips.

Synthesis and coding take most of the time, about half a CPU second for a clip of 30 s.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
import pandas as pd
from av.codec.context import Flags

from twinear.acquisition.croissant import MIT, write_description
from twinear.acquisition.sample.listeners import (
    PLAYS_FILE,
    PROFILE_FILE,
    imagine_listeners,
    write_listens,
    write_profiles,
)
from twinear.acquisition.sample.sound import synthesise
from twinear.acquisition.sample.style import (
    DIMENSIONS,
    MOST_ARTISTS,
    ImaginedArtists,
    imagine_artists,
    invent_word,
)
from twinear.base.errors import DataError, TwinearError
from twinear.base.files import replacing
from twinear.compute.pool import Progress, Workers, map_in_processes

README = """\
# A made-up corpus

Nothing here is real. The artists are imagined, their names and MusicBrainz-like ids invented;
the clips are synthesised; the listeners are simulated. Likeness to anyone is chance.

Made by `{command}`. Licence: MIT, like twinear.

- `listens/`: who played whom, in the format of Last.fm-360K, with some of its quirks.
- `clips/`, `clips.csv`: clips of the artists.
- `truth.csv`: the hidden style of each artist, from which both grow. The pipeline never reads it.
"""
DESCRIPTION = "A made-up corpus: imagined artists, synthesised clips, simulated listeners."


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
    """The size of a synthetic corpus; the defaults are those of the bundled sample.

    Raises
    ------
    TwinearError
        A number is out of range.
    """

    n_artists: int = 80
    clips_per_artist: int = 2
    n_listeners: int = 2000
    seconds: float = 30.0  # of a clip

    def __post_init__(self) -> None:
        for option, value, least, most in (
            ("artists", self.n_artists, 1, MOST_ARTISTS),
            ("clips", self.clips_per_artist, 1, 1000),
            ("listeners", self.n_listeners, 1, 10_000_000),
            ("seconds", self.seconds, 1, 3600),
        ):
            if not least <= value <= most:
                remedy = f"give another number for --{option}"
                expected = f"{least} to {most}"
                raise TwinearError(
                    f"--{option}", f"found {value}", expected=expected, remedy=remedy
                )

    @property
    def n_clips(self) -> int:
        """How many clips there are."""
        return self.n_artists * self.clips_per_artist


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """A clip to synthesise: where it goes, and what it is drawn from."""

    folder: Path
    artist: int
    number: int  # of the clip, within the artist
    name: str
    mbid: str
    style: np.ndarray  # (dimensions,)


@dataclass(frozen=True, kw_only=True)
class _Unwritten:
    """Why a clip could not be written."""

    errno: int
    reason: str


def write_corpus(
    folder: Path,
    seed: int,
    size: CorpusSize,
    progress: Progress = iter,
    workers: Workers = 1,
) -> None:
    """Write a corpus to a new or empty folder, whole or not at all.

    Parameters
    ----------
    progress
        Goes through the clips.
    workers
        Processes that synthesise them.

    Raises
    ------
    DataError
        The folder holds something, or it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(folder, "is not empty", remedy="name a new folder or empty this one")
    artists = imagine_artists(size.n_artists, np.random.default_rng([seed, 0]))
    with replacing(folder) as temporary:
        (temporary / "listens").mkdir(parents=True)
        (temporary / "clips").mkdir()
        readme = README.format(command=_command(seed, size))
        (temporary / "README.md").write_text(readme, encoding="utf-8")
        truth = zip(artists.names, artists.mbids, artists.styles, strict=True)
        styles = [[name, mbid, *(f"{at:.6f}" for at in style)] for name, mbid, style in truth]
        table = pd.DataFrame(styles, columns=["artist", "mbid", *DIMENSIONS])
        table.to_csv(temporary / "truth.csv", index=False, lineterminator="\n")
        rng = np.random.default_rng([seed, 1])
        listeners = imagine_listeners(artists, size.n_listeners, rng)
        write_listens(temporary / "listens" / PLAYS_FILE, artists, listeners, rng)
        write_profiles(temporary / "listens" / PROFILE_FILE, listeners, rng)
        crashed: list[str] | _Unwritten = _Unwritten(errno=0, reason="the encoder crashes")
        write = partial(_write_clip, seed=seed, seconds=size.seconds)
        clips = _clips(temporary, artists, size)
        # closed before the folder is put in place or removed: no worker still writes to it
        with closing(map_in_processes(write, clips, workers, crashed)) as written:
            rows = []
            for _, row in zip(progress(range(size.n_clips)), written, strict=True):
                if isinstance(row, _Unwritten):
                    raise OSError(row.errno, row.reason, str(temporary))
                rows.append(row)
        table = pd.DataFrame(rows, columns=["file", "artist", "mbid", "title"])
        table.to_csv(temporary / "clips.csv", index=False, lineterminator="\n")
        write_description(temporary, name="twinear-sample", description=DESCRIPTION, licences=[MIT])


def _command(seed: int, size: CorpusSize) -> str:
    """Tell the command that makes a corpus, without what is as in the bundled sample."""
    command = f"twinear sample --seed {seed}"
    for option, value, usual in (
        ("artists", size.n_artists, CorpusSize.n_artists),
        ("clips", size.clips_per_artist, CorpusSize.clips_per_artist),
        ("listeners", size.n_listeners, CorpusSize.n_listeners),
        ("seconds", size.seconds, CorpusSize.seconds),
    ):
        if value != usual:
            command += f" --{option} {value:g}"
    return command


def _clips(folder: Path, artists: ImaginedArtists, size: CorpusSize) -> Iterator[_Clip]:
    for artist in range(size.n_artists):
        for number in range(size.clips_per_artist):
            yield _Clip(
                folder=folder,
                artist=artist,
                number=number,
                name=artists.names[artist],
                mbid=artists.mbids[artist],
                style=artists.styles[artist],
            )


def _write_clip(clip: _Clip, seed: int, seconds: float) -> list[str] | _Unwritten:
    """Synthesise and encode a clip; its row of clips.csv."""
    # a generator for each clip: one more clip changes none of the others
    rng = np.random.default_rng([seed, 2, clip.artist, clip.number])
    codec = CODECS[rng.integers(len(CODECS))]
    file = f"clips/{clip.mbid}-{clip.number + 1}{codec.suffix}"
    y = synthesise(clip.style, seconds, codec.sr, rng)
    try:
        encode(y, codec, clip.folder / file)
    except OSError as error:  # in words: PyAV's errors cannot be sent between processes
        return _Unwritten(errno=error.errno or 0, reason=error.strerror or str(error))
    return [file, clip.name, clip.mbid, f"{invent_word(rng)} {invent_word(rng)}"]


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
