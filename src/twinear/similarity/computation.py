"""Listens -> the similarity of the most listened artists, and the neighbours of all artists."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array, csr_array, eye_array

from twinear.base.errors import DataError, ParamsError
from twinear.compute.pool import Workers
from twinear.listens.listens import Listens
from twinear.similarity.cooccurrence import CoListening
from twinear.similarity.kernels import Nearest
from twinear.similarity.measures import ArtistTotals, SimilarityParams, count_totals
from twinear.similarity.neighbours import ListenNeighbours
from twinear.similarity.partitions import ListensParts, in_memory
from twinear.similarity.similarity import Similarity, SimilarityMatrix

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
        The share of the pairs of compared artists that are more similar than the least similar; of
        `similarity.dense_below` artists or more, of the neighbours that were kept.
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
    *,
    of_all: bool = True,
) -> tuple[Similarity, ListenNeighbours, SimilarityReport]:
    """Compute the similarity of the artists with clips, and the neighbours of all artists.

    Parameters
    ----------
    with_clips
        Ids of the artists that have clips.
    memory
        Bytes to keep to, where the listens come in parts.
    of_all
        Find the neighbours of all artists; otherwise of none.

    Raises
    ------
    DataError
        Fewer than three artists with both listens and clips, or all equally similar.
    ParamsError
        Too many artists to compare all pairs, and no neighbours are asked for.
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
        matrix=_compare(compared),
    )
    n_neighbours = params.neighbours if of_all else 0
    neighbours = _find_neighbours(parts, totals, n_neighbours, memory, workers)
    n, found = len(rows), neighbours.neighbour
    matrix = similarity.matrix
    n_similar = np.count_nonzero(matrix) if isinstance(matrix, np.ndarray) else matrix.nnz
    report = SimilarityReport(
        basket=params.basket,
        measure=params.measure,
        artists=n,
        top_artists=params.top_artists,
        listeners=totals.n_listeners,
        capped_listeners=totals.n_capped,
        similar_pairs=round(float((n_similar - n) / (n * n - n)), 6),
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
    parts = in_memory(listens, params.basket)
    return compute(parts, with_clips, params, UNLIMITED, workers, of_all=False)[0]


def compute_neighbours(
    listens: Listens, params: SimilarityParams, workers: Workers = 2
) -> ListenNeighbours:
    """Find the most similar artists of every artist, in memory."""
    parts = in_memory(listens, params.basket)
    totals = count_totals(parts, params)
    return _find_neighbours(parts, totals, params.neighbours, UNLIMITED, workers)


def _find_neighbours(
    parts: ListensParts, totals: ArtistTotals, n_neighbours: int, memory: int, workers: Workers
) -> ListenNeighbours:
    n_artists = len(parts.artists)
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


def _compare(compared: CoListening) -> SimilarityMatrix:
    """Compare all pairs, or the neighbours only where there are too many."""
    params, n_artists = compared.totals.params, len(compared.artists)
    if n_artists < params.dense_below:
        return _scale(compared.matrix(), compared.totals)
    if not params.neighbours:
        raise ParamsError(
            "params.yaml: similarity.neighbours",
            f"found 0 with {n_artists} artists to compare",
            expected=f"neighbours, from similarity.dense_below ({params.dense_below}) artists on",
            remedy="set it to 100, or lower similarity.top_artists",
        )
    return _join_neighbours(compared.nearest(params.neighbours), compared)


def _join_neighbours(nearest: Nearest, compared: CoListening) -> csr_array:
    """Keep a pair if one of the two is a neighbour of the other, scaled as `_scale` does."""
    neighbour, value, _ = nearest
    n = len(neighbour)
    row, column = np.nonzero(neighbour >= 0)
    artist, other = row.astype(np.int32), neighbour[row, column]
    values = value[row, column]
    back = values
    if compared.totals.params.measure == "asymmetric":  # C / n[artist] becomes C / n[other]
        listeners = compared.totals.listeners[compared.artists]
        back = (values * (listeners[artist] / listeners[other])).astype(np.float32)
    one_way, other_way = (
        coo_array((entries, at), shape=(n, n)).tocsr()
        for entries, at in ((values, (artist, other)), (back, (other, artist)))
    )
    matrix = one_way.maximum(other_way)
    everyone = matrix.nnz == n * n - n
    low = matrix.data.min() if everyone else 0  # an absent pair has similarity 0
    high = matrix.data.max(initial=0)
    if low == high:
        raise _all_alike(n, high, compared.totals)
    matrix.data = (matrix.data - low) / np.float32(high - low)
    joined: csr_array = (matrix + eye_array(n, dtype=np.float32)).tocsr()
    joined.sort_indices()
    return joined


def _scale(matrix: npt.NDArray[np.floating], totals: ArtistTotals) -> npt.NDArray[np.float32]:
    """Scale in place so that the least similar pair is 0 and the most similar is 1."""
    n = len(matrix)
    # A view without the diagonal: after element 0 it is every (n + 1)-th element.
    others = matrix.reshape(-1)[1:].reshape(n - 1, n + 1)[:, :-1]
    low, high = others.min(), others.max()
    if low == high:
        raise _all_alike(n, low, totals)
    matrix -= low
    matrix /= high - low
    np.fill_diagonal(matrix, 1)
    return matrix.astype(np.float32, copy=False)


def _all_alike(n_artists: int, value: float, totals: ArtistTotals) -> DataError:
    found = f"every two of {n_artists} artists are equally similar ({value:g})"
    remedy = "bring in more listens"
    params = totals.params
    if params.min_colisteners > 1:
        remedy += f", lower similarity.min_colisteners ({params.min_colisteners})"
    if totals.n_capped:
        found += f", {totals.n_capped} of {totals.n_listeners} listeners capped"
        most = params.max_artists_per_listener
        remedy += f", raise similarity.max_artists_per_listener ({most})"
    expected = "some listeners who share some of the artists"
    return DataError("similarity", found, expected=expected, remedy=remedy)
