"""Deletion test: an explanation has to say what the network does.

An explanation names the block of statistics that contributes most to the score of two clips. If it
is faithful, the score falls more when this block is removed from both clips than when another one
is (after Samek et al., "Evaluating the visualization of what a deep neural network has learned",
IEEE TNNLS 28, 2017). A block is removed by setting its statistics to the mean of the training
clips; the network brings the rest back to its length. The contributions are computed without that
last step, so that the test can fail.

What it does not show: that a person would give the same reasons.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinear.catalogue.building import ScoredArtists
from twinear.catalogue.encoded import evenly_spaced
from twinear.metrics.bootstrap import Interval, bootstrap, resamples
from twinear.model.decomposition import Floats, Ints, decompose, split_logits
from twinear.model.heads import Cosine
from twinear.model.scorer import Scorer
from twinear.spectrograms.spectrograms import Spectrograms

N_BOOTSTRAP, CONFIDENCE = 2000, 0.95
MOST = 500  # clips that are paired


@dataclass(frozen=True, kw_only=True)
class DeletionTest:
    """How much the logit falls when a block of statistics is removed from both clips.

    Attributes
    ----------
    pairs
        Number of pairs of clips.
    top, other, bottom
        Mean fall without the block that contributes most; without one of the others, drawn at
        random (the expected value); without the one that contributes least. A negative fall is a
        rise.
    largest
        Mean of the largest fall without any one block: `top` can be no larger.
    top_minus_other
        Mean difference: above 0 for a faithful explanation, 0 for a random one.
    top_over_other
        Share of the pairs and the other blocks for which the fall without the top block is larger;
        0.5 for a random explanation.
    """

    pairs: int
    top: Interval
    other: Interval
    bottom: Interval
    largest: Interval
    top_minus_other: Interval
    top_over_other: Interval


def deletion_test(
    scorer: Scorer, spectrograms: Spectrograms, pairs: Ints, seed: int
) -> DeletionTest | None:
    """Remove blocks of statistics from pairs of clips, and compare what the logit loses.

    Parameters
    ----------
    pairs
        (pairs, 2), rows of `spectrograms`; `nearest_pairs` gives those that people ask about.
    seed
        Of the bootstrap.

    Returns
    -------
    The result; None where there are no pairs, where the scorer has no two blocks to compare, or
    another head than the cosine.

    Raises
    ------
    DataError
        The spectrograms are of another front end than the scorer's.
    """
    taken = scorer.for_front_end(spectrograms)
    branch = scorer.net.statistics
    if not isinstance(scorer.net.head, Cosine) or branch is None or len(branch.names) < 2:
        return None
    if not len(pairs):
        return None
    rows, among = np.unique(pairs, return_inverse=True)
    some = taken.select(rows)
    known = None if some.compact is None else np.asarray(some.compact.statistics)
    parts = decompose(scorer, np.asarray(some.values), some.joined, known)
    among = among.reshape(pairs.shape)  # the pairs as rows of `parts`
    contributions = split_logits(parts, among).contributions[:, : len(parts.blocks)]
    whole = parts.logits(among)
    falls = np.stack([whole - parts.logits(among, without=name) for name in parts.blocks], axis=1)
    return compare_falls(contributions, falls, pairs[:, 0], seed)


def compare_falls(contributions: Floats, falls: Floats, queries: Ints, seed: int) -> DeletionTest:
    """Compare the falls of the logit without each block, (pairs, blocks), by contribution.

    `queries`, (pairs,), is what the resamples draw: pairs with the same query stay together.

    Examples
    --------
    >>> contributions = np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    >>> test = compare_falls(contributions, contributions, np.arange(2), seed=1)
    >>> test.top_minus_other.value, test.top_over_other.value
    (1.5, 1.0)
    """
    pairs, n_blocks = np.arange(len(falls)), falls.shape[1]
    top = falls[pairs, contributions.argmax(axis=1)]
    bottom = falls[pairs, contributions.argmin(axis=1)]
    other = (falls.sum(axis=1) - top) / (n_blocks - 1)
    over = (top[:, None] > falls).sum(axis=1) / (n_blocks - 1)
    columns = np.stack([top, other, bottom, falls.max(axis=1), top - other, over], axis=1)
    names, index, counts = np.unique(queries, return_inverse=True, return_counts=True)
    by_query = np.zeros((len(names), columns.shape[1]))
    np.add.at(by_query, index, columns)
    drawn = resamples(len(names), N_BOOTSTRAP, np.random.default_rng(seed))
    intervals = bootstrap(by_query / counts[:, None], drawn, CONFIDENCE)
    return DeletionTest(
        pairs=len(falls),
        top=intervals[0],
        other=intervals[1],
        bottom=intervals[2],
        largest=intervals[3],
        top_minus_other=intervals[4],
        top_over_other=intervals[5],
    )


def nearest_pairs(
    scorer: Scorer, spectrograms: Spectrograms, artists: ScoredArtists, rows: npt.ArrayLike
) -> Ints:
    """Pair clips of some artists with the clip of another artist that scores highest.

    Parameters
    ----------
    artists
        All artists, with the embeddings of the spectrograms' clips.
    rows
        Rows of the artists whose clips are paired; of more than `MOST` clips, evenly spaced ones.

    Returns
    -------
    (pairs, 2): rows of `spectrograms`; none where there is no other artist.
    """
    if len(artists.encoded) < 2:
        return np.empty((0, 2), np.int64)
    embeddings = artists.encoded.embeddings
    artist_index = np.repeat(np.arange(len(artists.encoded)), artists.encoded.clip_counts)
    queries = evenly_spaced(np.flatnonzero(np.isin(artist_index, rows)), MOST)
    nearest = np.empty(len(queries), np.int64)
    for nth, query in enumerate(queries):
        scores = scorer.score(embeddings[[query]], embeddings)[0]
        scores[artist_index == artist_index[query]] = -1
        nearest[nth] = scores.argmax()
    # the embeddings are sorted by artist
    files = {file: row for row, file in enumerate(spectrograms.clips["file"])}
    order = np.array([files[file] for file in artists.clips["file"]], dtype=np.int64)
    return order[np.stack([queries, nearest], axis=1)]
