"""A corpus of any size without audio: the artefacts that the pipeline would make of it.

Every artist has a hidden style, as in the bundled sample (`acquisition.sample`). A listener has a
home, an artist drawn evenly, and chooses mostly among the artists of the most similar styles, the
popular ones more often, and sometimes a popular artist anywhere. So an artist shares listeners with
about a hundred others however many artists there are, and the listens grow with the artists. A
clip's log-mel has a pulse, whose rate, decay and height are the style, under noise and a random
equalisation that says nothing; its embedding is a noisy projection of the style.

What is written, to be read by the stages `split` to `report`:

    listens/ neighbours/ similarity/ spectrograms/   as by their stages
    truth.csv                                        the style of each artist

The similarity is of the `--top-artists` most listened artists, the neighbours of all. 2,000
artists take 15 CPU seconds and 59 MB; time and size grow with the artists.

    python -m benchmarks.planted_corpus FOLDER --artists 10000 [--clips 3] [--embeddings none]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree
from tqdm import tqdm

from twinear.acquisition.sample.listeners import MAX_ARTISTS, MIN_ARTISTS
from twinear.acquisition.sample.style import DIMENSIONS, ImaginedArtists, imagine_artists
from twinear.base.params import read_params
from twinear.listens.listens import Listens
from twinear.similarity.computation import compute
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import in_memory
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms

Floats = npt.NDArray[np.float32]
Embeddings = Literal["none", "concat", "only"]

LISTENERS_PER_ARTIST = 40
CANDIDATES = 100  # artists of similar style that a listener chooses among
ANYWHERE = 0.2  # share of the choices that are popular artists of any style
LISTENERS = 50_000  # drawn at a time
CLIPS = 1000  # drawn at a time
N_DIMS = 64  # of an embedding
SECONDS = 30.0


def draw_plays(artists: ImaginedArtists, n_listeners: int, rng: np.random.Generator) -> csr_array:
    """Let listeners choose artists: plays, (listeners, artists)."""
    n = len(artists.names)
    n_near = min(CANDIDATES, n)
    nearest = cKDTree(artists.styles).query(artists.styles, n_near)
    distance, near = (np.reshape(each, (n, n_near)) for each in nearest)
    # relative to the home's farthest candidate: dense regions have listeners of narrower taste
    log_weight = np.log(artists.popularity)[near] - 2 * (distance / distance[:, -1:]) ** 2
    cumulated = np.cumsum(artists.popularity)
    rows, columns = [], []
    for first in range(0, n_listeners, LISTENERS):
        home = rng.integers(n, size=min(LISTENERS, n_listeners - first))
        keys = log_weight[home] + rng.gumbel(size=(len(home), n_near))
        n_most = min(MAX_ARTISTS, n_near)
        # in any order: how many of them count is drawn too
        most = np.argpartition(-keys, n_most - 1, axis=1)[:, :n_most]
        chosen = near[home[:, None], most]
        anywhere = np.searchsorted(cumulated, rng.random(chosen.shape) * cumulated[-1])
        chosen = np.where(rng.random(chosen.shape) < ANYWHERE, anywhere, chosen)
        counts = rng.integers(MIN_ARTISTS, MAX_ARTISTS, len(home), endpoint=True)
        kept = np.arange(n_most) < counts[:, None]
        rows.append(first + np.nonzero(kept)[0])
        columns.append(chosen[kept])
    row, column = np.concatenate(rows), np.concatenate(columns)
    plays = np.ceil(rng.lognormal(4.0, 1.2, len(row))).astype(np.int64)
    return csr_array(coo_array((plays, (row, column)), shape=(n_listeners, n)))


def order_listens(artists: ImaginedArtists, plays: csr_array) -> Listens:
    """Make listens of plays, (listeners, artists): the artist with the most listeners first."""
    counts = np.asarray((plays > 0).sum(axis=0)).ravel()
    table = pd.DataFrame(
        {
            "artist": artists.mbids,
            "name": artists.names,
            "mbid": artists.mbids,
            "listeners": counts,
            "plays": np.asarray(plays.sum(axis=0)).ravel(),
        }
    )
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    plays = plays[:, order]
    plays.sort_indices()  # the kernels of the similarity rely on it
    return Listens(artists=table.iloc[order].reset_index(drop=True), plays=plays)


def draw_log_mels(
    styles: npt.NDArray[np.float64], n_mels: int, n_frames: int, rng: np.random.Generator
) -> Floats:
    """Draw a log-mel of each style, (clips, dimensions) in [-1, 1]: (clips, n_mels, n_frames)."""
    styles = np.clip(styles + 0.05 * rng.standard_normal(styles.shape), -1, 1)
    pace, sustain, height = (styles.T[:, :, None] + 1) / 2  # (clips, 1) each
    rate = 0.03 * 8**pace  # pulses a frame
    since = (np.arange(n_frames) * rate + rng.random(pace.shape)) % 1 / rate  # frames since one
    envelope = np.exp(-since / (0.5 * 16**sustain))  # (clips, n_frames)
    bands = np.linspace(0, 1, n_mels)
    profile = np.exp(-(((bands - 0.2 - 0.6 * height) / 0.15) ** 2) / 2)  # (clips, n_mels)
    tilt, centre = rng.normal(0, 0.15, pace.shape), rng.random(pace.shape)
    equaliser = tilt * (bands - 0.5) + 0.15 * np.exp(-(((bands - centre) / 0.1) ** 2) / 2)
    values = 0.45 + equaliser[:, :, None] + 0.3 * profile[:, :, None] * envelope[:, None]
    values += 0.03 * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(values, 0, 1), np.float32)


def draw_spectrograms(
    artists: ImaginedArtists,
    clips_per_artist: int,
    front: SpectrogramsParams,
    scratch: Path,
    rng: np.random.Generator,
) -> Spectrograms:
    """Draw the clips of all artists, by artist id; log-mels are kept in a file, mapped."""
    order = np.argsort(artists.mbids)
    artist = np.repeat(order, clips_per_artist)
    styles, n_clips = artists.styles[artist], len(artist)
    projection = rng.standard_normal((styles.shape[1], N_DIMS), dtype=np.float32)
    joined = (styles @ projection + 0.7 * rng.standard_normal((n_clips, N_DIMS))).astype(np.float32)
    only = front.embeddings == "only"
    values: npt.NDArray[np.floating] = joined[:, :, None]
    if not only:
        shape = (n_clips, front.n_mels, front.n_frames)
        values = np.lib.format.open_memmap(scratch / "values.npy", "w+", np.float16, shape)
        for start in tqdm(range(0, n_clips, CLIPS), unit="block", mininterval=10):
            some = slice(start, start + CLIPS)
            values[some] = draw_log_mels(styles[some], front.n_mels, front.n_frames, rng)
    mfcc_mean = rng.standard_normal((n_clips, front.n_mfcc), dtype=np.float32)
    mfcc_mean[:, : styles.shape[1]] += styles
    return Spectrograms(
        clips=pd.DataFrame(
            {
                "file": [f"{clip:08}.wav" for clip in range(n_clips)],
                "artist": np.asarray(artists.mbids)[artist],
                "name": np.asarray(artists.names)[artist],
                "title": "",
                "source": "",
                "seconds": SECONDS,
            }
        ),
        values=values,
        mfcc_mean=mfcc_mean,
        mfcc_cov=np.tile(np.eye(front.n_mfcc, dtype=np.float32), (n_clips, 1, 1)),
        front=front,
        joined=joined if front.embeddings == "concat" else np.empty((n_clips, 0), np.float32),
        extractor="" if front.embeddings == "none" else "planted",
    )


def plant_corpus(
    folder: Path,
    n_artists: int,
    clips_per_artist: int,
    front: SpectrogramsParams,
    similarity: SimilarityParams,
    seed: int = 1,
) -> None:
    """Write `listens`, `neighbours`, `similarity`, `spectrograms` and the truth to a folder."""
    artists = imagine_artists(n_artists, np.random.default_rng([seed, 0]))
    folder.mkdir(parents=True, exist_ok=True)
    truth = pd.DataFrame(artists.styles, columns=DIMENSIONS).assign(mbid=artists.mbids)
    truth.to_csv(folder / "truth.csv", index=False)
    n_listeners = LISTENERS_PER_ARTIST * n_artists
    plays = draw_plays(artists, n_listeners, np.random.default_rng([seed, 1]))
    listens = order_listens(artists, plays)
    listens.write(folder / "listens")
    parts = in_memory(listens)
    similar, neighbours, _ = compute(parts, artists.mbids, similarity, 2**40, 1)
    similar.write(folder / "similarity")
    neighbours.write(folder / "neighbours")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        rng = np.random.default_rng([seed, 2])
        clips = draw_spectrograms(artists, clips_per_artist, front, Path(scratch), rng)
        clips.write(folder / "spectrograms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--artists", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=3, help="of an artist")
    parser.add_argument("--top-artists", type=int, default=5000, help="in the similarity")
    parser.add_argument("--n-mels", type=int, default=40)
    parser.add_argument("--n-frames", type=int, default=64, help="of a clip's log-mel")
    parser.add_argument("--embeddings", choices=get_args(Embeddings), default="none")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shape = {"n_mels": options.n_mels, "n_frames": options.n_frames}
    front = read_params("spectrograms", SpectrogramsParams)
    front = front.model_copy(update={**shape, "embeddings": options.embeddings})
    similarity = read_params("similarity", SimilarityParams)
    similarity = similarity.model_copy(update={"top_artists": options.top_artists})
    plant_corpus(options.folder, options.artists, options.clips, front, similarity, options.seed)


if __name__ == "__main__":
    main()
