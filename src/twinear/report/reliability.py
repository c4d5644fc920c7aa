"""Whether a score can be taken at its word: pairs scored 0.7 should have a similarity of about 0.7.

Scores are put into bins of equal width; each bin's mean score stands against the mean similarity of
its pairs (a reliability diagram, as for probabilities: Niculescu-Mizil and Caruana, "Predicting
good probabilities with supervised learning", ICML 2005).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

N_BINS = 10


def reliability(
    scores: npt.ArrayLike, similarity: npt.ArrayLike, n_bins: int = N_BINS
) -> pd.DataFrame:
    """Bin the pairs of artists by score.

    Parameters
    ----------
    scores, similarity
        (artists, artists), in [0, 1]; both directions of a pair are averaged, the diagonal is
        not read.

    Returns
    -------
    Columns `score` and `similarity` (means of the bin), `pairs` (how many); bins without pairs are
    left out.
    """
    above = np.triu_indices(len(np.asarray(scores)), k=1)
    columns = {
        name: ((values + values.T) / 2)[above]
        for name, values in (
            ("score", np.asarray(scores, dtype=np.float64)),
            ("similarity", np.asarray(similarity, dtype=np.float64)),
        )
    }
    table = pd.DataFrame(columns)
    table["bin"] = np.clip(np.floor(table["score"] * n_bins), 0, n_bins - 1)
    binned = table.groupby("bin").agg(
        score=("score", "mean"), similarity=("similarity", "mean"), pairs=("score", "size")
    )
    return binned.reset_index(drop=True)


def calibration_error(bins: pd.DataFrame) -> float:
    """The mean distance of score and similarity over the bins of `reliability`, by their pairs."""
    apart = (bins["score"] - bins["similarity"]).abs()
    return float((apart * bins["pairs"]).sum() / bins["pairs"].sum())
