"""The score of every two artists as dense tables: the definition that the index is compared with.

It is short and slow, and its memory grows with the square of the artists.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import expit, logit, softmax

from twinear.catalogue.collaborative import KnownArtists, popularity_scores
from twinear.catalogue.head import CosineHead, Head
from twinear.catalogue.params import CatalogueParams

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """(artists, artists) each."""

    siamese: Floats
    total: Floats


def dense_scores(
    logits: Floats,
    artist_index: npt.NDArray[np.int64],
    params: CatalogueParams,
    known: KnownArtists | None,
    head: Head,
) -> Dense:
    """Score all artists; `logits` of the head are (clips, clips)."""
    counts = np.bincount(artist_index)
    clips = np.arange(len(artist_index))
    mean = csr_array((1 / counts[artist_index], (artist_index, clips)))  # (artists, clips)
    power = params.pooling_power
    siamese = np.asarray(mean @ (mean @ expit(logits) ** power).T) ** (1 / power)
    if params.pooling == "mean" and isinstance(head, CosineHead):
        products = np.asarray(mean @ (mean @ ((logits - head.bias) / head.scale)).T)
        lengths = np.sqrt(np.diag(products))
        siamese = expit(head.bias + head.scale * products / np.outer(lengths, lengths))
    apart = ~np.eye(len(siamese), dtype=bool)
    z = logit(np.clip(siamese, 1e-7, 1 - 1e-7))
    if known is not None and len(known.rows) < 2:
        known = None
    rows = np.arange(len(z)) if known is None else known.rows
    among = z[np.ix_(rows, rows)][~np.eye(len(rows), dtype=bool)]
    standard = (z - among.mean()) / among.std()
    nearest = np.sort(np.where(apart, standard, -np.inf), axis=1)[:, -min(10, len(z) - 1) :]
    nearness = nearest.mean(axis=1)
    total = standard - params.csls_weight * (nearness[:, None] + nearness)
    if known is not None:
        weights = softmax(params.collaborative_inverse_temperature * standard[:, rows], axis=1)
        weights[rows] = np.eye(len(rows))
        different = ~np.eye(len(rows), dtype=bool)
        similarity = np.where(different, known.similarity, 0)
        share = params.collaborative_denoised
        if share and known.factors.shape[1]:
            units = known.factors / np.linalg.norm(known.factors, axis=1, keepdims=True)
            cosine = units @ units.T
            cosine = (cosine - cosine[different].min()) / cosine[different].std()
            similarity = (1 - share) * similarity / similarity[different].std() + share * cosine
            similarity = np.where(different, similarity, 0)
        expected = weights @ similarity @ weights.T / similarity[different].std()
        total += params.collaborative_weight * expected
        total[:, rows] += params.popularity_weight * popularity_scores(known.listeners)
    return Dense(siamese=siamese, total=total)
