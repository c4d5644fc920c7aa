"""Whether scores are calibrated: pairs with score 0.7 should have a similarity of about 0.7.

Scores are put into bins of equal width; the mean score of each bin is compared with the mean
similarity of its pairs (a reliability diagram, as for probabilities: Niculescu-Mizil and Caruana,
"Predicting good probabilities with supervised learning", ICML 2005).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

N_BINS = 10


def reliability(scores: npt.ArrayLike, similarity: npt.ArrayLike) -> pd.DataFrame:
    """Bin the pairs of artists by score.

    Scores and similarity are (artists, artists), in [0, 1]; both directions of a pair are averaged,
    the diagonal is not read. The columns are `score` and `similarity` (means of the bin) and
    `pairs` (their number); empty bins are left out.
    """
    tables = (np.asarray(values, dtype=np.float64) for values in (scores, similarity))
    score, similar = ((values + values.T) / 2 for values in tables)
    pairs = np.triu_indices(len(score), k=1)
    table = pd.DataFrame({"score": score[pairs], "similarity": similar[pairs]})
    table["bin"] = np.clip(np.floor(table["score"] * N_BINS), 0, N_BINS - 1)
    binned = table.groupby("bin").agg(
        score=("score", "mean"), similarity=("similarity", "mean"), pairs=("score", "size")
    )
    return binned.reset_index(drop=True)


def calibration_error(bins: pd.DataFrame) -> float:
    """Average the distance of score and similarity over the bins, weighted by their pairs."""
    apart = (bins["score"] - bins["similarity"]).abs()
    return float((apart * bins["pairs"]).sum() / bins["pairs"].sum())
