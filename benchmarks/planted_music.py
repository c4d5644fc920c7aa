"""Planted music for learning curves: thousands of imagined artists, with real nuisances.

The artists, listeners and sounds are those of the bundled sample (`acquisition.sample`): who
listens follows a hidden style, which the sound shows under random keys, equalisation, noise and
levels. One clip an artist. Every second artist's clip is in addition as in a user's library: 8 to
15 s long after up to a second of silence, low-passed at 4 to 7 kHz, quieter, and in 16 bits.
The column `source` says which ("studio" or "library").

Only the artefacts are written: listens, similarity and spectrograms. A clip takes .2 CPU seconds.
Stop it at any time: finished blocks of clips are kept in the folder, and the same command goes on.
--first takes only so many of the artists: those whose clips are there already. --embeddings writes
those of musicnn instead of spectrograms (.2 CPU seconds more a clip).

    python -m benchmarks.planted_music FOLDER --artists 3500 [--first 1240] [--embeddings]
"""

import argparse
from functools import cache, partial
from math import ceil
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.signal import butter, sosfilt
from scipy.sparse import csr_array, vstack
from tqdm import tqdm

from benchmarks.planted_corpus import order_listens
from twinear.acquisition.sample.listeners import imagine_listeners
from twinear.acquisition.sample.sound import synthesise
from twinear.acquisition.sample.style import ImaginedArtists, imagine_artists
from twinear.base.files import replacing
from twinear.base.params import read_params
from twinear.clips.waveform import Waveform
from twinear.encoders.encoder import Encoder
from twinear.encoders.loading import DEFAULT, load_encoder
from twinear.listens.listens import Listens
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel
from twinear.spectrograms.spectrograms import Spectrograms

SEED = 3
SECONDS = 30.0
BLOCK = 1000  # listeners drawn at a time
CLIPS = 20  # synthesised at a time
# As many listeners for the square of the artists: two artists of one style then share as many
# listeners, however many artists there are.
LISTENERS_PER_SQUARE = 5e-3


def as_in_a_library(y: np.ndarray, sr: int, rng: np.random.Generator) -> np.ndarray:
    """Shorten and low-pass a clip, make it quieter, and put silence before it."""
    n = int(rng.uniform(8, 15) * sr)
    sos = butter(4, rng.uniform(4000, 7000), "low", fs=sr, output="sos")
    low = sosfilt(sos, y[:n]) * 10 ** (rng.uniform(-20, 0) / 20)
    silence = np.zeros(int(rng.uniform(0, 1) * sr))
    return np.asarray(np.round(np.concatenate([silence, low]) * 32767) / 32767, np.float32)


@cache
def load_network() -> Encoder:
    """Load musicnn on one thread, once in a process."""
    torch.set_num_threads(1)
    return load_encoder(DEFAULT, print)


def hear(artist: int, styles: np.ndarray, front: SpectrogramsParams) -> np.ndarray:
    """Synthesise the clip of an artist; its spectrogram (n_mels, n_frames) or embedding (n, 1)."""
    rng = np.random.default_rng([SEED, 2, artist])
    y = synthesise(styles[artist], SECONDS, front.sr, rng)
    if artist % 2:
        y = as_in_a_library(y, front.sr, rng)
    if front.embeddings == "only":
        encoder = load_network()
        waveform = Waveform(y=y, sr=front.sr).without_silence()
        return encoder.encode(waveform.at(encoder.sr))[:, None]
    return log_mel(y, front).astype(np.float16)


def hear_block(block: int, styles: np.ndarray, front: SpectrogramsParams, folder: Path) -> None:
    """Write the spectrograms of a block of artists, unless they are there."""
    path = folder / f"{block:04}.npy"
    if not path.exists():
        artists = range(block * CLIPS, min((block + 1) * CLIPS, len(styles)))
        values = np.stack([hear(artist, styles, front) for artist in artists])
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, values)


def draw_listens(artists: ImaginedArtists, n_listeners: int) -> Listens:
    """Let listeners choose artists, a block of listeners at a time."""
    blocks = [
        imagine_listeners(artists, BLOCK, np.random.default_rng([SEED, 1, block])).plays
        for block in range(max(1, round(n_listeners / BLOCK)))
    ]
    return order_listens(artists, csr_array(vstack(blocks)))


def plant_music(
    folder: Path, n_artists: int, n_first: int, processes: int, embeddings: bool
) -> None:
    """Write `listens`, `similarity` and `spectrograms` of planted music to a folder."""
    artists = imagine_artists(n_artists, np.random.default_rng([SEED, 0]))
    artists = ImaginedArtists(
        names=artists.names[:n_first],
        mbids=artists.mbids[:n_first],
        styles=artists.styles[:n_first],
        popularity=artists.popularity[:n_first] / artists.popularity[:n_first].sum(),
    )
    listens = draw_listens(artists, round(LISTENERS_PER_SQUARE * n_first**2))
    listens.write(folder / "listens")
    params = read_params("similarity", SimilarityParams)
    params = params.model_copy(update={"top_artists": n_first})
    compute_similarity(listens, artists.mbids, params).write(folder / "similarity")
    front = read_params("spectrograms", SpectrogramsParams)
    front = front.model_copy(update={"embeddings": "only" if embeddings else "none"})
    blocks = folder / ("embeddings" if embeddings else "blocks")
    blocks.mkdir(exist_ok=True)
    n_blocks = ceil(n_first / CLIPS)
    with Pool(processes) as pool:
        hear_one = partial(hear_block, styles=artists.styles, front=front, folder=blocks)
        heard = pool.imap_unordered(hear_one, range(n_blocks))
        list(tqdm(heard, total=n_blocks, unit="block", mininterval=30))
    parts = [np.load(blocks / f"{block:04}.npy") for block in range(n_blocks)]
    values = np.concatenate(parts)
    clips = pd.DataFrame(
        {
            "file": [f"{artist}.wav" for artist in range(n_first)],
            "artist": artists.mbids,
            "name": artists.names,
            "title": "",
            "source": np.where(np.arange(n_first) % 2, "library", "studio"),
            "seconds": SECONDS,
        }
    )
    Spectrograms(
        clips=clips,
        values=values,
        mfcc_mean=np.zeros((n_first, front.n_mfcc), np.float32),  # the baselines are not asked
        mfcc_cov=np.tile(np.eye(front.n_mfcc, dtype=np.float32), (n_first, 1, 1)),
        front=front,
        joined=np.empty((n_first, 0), np.float32),
        extractor=load_network().name if embeddings else "",
    ).write(folder / "spectrograms")
    np.save(folder / "styles.npy", artists.styles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--artists", type=int, default=3500)
    parser.add_argument("--first", type=int, default=0, help="0: all artists")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--embeddings", action="store_true", help="instead of spectrograms")
    options = parser.parse_args()
    n_first = options.first or options.artists
    plant_music(options.folder, options.artists, n_first, options.processes, options.embeddings)


if __name__ == "__main__":
    main()
