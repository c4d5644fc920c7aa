"""The sum that ranks a catalogue: sound, hubness reduction, co-listening, popularity.

Everything is added to the logit of the siamese network's score, standardised to mean 0 and
deviation 1 over the pairs of known artists:

- *CSLS* (`csls`): minus `csls_weight` times the mean of both artists' nearest;
- *collaborative* (`collaborative`): plus `collaborative_weight` times the co-listening of the known
  artists that represent the two;
- *popularity*: plus `popularity_weight` times the standardised logarithm of a known candidate's
  listeners. It makes scores asymmetric.
"""

import numpy as np
from pydantic import Field
from scipy.special import expit, logit

from twinear.base.params import Params
from twinear.catalogue.collaborative import (
    SMALLEST_DEVIATION,
    KnownArtists,
    collaborative_scores,
    popularity_scores,
)
from twinear.catalogue.csls import Floats, reduce_hubness

EDGE = 1e-7  # scores are kept this far from 0 and 1


class CombinationParams(Params):
    """How much each part counts; a weight of 0 leaves it out."""

    csls_weight: float = Field(ge=0)
    collaborative_weight: float = Field(ge=0)
    collaborative_inverse_temperature: float = Field(gt=0)
    popularity_weight: float = Field(ge=0)


def combine(siamese: Floats, params: CombinationParams, known: KnownArtists | None) -> Floats:
    """Add what is known of the artists to the siamese network's scores, which are in (0, 1).

    The sum, (artists, artists), has no unit, higher is more similar; it is symmetric while
    `popularity_weight` is 0.
    """
    mean, deviation = _scale(siamese, known)
    standard = (_logit(siamese) - mean) / deviation
    total = standard.copy()
    if params.csls_weight:
        total = reduce_hubness(total, standard, params.csls_weight)
    if known is not None and len(known.rows) > 1:
        if params.collaborative_weight:
            total += params.collaborative_weight * collaborative_scores(
                standard, known, params.collaborative_inverse_temperature
            )
        if params.popularity_weight:
            popularity = params.popularity_weight * popularity_scores(known)
            total[:, known.rows] += popularity.astype(np.float32)
    return total


def undo_standardisation(combined: Floats, siamese: Floats, known: KnownArtists | None) -> Floats:
    """Bring combined scores back to the siamese scale: its own score where nothing was added."""
    mean, deviation = _scale(siamese, known)
    scores: Floats = expit(combined * deviation + mean).astype(np.float32)
    return scores


def _scale(siamese: Floats, known: KnownArtists | None) -> tuple[np.float32, np.float32]:
    """Mean and deviation of the logits among the known artists, or among all if there are none."""
    if known is not None and len(known.rows) > 1:
        siamese = siamese[np.ix_(known.rows, known.rows)]
    logits = _logit(siamese[~np.eye(len(siamese), dtype=bool)])
    if not len(logits):
        return np.float32(0), np.float32(1)
    return logits.mean(), max(logits.std(), np.float32(SMALLEST_DEVIATION))


def _logit(scores: Floats) -> Floats:
    # in double precision: 1 - EDGE is 1 in float32
    clipped = np.clip(scores.astype(np.float64), EDGE, 1 - EDGE)
    logits: Floats = logit(clipped).astype(np.float32)
    return logits
