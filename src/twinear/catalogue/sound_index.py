"""The artists of a large catalogue, searched by what they sound like.

What is searched are pooled embeddings, the mean over each artist's clips. With a cosine head their
inner products order artists almost as the siamese scores do: twice as many as are wanted hold the
nearest by score (the benchmark tells how surely). Known artists have a search of their own, because
a new artist is represented by the nearest of them.

    pooled.npy            (artists, units)
    known.npy             (known, units)
    artists/, known/      the indices of the two, if the search needs any
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.catalogue.encoded import EncodedArtists, Floats, Ints
from twinear.catalogue.scoring import sum_clips
from twinear.catalogue.search.faiss_search import FaissSearch
from twinear.catalogue.search.names import build_search, open_search
from twinear.catalogue.search.protocol import Progress, Search

AGAIN = "run 'dvc repro catalogue'"
BLOCK = 8192  # artists pooled at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class SoundIndex:
    """Searches over the pooled embeddings of all artists and of the known ones.

    `known` is None if nothing is known. Its rows are positions among the known artists.
    """

    artists: Search
    known: Search | None

    def quick(self) -> "SoundIndex":
        """Look into a quarter of the lists: good for averages and for what is drawn from many."""
        return SoundIndex(
            artists=_quick(self.artists), known=None if self.known is None else _quick(self.known)
        )


def _quick(search: Search) -> Search:
    if not isinstance(search, FaissSearch):
        return search
    return replace(search, n_probe=max(search.n_probe // 4, 1))


def build_sound_index(
    name: str, artists: EncodedArtists, known: Ints, folder: Path, progress: Progress = iter
) -> None:
    """Write the index into a new folder.

    Parameters
    ----------
    name
        Of the search; see `twinear.catalogue.search.names`.
    known
        (known,): rows of the known artists.
    """
    folder.mkdir(parents=True)
    shape = (len(artists), artists.embeddings.shape[1])
    pooled = np.lib.format.open_memmap(folder / "pooled.npy", "w+", np.float32, shape)
    for start in progress(range(0, len(artists), BLOCK)):
        stop = min(start + BLOCK, len(artists))
        pooled[start:stop] = pool_clips(artists.block(start, stop))
    pooled.flush()
    build_search(name, pooled, folder / "artists", progress)
    if len(known):
        np.save(folder / "known.npy", pooled[known], allow_pickle=False)
        build_search(name, _read(folder / "known.npy"), folder / "known", progress)


def open_sound_index(name: str, folder: Path) -> SoundIndex:
    """Open what `build_sound_index` wrote.

    Raises
    ------
    DataError
        The index is missing, damaged or half-written; a server is away.
    """
    known = None
    if (folder / "known.npy").exists():
        known = open_search(name, _read(folder / "known.npy"), folder / "known")
    return SoundIndex(
        artists=open_search(name, _read(folder / "pooled.npy"), folder / "artists"), known=known
    )


def pool_clips(artists: EncodedArtists) -> Floats:
    """Average the embeddings of each artist's clips, (artists, units).

    Examples
    --------
    >>> from twinear.catalogue.encoded import plain_artists
    >>> embeddings = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    >>> pool_clips(plain_artists(np.array([0, 2, 3]), embeddings)).tolist()
    [[0.5, 0.5], [1.0, 1.0]]
    """
    sums = sum_clips(artists.embeddings, np.asarray(artists.clip_offsets))
    return np.asarray(sums / artists.clip_counts[:, None], dtype=np.float32)


def _read(path: Path) -> Floats:
    try:
        vectors: Floats = np.load(require(path, AGAIN), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        found = f"is not what was written there ({str(error).splitlines()[0]})"
        raise DataError(path, found, remedy=AGAIN) from error
    return vectors
