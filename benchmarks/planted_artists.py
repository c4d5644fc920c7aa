"""Artists made up for benchmarks: genres, scenes, hubs, and listens that follow them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from twinear.catalogue.collaborative import Colistening
from twinear.catalogue.encoded import EncodedArtists, plain_artists

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CLIPS, UNITS, LATENT = 3, 128, 24
ARTISTS_PER_SCENE = 40
MOST_KNOWN = 100_000  # artists with listens
KNOWN = 0.8  # of the artists, if that are fewer
BLOCK = 20_000  # artists whose clips are made at a time
SIMILAR = {"scene": 40, "genre": 40, "any": 20}  # similar artists drawn of each known artist


@dataclass(frozen=True, kw_only=True, eq=False)
class PlantedArtists:
    """Artists with `CLIPS` clips each, the similarity of the known, and clips of new artists."""

    artists: EncodedArtists
    colistening: Colistening
    new: Floats  # (new artists, CLIPS, UNITS): of the same scenes, not in the catalogue


def plant(n_artists: int, n_new: int, folder: Path, seed: int = 1) -> PlantedArtists:
    """Draw artists; the embeddings are written to a file and mapped."""
    rng = np.random.default_rng(seed)
    n_scenes = max(4, n_artists // ARTISTS_PER_SCENE)
    genres = _normal(rng, (max(2, int(n_scenes**0.5)), LATENT))
    genre = rng.integers(len(genres), size=n_scenes)
    scenes = 0.8 * genres[genre] + 0.6 * _normal(rng, (n_scenes, LATENT))
    every = n_artists + n_new
    scene = (n_scenes * rng.random(every) ** 1.3).astype(np.int64)  # of many sizes
    style = scenes[scene] + 0.5 * _normal(rng, (every, LATENT))
    spread = 0.55 * rng.lognormal(0, 0.3, every).astype(np.float32)
    # hubs: in the middle of a scene, with clips that are much alike
    hubs = rng.random(every) < 0.02
    style[hubs] = 0.8 * scenes[scene[hubs]] + 0.1 * _normal(rng, (int(hubs.sum()), LATENT))
    spread[hubs] *= 0.4
    to_units = _normal(rng, (LATENT, UNITS)) / np.float32(LATENT**0.5)
    common = 0.5 * _normal(rng, (UNITS,))

    def clips(some: slice) -> Floats:
        repeated = np.repeat(style[some], CLIPS, axis=0)
        noise = _normal(rng, repeated.shape) * np.repeat(spread[some], CLIPS)[:, None]
        values: Floats = (repeated + noise) @ to_units + common
        values += 0.25 * _normal(rng, values.shape)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        return values

    path = folder / "planted_embeddings.npy"
    shape = (n_artists * CLIPS, UNITS)
    embeddings = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    for start in range(0, n_artists, BLOCK):
        stop = min(start + BLOCK, n_artists)
        embeddings[start * CLIPS : stop * CLIPS] = clips(slice(start, stop))
    embeddings.flush()
    new = clips(slice(n_artists, every)).reshape(n_new, CLIPS, UNITS)
    n_known = min(int(KNOWN * n_artists), MOST_KNOWN)
    known = np.sort(rng.permutation(n_artists)[:n_known])
    return PlantedArtists(
        artists=plain_artists(
            np.arange(0, n_artists * CLIPS + 1, CLIPS), np.load(path, mmap_mode="r")
        ),
        colistening=_plant_listens(known, scene[known], genre[scene[known]], style[known], rng),
        new=new,
    )


def _plant_listens(
    known: Ints, scene: Ints, genre: Ints, style: Floats, rng: np.random.Generator
) -> Colistening:
    """Similarity of artists of the same scene, of the same genre, and of popular ones of any."""
    n = len(known)
    listeners = rng.lognormal(0, 1.3, n)
    pairs = [
        _pairs_within(scene, SIMILAR["scene"], rng),
        _pairs_within(genre, SIMILAR["genre"], rng),
    ]
    popular = rng.choice(n, n * SIMILAR["any"], p=listeners / listeners.sum())
    pairs.append(np.stack([np.repeat(np.arange(n), SIMILAR["any"]), popular]))
    first, second = np.sort(np.concatenate(pairs, axis=1), axis=0)
    codes = np.unique((first * n + second)[first != second])
    first, second = codes // n, codes % n
    values = np.empty(len(codes), np.float32)
    for start in range(0, len(codes), 2**20):
        some = slice(start, start + 2**20)
        apart = np.square(style[first[some]] - style[second[some]]).sum(axis=1)
        values[some] = 0.3 * np.exp(-apart / 6)
    values = np.clip(values * rng.lognormal(0, 0.5, len(values)), 0.003, 0.9).astype(np.float32)
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    similarity = coo_array((np.concatenate([values, values]), (rows, columns)), (n, n)).tocsr()
    n_pairs = n * (n - 1)
    mean = similarity.data.sum(dtype=np.float64) / n_pairs
    squares = np.square(similarity.data, dtype=np.float64).sum() / n_pairs
    return Colistening(
        rows=known,
        indptr=similarity.indptr.astype(np.int64),
        indices=similarity.indices.astype(np.int32),
        values=similarity.data,
        deviation=float(np.sqrt(squares - mean**2)),
    )


def _pairs_within(group: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Draw `n` members of the group of each artist, (2, artists * n)."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], group[order])
    sizes = np.searchsorted(group[order], group[order], side="right") - starts
    of = np.repeat(np.arange(len(group)), n)
    drawn = starts[of] + (rng.random(len(of)) * sizes[of]).astype(np.int64)
    return np.stack([order[of], order[drawn]])


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)
