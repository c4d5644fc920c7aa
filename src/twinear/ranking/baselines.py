"""What a trained system must beat: popularity, spectrogram distance, MFCC Gaussians.

Every baseline is a matrix (artists, artists) of scores, higher is more similar, or, where some
artists are queries, (queries, artists); the score of two artists is the mean over their clip pairs.
None of them is trained, so that every clip may take part: mutual proximity reads the distances
among all artists, never their listens.

- `popularity`: the candidate's listeners, the same for every query. It needs no audio, and it
  uses the listeners that the truth is computed from: a new artist has none.
- `l2`: minus the L2 distance of the spectrograms, the baseline of the 2019 project.
- `mfcc`: a Gaussian of the MFCC frames of each clip, minus the symmetric Kullback-Leibler
  divergence (Mandel and Ellis, "Song-level features and support vector machines for music
  classification", ISMIR 2005).
- `mfcc_mp`: empirical mutual proximity of the `mfcc` distances, which reduces hubness (Schnitzer,
  Flexer, Schedl and Widmer, "Local and global scaling reduce hubs in space", JMLR 13, 2012).

Distances are matrix products over blocks of clips. Besides the spectrograms in float32, memory
grows with clips x artists, never with pairs of clips. With queries it grows with queries x artists,
and spectrograms are read block by block, as often as there are blocks of clips of queries. The
diagonal has no meaning: no artist is its own candidate.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from twinear.base.errors import DataError
from twinear.metrics.ranking_metrics import Floats, Ints

BLOCK = 512  # clips at a time
PAIRS = 2**24  # of clips of queries and others that are in memory
RIDGE = 1e-3  # of the mean variance of each coefficient, added to every clip's covariance


def popularity(listeners: npt.ArrayLike, queries: Ints | None = None) -> Floats:
    """Score every candidate by its listeners, (artists,), whatever the query."""
    counts = np.asarray(listeners, dtype=np.float64)
    n_queries = len(counts) if queries is None else len(queries)
    return np.broadcast_to(counts, (n_queries, len(counts)))


def l2(
    spectrograms: npt.NDArray[np.floating], artist_index: Ints, queries: Ints | None = None
) -> Floats:
    """Score artists by minus the mean L2 distance of their clips' spectrograms.

    `spectrograms`, (clips, n_mels, n_frames), may be a memory map; `artist_index`, (clips,), is the
    artist of each clip, from 0; every artist has at least one.
    """
    blocks = _blocks(artist_index)
    middle = np.mean([_flat(spectrograms, rows).mean(axis=0) for rows in blocks], axis=0)
    # |a - b|^2 = |a|^2 + |b|^2 - 2 ab loses digits where |a|, |b| are large: centre first.
    centred = (_flat(spectrograms, rows) - middle for rows in blocks)
    if queries is not None:

        def distance_of_queries(rows: Ints) -> Floats:
            some = _flat(spectrograms, rows) - middle
            of_some, found = (some**2).sum(axis=1)[:, None], []
            for other in blocks:
                block = _flat(spectrograms, other) - middle
                squared = of_some + (block**2).sum(axis=1) - 2 * some @ block.T
                found.append(np.sqrt(np.maximum(squared, 0)))
            return np.asarray(np.hstack(found), dtype=np.float64)

        return -_mean_over_queries(distance_of_queries, artist_index, queries)
    kept = list(centred)
    squares = np.concatenate([(block**2).sum(axis=1) for block in kept])

    def distance(rows: slice) -> Floats:
        products = [kept[rows.start // BLOCK] @ block.T for block in kept]
        squared = squares[rows, None] + squares - 2 * np.hstack(products)
        return np.asarray(np.sqrt(np.maximum(squared, 0)), dtype=np.float64)

    return -_mean_over_clip_pairs(distance, artist_index)


def mfcc(
    mean: npt.ArrayLike,
    covariance: npt.ArrayLike,
    artist_index: Ints,
    queries: Ints | None = None,
) -> Floats:
    """Score artists by minus the mean symmetric KL divergence of their clips' MFCC Gaussians.

    KL(p, q) + KL(q, p) = (tr(P S_q) + tr(Q S_p) + (m_p - m_q)' (P + Q) (m_p - m_q)) / 2 - d for
    covariances S and their inverses P, Q. Written out, it is a sum of products of a term of one
    clip and a term of the other, so that two matrix products give all pairs.

    `mean` is (clips, n_mfcc), `covariance` (clips, n_mfcc, n_mfcc), made regular by adding `RIDGE`
    times the clips' mean variances; `artist_index` as in `l2`.
    """
    means, covariances = np.asarray(mean, dtype=np.float64), np.asarray(covariance)
    n_clips, n_mfcc = means.shape
    means = means - means.mean(axis=0)  # keeps the products small
    variances = np.diagonal(covariances, axis1=1, axis2=2).astype(np.float64)
    ridge = np.diag(RIDGE * variances.mean(axis=0))
    left, right = (np.empty((n_clips, n_mfcc * n_mfcc + n_mfcc + 1)) for _ in range(2))
    for rows in _blocks(artist_index):
        centred, regular = means[rows], covariances[rows].astype(np.float64) + ridge
        inverse = np.linalg.inv(regular)
        inverse_mean = np.einsum("cij,cj->ci", inverse, centred)
        moment = regular + centred[:, :, None] * centred[:, None, :]
        norm = (centred * inverse_mean).sum(axis=1, keepdims=True)
        # left[p] @ right[q] = tr((S_p + m_p m_p') Q) - 2 m_p' Q m_q + m_q' Q m_q
        n, one = len(centred), np.ones((len(centred), 1))
        left[rows] = np.hstack([moment.reshape(n, -1), -2 * centred, one])
        right[rows] = np.hstack([inverse.reshape(n, -1), inverse_mean, norm])

    def divergence(rows: slice | Ints) -> Floats:
        both_ways = left[rows] @ right.T + right[rows] @ left.T
        return np.asarray(np.maximum(both_ways / 2 - n_mfcc, 0))

    if queries is not None:
        return -_mean_over_queries(divergence, artist_index, queries)
    return -_mean_over_clip_pairs(divergence, artist_index)


def mutual_proximity(scores: Floats) -> Floats:
    """Score two artists by the share of the others that are less similar to both of them.

    The scores, (artists, artists), are symmetric; so is the result, in [0, 1].
    """
    n_artists = len(scores)
    near = scores.copy()
    np.fill_diagonal(near, np.inf)  # no artist is an "other" of itself
    proximity = np.zeros((n_artists, n_artists))
    for artist in range(n_artists):
        later = slice(artist + 1, None)
        farther = (near[artist] < near[artist, later, None]) & (near[later] < near[later, [artist]])
        proximity[artist, later] = np.count_nonzero(farther, axis=1)
    return (proximity + proximity.T) / max(n_artists - 2, 1)


def mutual_proximity_of_queries(
    scores: Floats, of_queries: Floats, of_candidates: Floats
) -> Floats:
    """Do the same for some queries, with some artists as the others, (queries, candidates).

    Parameters
    ----------
    scores
        (queries, candidates).
    of_queries, of_candidates
        Their scores to the others, (queries, others) and (candidates, others); infinite where an
        artist is one of them itself.
    """
    proximity = np.empty(scores.shape)
    n_others = np.isfinite(of_candidates).sum(axis=1)
    for query, (row, near) in enumerate(zip(scores, of_queries, strict=True)):
        farther = (near < row[:, None]) & (of_candidates < row[:, None])
        itself = np.count_nonzero(np.isinf(near))
        proximity[query] = np.count_nonzero(farther, axis=1) / np.maximum(n_others - itself, 1)
    return proximity


def _mean_over_queries(
    distance: Callable[[Ints], Floats], artist_index: Ints, queries: Ints
) -> Floats:
    """Average `distance(rows)`, (rows, clips), to (queries, artists), a block of rows at a time."""
    mean = _mean_by_artist(artist_index)
    total = np.zeros((len(queries), mean.shape[0]))
    position = np.full(mean.shape[0], -1)
    position[queries] = np.arange(len(queries))
    of_queries = np.flatnonzero(position[artist_index] >= 0)
    n_clips = np.bincount(artist_index)
    step = min(BLOCK, max(PAIRS // len(artist_index), 1))
    for start in range(0, len(of_queries), step):
        rows = of_queries[start : start + step]
        of_artists = np.asarray(mean @ distance(rows).T).T  # (rows, artists)
        artist = artist_index[rows]
        np.add.at(total, position[artist], of_artists / n_clips[artist, None])
    return total


def _mean_over_clip_pairs(distance: Callable[[slice], Floats], artist_index: Ints) -> Floats:
    """Average `distance(rows)`, (rows, clips), to (artists, artists), a block of rows at a time."""
    mean = _mean_by_artist(artist_index)
    rows = [np.asarray(mean @ distance(at).T).T for at in _blocks(artist_index)]  # (rows, artists)
    matrix = mean @ np.vstack(rows)  # (artists, artists)
    return np.asarray((matrix + matrix.T) / 2)


def _mean_by_artist(artist_index: Ints) -> csr_array:
    n_clips = np.bincount(artist_index)
    if not n_clips.all():
        place = f"artist {np.flatnonzero(n_clips == 0)[0]}"
        raise DataError(place, "has no clip", expected="at least one for each artist")
    where = (artist_index, np.arange(len(artist_index)))
    return csr_array((1 / n_clips[artist_index], where), shape=(len(n_clips), len(artist_index)))


def _blocks(artist_index: Ints) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, len(artist_index), BLOCK)]


def _flat(spectrograms: npt.NDArray[np.floating], rows: slice | Ints) -> npt.NDArray[np.float32]:
    some = np.asarray(spectrograms[rows], dtype=np.float32)
    return some.reshape(len(some), -1)  # (clips, n_mels * n_frames)
