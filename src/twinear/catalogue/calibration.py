"""Combined scores -> expected similarities, by isotonic regression on the validation artists.

The validation artists are queries without listens, scored by the network that was not trained on
them: after calibration a score of 0.7 means that such pairs have a similarity of about 0.7. The
listens of test artists never enter.
"""

from collections.abc import Callable

import numpy as np

from twinear.catalogue.collaborative import SMALLEST_DEVIATION, KnownArtists
from twinear.catalogue.combination import CombinationParams, combine
from twinear.catalogue.csls import Floats

# share of a straight line mixed into the curve, so that scores on a plateau keep their order
BLEND = 1e-3


def calibrate(
    siamese: Floats, known: KnownArtists, params: CombinationParams
) -> Callable[[Floats], Floats]:
    """Learn the map from combined scores to similarities; it keeps their order.

    The `siamese` scores, (artists, artists), are by a network that has not seen the validation
    artists, who are among the `known`: the queries, with the listens of training artists.
    """
    from sklearn.isotonic import IsotonicRegression  # slow to import, needed here alone

    combined = combine(siamese, params, known.select(~known.validation))
    queries, candidates = known.rows[known.validation], known.rows
    pairs = queries[:, None] != candidates
    x = combined[np.ix_(queries, candidates)][pairs]
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    curve.fit(x, known.similarity[known.validation][pairs])

    def similarity(scores: Floats) -> Floats:
        flat = curve.predict(scores.ravel()).reshape(scores.shape)
        spread = max(np.ptp(scores), SMALLEST_DEVIATION)
        rising = (scores.astype(np.float64) - scores.min()) / spread
        blended: Floats = (1 - BLEND) * flat + BLEND * rising
        return blended.astype(np.float32)

    return similarity
