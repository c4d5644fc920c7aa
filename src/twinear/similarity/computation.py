"""Listens -> the similarity of the most listened artists, and the neighbours of all artists."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError
from twinear.compute.pool import Workers
from twinear.listens.listens import Listens
from twinear.similarity.cooccurrence import Counting
from twinear.similarity.measures import Facts, SimilarityParams, gather_facts
from twinear.similarity.neighbours import Neighbours
from twinear.similarity.partitions import ListensParts, in_memory
from twinear.similarity.similarity import Similarity

AMPLE = 2**40  # bytes: listens that are in memory already need no blocks


@dataclass(frozen=True, kw_only=True)
class SimilarityReport:
    """What was compared.

    Parameters
    ----------
    artists
        How many were compared each with each; fewer than `top_artists` where fewer have both
        listens and clips.
    listeners
        In the listens.
    capped_listeners
        Of whom only the most played artists count.
    similar_pairs
        The share of the pairs of compared artists that are more similar than the least.
    all_artists
        Artists in the listens.
    with_neighbours
        Of these, how many have a neighbour; None where none were asked for.
    """

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
) -> tuple[Similarity, Neighbours, SimilarityReport]:
    """Compute both.

    Parameters
    ----------
    with_clips
        Ids of the artists that have clips.
    memory
        Bytes to keep to, where the listens come in parts.
    workers
        Threads of this machine, or the address of a Dask cluster.

    Raises
    ------
    DataError
        Fewer than three artists with both listens and clips, or all equally similar.
    """
    rows = _chosen(parts, with_clips, params)
    facts = gather_facts(parts, params)
    counting = Counting(parts=parts, facts=facts, artists=rows, memory=memory, workers=workers)
    similarity = Similarity(
        artists=parts.artists.iloc[rows].reset_index(drop=True),
        matrix=_scaled(counting.matrix(), facts),
    )
    neighbours = _neighbours(parts, facts, memory, workers)
    return similarity, neighbours, _report(similarity, neighbours, facts)


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
    return compute(in_memory(listens), with_clips, alone, AMPLE, workers)[0]


def compute_neighbours(
    listens: Listens, params: SimilarityParams, workers: Workers = 2
) -> Neighbours:
    """Find the most similar artists of every artist, in memory."""
    parts = in_memory(listens)
    return _neighbours(parts, gather_facts(parts, params), AMPLE, workers)


def _chosen(
    parts: ListensParts, with_clips: Collection[str], params: SimilarityParams
) -> npt.NDArray[np.int64]:
    """Rows of the artists to be compared."""
    rows = np.flatnonzero(parts.artists["artist"].isin(list(with_clips)))[: params.top_artists]
    if len(rows) < 3:
        raise DataError(
            "similarity",
            f"{len(rows) or 'no'} artist{'s have' if len(rows) > 1 else ' has'} both "
            f"listens and clips ({len(parts.artists)} have listens, {len(with_clips)} clips)",
            expected="3 or more",
            remedy="name them in clips.csv as the listens do, or lower listens.min_listeners",
        )
    return rows


def _scaled(matrix: npt.NDArray[np.floating], facts: Facts) -> npt.NDArray[np.float32]:
    """Scale in place so that the least similar pair is 0 and the most similar is 1."""
    n = len(matrix)
    others = matrix.reshape(-1)[1:].reshape(n - 1, n + 1)[:, :-1]  # all but the diagonal
    low, high = others.min(), others.max()
    if low == high:
        raise DataError(
            "similarity",
            f"every two of {n} artists are equally similar ({low:g}){_restrained(facts)}",
            expected="some listeners who share some of the artists",
            remedy="bring in more listens" + _relief(facts),
        )
    matrix -= low
    matrix /= high - low
    np.fill_diagonal(matrix, 1)
    return matrix.astype(np.float32, copy=False)


def _restrained(facts: Facts) -> str:
    if not facts.n_capped:
        return ""
    return f", {facts.n_capped} of {facts.n_listeners} listeners capped"


def _relief(facts: Facts) -> str:
    """Which params may have left nothing to compare."""
    relief = ""
    if facts.params.min_colisteners > 1:
        relief += f", lower similarity.min_colisteners ({facts.params.min_colisteners})"
    if facts.n_capped:
        most = facts.params.max_artists_per_listener
        relief += f", raise similarity.max_artists_per_listener ({most})"
    return relief


def _neighbours(parts: ListensParts, facts: Facts, memory: int, workers: Workers) -> Neighbours:
    everyone = np.arange(len(parts.artists))
    counting = Counting(parts=parts, facts=facts, artists=everyone, memory=memory, workers=workers)
    n = facts.params.neighbours
    empty = np.empty((len(everyone), 0))
    artist, value, both = (
        counting.best(n) if n else (empty.astype(np.int32), empty.astype(np.float32), empty)
    )
    return Neighbours(
        artists=parts.artists,
        neighbour=artist,
        similarity=value,
        listeners=both.astype(np.int32, copy=False),
    )


def _report(similarity: Similarity, neighbours: Neighbours, facts: Facts) -> SimilarityReport:
    n = len(similarity.artists)
    found = neighbours.neighbour
    return SimilarityReport(
        measure=facts.params.measure,
        artists=n,
        top_artists=facts.params.top_artists,
        listeners=facts.n_listeners,
        capped_listeners=facts.n_capped,
        similar_pairs=round(float((np.count_nonzero(similarity.matrix) - n) / (n * n - n)), 6),
        all_artists=len(found),
        with_neighbours=int((found[:, 0] >= 0).sum()) if found.size else None,
    )
