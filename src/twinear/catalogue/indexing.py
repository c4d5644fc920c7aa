"""The index behind a large catalogue: built into a folder, opened without being read.

vectors.npy, known_vectors.npy     pooled embeddings of all artists, and of the known ones
sound/, known/                     the searches over them
represented_*.npy                  the artists that each known one represents
"""

from pathlib import Path

import numpy as np

from twinear.base.errors import ParamsError
from twinear.catalogue.arrays import map_array
from twinear.catalogue.candidates import (
    CandidateIndex,
    RepresentedArtists,
    list_represented,
)
from twinear.catalogue.encoded import EncodedArtists
from twinear.catalogue.head import CosineHead, Head
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.scoring import pool_clips
from twinear.catalogue.search.names import build_search, choose_search, open_search
from twinear.catalogue.search.protocol import Progress
from twinear.model.pooling import Pooling

ALL, KNOWN = "sound", "known"
EXACT_KNOWN = 20_000
VECTORS = {ALL: "vectors.npy", KNOWN: "known_vectors.npy"}


def search_of(params: CatalogueParams, head: Head, n_artists: int) -> str:
    """Choose how a catalogue of so many artists is searched; only a cosine has an index.

    Raises
    ------
    ParamsError
        There is no such search, or none for this head.
    """
    chosen = choose_search(params.search, n_artists, params.exact_below)
    if isinstance(head, CosineHead) or chosen == "exact":
        return chosen
    if params.search == "auto":
        return "exact"
    raise ParamsError(
        "catalogue.search",
        f"is '{params.search}', and the network's head is l1",
        expected="auto or exact",
        remedy="an index finds large inner products; set training.model.head: cosine",
    )


def build_index(
    artists: EncodedArtists,
    known: np.ndarray | None,
    search: str,
    folder: Path,
    pooling: Pooling,
    progress: Progress = iter,
) -> CandidateIndex:
    """Index artists by sound into a folder; `known` are the rows of the known ones."""
    folder.mkdir(parents=True)
    vectors = pool_clips(artists, pooling)
    np.save(folder / VECTORS[ALL], vectors)
    build_search(search, vectors, folder / ALL, progress)
    if known is not None:
        np.save(folder / VECTORS[KNOWN], vectors[known])
        own = _search_known(search, len(known))
        build_search(own, vectors[known], folder / KNOWN, progress, queries=vectors)
    del vectors
    return open_index(search, folder)


def write_represented(artists: EncodedArtists, n_known: int, folder: Path) -> None:
    """Write into an index which artists each known one represents."""
    if n_known:
        list_represented(artists.representatives, artists.weights, n_known).write(folder)


def open_index(search: str, folder: Path) -> CandidateIndex:
    """Open an index.

    Raises
    ------
    DataError
        Missing, damaged, half-written, or its server is away.
    """
    represented = None
    if (folder / "represented_offsets.npy").exists():
        represented = RepresentedArtists.read(folder)
    known = None
    if (folder / VECTORS[KNOWN]).exists():
        vectors = map_array(folder / VECTORS[KNOWN])
        known = open_search(_search_known(search, len(vectors)), vectors, folder / KNOWN)
    every = open_search(search, map_array(folder / VECTORS[ALL]), folder / ALL)
    return CandidateIndex(by_sound=every, known_by_sound=known, represented=represented)


def _search_known(search: str, n_known: int) -> str:
    """Search so few exactly, which takes a millisecond: who stands for whom enters every score."""
    return "exact" if n_known < EXACT_KNOWN else search
