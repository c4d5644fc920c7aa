"""Measures of the similarity of two artists, from their listeners or from sessions.

With n[a] listeners of a, C[a, b] listeners of both, p[a] plays of a, of which P[a, b] come from
listeners of b, and L listeners in all:

========================  =====================================================================
minimum                   C[a, b] / max(n[a], n[b])
asymmetric                C[a, b] / n[a]: the share of the listeners of a (the row, a query) who
                          know b; it favours popular artists
plays_minimum             min(P[a, b] / p[a], P[b, a] / p[b])
cosine                    C[a, b] / sqrt(n[a] n[b])
jaccard                   C[a, b] / (n[a] + n[b] - C[a, b])
pmi                       max(0, log(L C[a, b] / (n[a] n[b]))) C[a, b] / (C[a, b] + shrinkage):
                          how much more often than by chance, shrunk where listeners are few
bm25                      the cosine of the plays weighted by BM25 as in the library implicit: an
                          artist is a document, its listeners are the words
========================  =====================================================================

With basket `session`, sessions take the place of listeners: n, C and L count sessions, P counts
plays in sessions with both. With a `session_contribution` k, a listener counts for at most k
sessions in C[a, b], in n[a] = C[a, a] and in L.

This is the idea of ListenBrainz's similar artists (listenbrainz-server,
`listenbrainz_spark/similarity/artist.py`). Equal is: pairs of artists in one session, of which each
listener counts at most k. Different there: the score is C, not divided by n; C counts pairs of
listens, each in both orders, here sessions; the pause is from the end of a recording (its length
from MusicBrainz, else 180 s), here from its start; recordings without MBID are left out before
sessions are made, here no listen is; a listen is skipped if the next begins more than 30 s
before its recording ends, here by what the player tells (`listens.min_played_seconds`); artists of
one credit are not similar by it; a score must be above a threshold (here
`similarity.min_colisteners`), and each artist keeps a number of others (`similarity.neighbours`).

Zero where C[a, b] < `min_colisteners`. The first three are from N. Allen, "Assessing Music
Similarity Through Deep Learning", 2019. n, p, L and BM25's averages are of all artists in the
listens, so that a similarity does not depend on the number of compared artists.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.sparse import coo_array, csr_array

from twinear.base.params import Params
from twinear.listens.sessions import BasketParams
from twinear.similarity import kernels
from twinear.similarity.kernels import Array
from twinear.similarity.partitions import Baskets, ListensParts, Plays

Measure = Literal["minimum", "asymmetric", "plays_minimum", "cosine", "jaccard", "pmi", "bm25"]

CODES: dict[Measure, int] = {
    "minimum": kernels.MINIMUM,
    "asymmetric": kernels.ASYMMETRIC,
    "plays_minimum": kernels.PLAYS_MINIMUM,
    "cosine": kernels.COSINE,
    "jaccard": kernels.JACCARD,
    "pmi": kernels.PMI,
    "bm25": kernels.BM25,
}
KINDS: dict[Measure, int] = {"plays_minimum": kernels.SHARED, "bm25": kernels.PRODUCT}


class BM25Params(Params):
    """Saturation of plays (k1) and normalisation by an artist's plays (b)."""

    k1: float = Field(gt=0)
    b: float = Field(ge=0, le=1)


class SimilarityParams(BasketParams):
    """The measure of similarity, and the artists that are compared.

    With basket `session`, listeners are sessions in all but `session_contribution`.

    Parameters
    ----------
    session_contribution
        Of a listener's sessions at most so many count for an artist or a pair; 0: all. For
        measures that do not count plays.
    top_artists
        The number of artists compared with each other: those with most listeners that have clips.
    neighbours
        The number of most similar artists kept for every artist in the listens; 0 for none.
    dense_below
        From so many compared artists on, only these neighbours' similarities are kept.
    min_colisteners
        Two artists with fewer listeners in common have similarity 0.
    max_artists_per_listener
        A listener with more artists counts only for the most played of them.
    pmi_shrinkage
        In listeners.
    """

    session_contribution: int = Field(ge=0)
    measure: Measure
    top_artists: int = Field(ge=3)
    neighbours: int = Field(ge=0)
    dense_below: int = Field(ge=0)
    min_colisteners: int = Field(ge=1)
    max_artists_per_listener: int = Field(ge=2)
    pmi_shrinkage: float = Field(ge=0)
    bm25: BM25Params

    @property
    def most(self) -> int:
        """How often a listener counts for a pair at most; 0: without limit."""
        return self.session_contribution if self.basket == "session" else 0

    @model_validator(mode="after")
    def _can_be_capped(self) -> Self:
        if self.most and self.measure in KINDS:
            raise ValueError(
                f"session_contribution 0 with measure {self.measure}, which counts plays"
            )
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class ArtistTotals:
    """What the measures need to know of all artists."""

    params: SimilarityParams
    listeners: Array  # n, (artists,), int64
    plays: Array  # p, (artists,), int64
    norm: Array  # of BM25's weights, (artists,), float64; empty for other measures
    n_listeners: int  # L; sessions if these are the baskets, as in all other fields
    n_capped: int  # listeners with more than `max_artists_per_listener` artists

    @property
    def kind(self) -> int:
        """Which sums the measure needs."""
        if self.params.most:
            return kernels.CAPPED
        return KINDS.get(self.params.measure, kernels.COUNTS)

    def terms(self, artists: Array) -> kernels.MeasureTerms:
        """Select what the kernels need to compare some artists."""
        return kernels.MeasureTerms(
            CODES[self.params.measure],
            self.params.min_colisteners,
            self.listeners[artists].astype(np.float64),
            self.plays[artists].astype(np.float64),
            float(self.n_listeners),
            self.params.pmi_shrinkage,
        )

    def weights(self, baskets: Baskets, artists: Array) -> Plays:
        """Turn plays, (baskets, all artists), into whole-number weights of some artists.

        `artists` rise. Returns (baskets, len(artists)): 1 where only baskets count, plays, BM25's
        weights times 2**UNIT, or the numbers of the listeners times 2**32. Artists rise within a
        row.
        """
        plays = capped(baskets.plays, self.params.max_artists_per_listener)
        weights = plays.data
        if self.kind == kernels.COUNTS:
            weights = np.ones(plays.nnz, np.int8)
        elif self.kind == kernels.PRODUCT:
            shares = _bm25_weights(plays, self) / self.norm[plays.indices]
            weights = np.rint(shares * 2.0**kernels.UNIT).astype(np.int64)
        elif self.kind == kernels.CAPPED:
            weights = np.repeat(baskets.listener.astype(np.int64) << 32, np.diff(plays.indptr))
        weighted: Plays = csr_array((weights, plays.indices, plays.indptr), shape=plays.shape)
        return weighted if len(artists) == plays.shape[1] else weighted[:, artists]


def count_totals(parts: ListensParts, params: SimilarityParams) -> ArtistTotals:
    """Count what the measure needs to know of every artist."""
    n_artists = len(parts.artists)
    listeners, plays = (np.zeros(n_artists, np.int64) for _ in range(2))
    n_listeners = n_capped = 0
    for part in parts:
        counted = capped(part.plays, params.max_artists_per_listener)
        np.add.at(plays, counted.indices, counted.data)
        n_capped += int((np.diff(part.plays.indptr) > params.max_artists_per_listener).sum())
        if params.most:
            n_baskets = np.unique(part.listener, return_counts=True)[1]  # of each listener
            n_listeners += int(np.minimum(n_baskets, params.most).sum())
            counted = _contributions(counted, part.listener, params.most)
            np.add.at(listeners, counted.indices, counted.data)
        else:
            n_listeners += counted.shape[0]
            listeners += np.bincount(counted.indices, minlength=n_artists)
    totals = ArtistTotals(
        params=params,
        listeners=listeners,
        plays=plays,
        norm=np.empty(0),
        n_listeners=n_listeners,
        n_capped=n_capped,
    )
    if totals.kind != kernels.PRODUCT:
        return totals
    squares = np.zeros(n_artists)
    for part in parts:  # in the order of the listeners: the same bits for any parts
        counted = capped(part.plays, params.max_artists_per_listener)
        np.add.at(squares, counted.indices, _bm25_weights(counted, totals) ** 2)
    return replace(totals, norm=np.sqrt(np.where(squares > 0, squares, 1)))


def capped(plays: Plays, most: int) -> Plays:
    """Keep the artists that each listener played most; the same object if no listener has more.

    Examples
    --------
    >>> capped(csr_array([[5, 9, 1], [0, 2, 0]]), most=2).toarray()
    array([[5, 9, 0],
           [0, 2, 0]])
    """
    if np.diff(plays.indptr).max(initial=0) <= most:
        return plays
    keep = kernels.most_played(plays.indptr, plays.indices, plays.data, most)
    starts = np.concatenate([[0], np.cumsum(keep)])[plays.indptr]
    return csr_array((plays.data[keep], plays.indices[keep], starts), shape=plays.shape)


def _contributions(plays: Plays, listener: Array, most: int) -> Plays:
    """Count the baskets of every listener with every artist, at most `most`.

    Examples
    --------
    >>> plays = csr_array([[5, 9, 0], [0, 2, 0], [0, 1, 0], [7, 0, 1]])
    >>> _contributions(plays, np.array([0, 0, 0, 1]), most=2).toarray()
    array([[1, 2, 0],
           [1, 0, 1]])
    """
    row = np.repeat(listener - listener[0], np.diff(plays.indptr))
    ones = np.ones(plays.nnz, np.int64)
    shape = int(row.max(initial=-1)) + 1, plays.shape[1]
    counts: Plays = coo_array((ones, (row, plays.indices)), shape=shape).tocsr()
    counts.data = np.minimum(counts.data, most)
    return counts


def _bm25_weights(plays: Plays, totals: ArtistTotals) -> Array:
    """Return BM25's weight of every entry."""
    k1, b = totals.params.bm25.k1, totals.params.bm25.b
    n_artists = np.diff(plays.indptr)  # of each listener
    rarity = np.log(plays.shape[1]) - np.log1p(n_artists)
    length = 1 - b + b * totals.plays / totals.plays.mean()
    counts = plays.data
    weights: Array = counts * (k1 + 1) / (k1 * length[plays.indices] + counts)
    weights *= np.repeat(rarity, n_artists)
    return weights
