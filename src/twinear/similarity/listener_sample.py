"""Similarity from some of the listeners only, to ask how much a number of listeners know.

A sample of the listeners is read once, and only these: memory and time are bounded by its size,
whatever the size of the listens. `ListenerSample.compare` then compares artists by the listens of
any of them, by the same measures as the similarity itself. With basket `session` a sampled listener
comes with all sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from scipy.sparse import csr_array

from twinear.artists.identity import read_artists
from twinear.base.checksums import verify_checksums
from twinear.base.files import require
from twinear.listens.plays import AGAIN, BASKETS, group_plays, not_plays
from twinear.similarity.cooccurrence import CoListening
from twinear.similarity.kernels import Array
from twinear.similarity.measures import SimilarityParams, count_totals
from twinear.similarity.partitions import Baskets, ListensParts

UNLIMITED = 2**40  # bytes: a sample is in memory already


@dataclass(frozen=True, kw_only=True)
class SampleSimilarity:
    """The similarity of some artists by some listeners."""

    matrix: Array  # (artists, artists), float64 in [0, 1]; all 0 if no two share a listener
    listeners: Array  # (artists,): of these listeners, how many know each


@dataclass(frozen=True, kw_only=True, eq=False)
class ListenerSample:
    """The listens of some listeners.

    Attributes
    ----------
    artists
        All artists in the listens, as `Listens.artists`.
    baskets
        Plays, (baskets, artists); the listeners are numbered from 0 to `n_sampled` - 1.
    n_sampled, n_listeners
        Listeners in the sample and in the listens.
    """

    artists: pd.DataFrame
    baskets: Baskets
    n_sampled: int
    n_listeners: int
    params: SimilarityParams

    def compare(self, ids: Sequence[str], listeners: Array) -> SampleSimilarity:
        """Compare the artists with these ids by the listens of some listeners of the sample.

        An artist that is not in the listens is similar to none.
        """
        found = pd.Index(self.artists["artist"]).get_indexer(pd.Index(ids))
        known = np.flatnonzero(found >= 0)
        known = known[np.argsort(found[known])]  # rows have to rise
        chosen = np.zeros(self.n_sampled, np.bool_)
        chosen[listeners] = True
        rows = np.flatnonzero(chosen[self.baskets.listener])
        matrix, counts = np.zeros((len(ids), len(ids))), np.zeros(len(ids), np.int64)
        if not len(rows) or not len(known):
            return SampleSimilarity(matrix=matrix, listeners=counts)
        baskets = Baskets(
            plays=csr_array(self.baskets.plays[rows]), listener=self.baskets.listener[rows]
        )
        parts = ListensParts(artists=self.artists, parts=(baskets,))
        totals = count_totals(parts, self.params)
        compared = CoListening(
            parts=parts, totals=totals, artists=found[known], memory=UNLIMITED, workers=1
        )
        values = compared.matrix()
        largest = values.max(initial=0)
        if largest > 0:
            matrix[np.ix_(known, known)] = values / largest
        counts[known] = totals.listeners[found[known]]
        return SampleSimilarity(matrix=matrix, listeners=counts)


def read_listener_sample(
    folder: Path, params: SimilarityParams, most: int, generator: np.random.Generator
) -> ListenerSample:
    """Read the listens of at most `most` listeners, drawn at random, from a folder of listens.

    Raises
    ------
    DataError
        Missing or unreadable listens.
    """
    artists = read_artists(folder / "artists.csv", AGAIN)
    path = require(folder / BASKETS[params.basket], AGAIN)
    verify_checksums(folder, [path.name], AGAIN)
    try:
        plays = pl.scan_parquet(path, glob=False)
        last, n_rows = plays.select(pl.col("listener").max(), pl.len()).collect().row(0)
        n_listeners = int(last) + 1
        if n_listeners > n_rows:
            raise ValueError("more listeners than plays")
        n_sampled = min(most, n_listeners)
        drawn = np.sort(generator.permutation(n_listeners)[:n_sampled])
        if n_sampled < n_listeners:
            plays = plays.filter(pl.col("listener").is_in(drawn.tolist()))
        table = plays.collect()
        columns = {column: table[column].to_numpy() for column in table.columns}
        matrix, listener = group_plays(columns, params.basket, len(artists))
    except (pl.exceptions.PolarsError, KeyError, ValueError, TypeError) as error:
        raise not_plays(path, error) from error
    of_basket = np.searchsorted(drawn, listener)
    return ListenerSample(
        artists=artists,
        baskets=Baskets(plays=matrix, listener=of_basket),
        n_sampled=n_sampled,
        n_listeners=n_listeners,
        params=params,
    )
