"""Listens -> the similarity of the most listened artists, and the neighbours of all artists."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from twinear.base.errors import DataError
from twinear.compute.pool import Workers
from twinear.listens.listens import Listens
from twinear.similarity.cooccurrence import CoListening
from twinear.similarity.measures import ArtistTotals, SimilarityParams, count_totals
from twinear.similarity.neighbours import ListenNeighbours
from twinear.similarity.partitions import ListensParts, in_memory
from twinear.similarity.similarity import Similarity

UNLIMITED = 2**40  # bytes: listens that are in memory already need no blocks


@dataclass(frozen=True, kw_only=True)
class SimilarityReport:
    """What was compared.

    Parameters
    ----------
    artists
        Artists compared with each other; fewer than `top_artists` where fewer have both listens
        and clips.
    listeners, capped_listeners
        All listeners, or all sessions where these are the baskets, and those of them that count
        only for their most played artists.
    similar_pairs
        The share of the pairs of compared artists that are more similar than the least similar.
    all_artists
        Artists in the listens.
    with_neighbours
        Artists with a neighbour; None where no neighbours were asked for.
    """

    basket: str
    measure: str
    artists: int
    top_artists: int
    listeners: int
    capped_listeners: int
    similar_pairs: float
    all_artists: int
    with_neighbours: int | None


def compute(
    parts: ListensParts,
    with_clips: Collection[str],
    params: SimilarityParams,
    memory: int,
    workers: Workers,
) -> tuple[Similarity, ListenNeighbours, SimilarityReport]:
    """Compute the similarity of the artists with clips, and the neighbours of all artists.

    Parameters
    ----------
    with_clips
        Ids of the artists that have clips.
    memory
        Bytes to keep to, where the listens come in parts.

    Raises
    ------
    DataError
        Fewer than three artists with both listens and clips, or all equally similar.
    """
    rows = np.flatnonzero(parts.artists["artist"].isin(list(with_clips)))
    if len(rows) < 3:
        raise DataError(
            "similarity",
            f"{len(rows) or 'no'} artist{'s have' if len(rows) > 1 else ' has'} both "
            f"listens and clips ({len(parts.artists)} have listens, {len(with_clips)} clips)",
            expected="3 or more",
            remedy="name them in clips.csv as the listens do, lower listens.min_listeners, or "
            "import the clips without listens to compare them by sound alone",
        )
    totals = count_totals(parts, params)
    if params.basket == "session":  # artists come with most listeners first
        rows = np.sort(
            rows[np.argsort(-totals.listeners[rows], kind="stable")][: params.top_artists]
        )
    rows = rows[: params.top_artists]
    compared = CoListening(parts=parts, totals=totals, artists=rows, memory=memory, workers=workers)
    similarity = Similarity(
        artists=parts.artists.iloc[rows].reset_index(drop=True),
        matrix=_scale(compared.matrix(), totals),
    )
    neighbours = _find_neighbours(parts, totals, memory, workers)
    n = len(rows)
    found = neighbours.neighbour
    report = SimilarityReport(
        basket=params.basket,
        measure=params.measure,
        artists=n,
        top_artists=params.top_artists,
        listeners=totals.n_listeners,
        capped_listeners=totals.n_capped,
        similar_pairs=round(float((np.count_nonzero(similarity.matrix) - n) / (n * n - n)), 6),
        all_artists=len(found),
        with_neighbours=int((found[:, 0] >= 0).sum()) if found.size else None,
    )
    return similarity, neighbours, report


def compute_nothing(
    artists: pd.DataFrame, params: SimilarityParams
) -> tuple[Similarity, ListenNeighbours, SimilarityReport]:
    """Give what `compute` does for listens without an artist: tables without rows."""
    nobody = np.empty((0, params.neighbours), np.int32)
    similarity = Similarity(artists=artists, matrix=np.empty((0, 0), np.float32))
    neighbours = ListenNeighbours(
        artists=artists,
        neighbour=nobody,
        similarity=nobody.astype(np.float32),
        listeners=nobody,
        basket=params.basket,
    )
    report = SimilarityReport(
        basket=params.basket,
        measure=params.measure,
        artists=0,
        top_artists=params.top_artists,
        listeners=0,
        capped_listeners=0,
        similar_pairs=0.0,
        all_artists=0,
        with_neighbours=0 if params.neighbours else None,
    )
    return similarity, neighbours, report


def compute_similarity(
    listens: Listens, with_clips: Collection[str], params: SimilarityParams, workers: Workers = 2
) -> Similarity:
    """Compute the similarity of the most listened artists that have clips, in memory.

    Raises
    ------
    DataError
        Fewer than three artists with both listens and clips, or all equally similar.
    """
    alone = params.model_copy(update={"neighbours": 0})
    return compute(in_memory(listens, params.basket), with_clips, alone, UNLIMITED, workers)[0]


def compute_neighbours(
    listens: Listens, params: SimilarityParams, workers: Workers = 2
) -> ListenNeighbours:
    """Find the most similar artists of every artist, in memory."""
    parts = in_memory(listens, params.basket)
    return _find_neighbours(parts, count_totals(parts, params), UNLIMITED, workers)


def _find_neighbours(
    parts: ListensParts, totals: ArtistTotals, memory: int, workers: Workers
) -> ListenNeighbours:
    n_artists, n_neighbours = len(parts.artists), totals.params.neighbours
    artist = np.empty((n_artists, 0), np.int32)
    value, both = artist.astype(np.float32), artist
    if n_neighbours:
        everyone = np.arange(n_artists)
        compared = CoListening(
            parts=parts, totals=totals, artists=everyone, memory=memory, workers=workers
        )
        artist, value, both = compared.nearest(n_neighbours)
    return ListenNeighbours(
        artists=parts.artists,
        neighbour=artist,
        similarity=value,
        listeners=both,
        basket=totals.params.basket,
    )


def _scale(matrix: npt.NDArray[np.floating], totals: ArtistTotals) -> npt.NDArray[np.float32]:
    """Scale in place so that the least similar pair is 0 and the most similar is 1."""
    n = len(matrix)
    # A view without the diagonal: after element 0 it is every (n + 1)-th element.
    others = matrix.reshape(-1)[1:].reshape(n - 1, n + 1)[:, :-1]
    low, high = others.min(), others.max()
    if low == high:
        found = f"every two of {n} artists are equally similar ({low:g})"
        remedy = "bring in more listens"
        params = totals.params
        if params.min_colisteners > 1:
            remedy += f", lower similarity.min_colisteners ({params.min_colisteners})"
        if totals.n_capped:
            found += f", {totals.n_capped} of {totals.n_listeners} listeners capped"
            most = params.max_artists_per_listener
            remedy += f", raise similarity.max_artists_per_listener ({most})"
        expected = "some listeners who share some of the artists"
        raise DataError("similarity", found, expected=expected, remedy=remedy)
    matrix -= low
    matrix /= high - low
    np.fill_diagonal(matrix, 1)
    return matrix.astype(np.float32, copy=False)
