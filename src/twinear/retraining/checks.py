"""Checks that any scorer must pass before it is compared with another.

- *symmetry*: two clips have the same score in either order;
- *chance on shuffled labels*: when the artists' scores are permuted at random, the NDCG must be
  that of chance, else the evaluation favours some order;
- *planted truth*: on the bundled sample, whose hidden styles are known (`truth.csv` beside the
  data), scores must follow the closeness of styles.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from twinear.metrics.ranking_metrics import Floats
from twinear.model.scorer import Scorer
from twinear.retraining.held_out import Evaluator
from twinear.retraining.promotion_rule import PromotionParams

MAX_ERRORS = 4  # standard errors that the mean of shuffled rankings may be away from chance


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The name of a check, whether it passed, and the figures."""

    name: str
    passed: bool
    found: str

    def __str__(self) -> str:
        """Write one line."""
        return f"{self.name}: {self.found}" + ("" if self.passed else " (failed)")


def check_symmetry(scorer: Scorer, embeddings: np.ndarray, limit: float) -> CheckResult:
    """Compare both orders of every two clips; embeddings (clips, dense_units)."""
    scores = scorer.score(embeddings, embeddings)
    difference = float(np.abs(scores - scores.T).max())
    found = f"{difference:.1e} apart at most, may be {limit:.0e}"
    return CheckResult(name="symmetry", passed=difference <= limit, found=found)


def check_shuffled(evaluator: Evaluator, shuffled: Floats) -> CheckResult:
    """Compare the NDCG of shuffled labels, (n_shuffles,) by `Evaluator.shuffled`, with chance."""
    difference = float(shuffled.mean() - np.nanmean(evaluator.chance))
    limit = MAX_ERRORS * float(shuffled.std(ddof=1)) / math.sqrt(len(shuffled))
    passed = abs(difference) <= limit
    found = f"NDCG@10 {difference:+.3f} from chance, may be {limit:.3f}"
    return CheckResult(name="chance on shuffled labels", passed=passed, found=found)


def check_planted(
    artists: list[str], scores: Floats, styles: pd.DataFrame, limit: float
) -> CheckResult:
    """Correlate scores with the closeness of the artists' styles, pair by pair."""
    values, pairs = styles.loc[artists].to_numpy(), np.triu_indices(len(artists), k=1)
    closeness = -cdist(values, values)[pairs]
    correlation = float(spearmanr(closeness, scores[pairs]).statistic)
    found = f"correlation {correlation:.2f} with the hidden styles, should be {limit:g} or more"
    return CheckResult(name="planted truth", passed=correlation >= limit, found=found)


def run_checks(
    scorer: Scorer,
    embeddings: np.ndarray,
    evaluator: Evaluator,
    shuffled: Floats,
    planted: Path,
    params: PromotionParams,
) -> list[CheckResult]:
    """Run every check that applies.

    Without the table `planted` of hidden styles, or if it lacks an artist, that check is left out.
    """
    held_out = evaluator.held_out
    checks = [
        check_symmetry(scorer, embeddings, params.max_asymmetry),
        check_shuffled(evaluator, shuffled),
    ]
    if planted.exists():
        styles = pd.read_csv(planted).set_index("mbid").select_dtypes("number")
        if set(held_out.artists) <= set(styles.index):
            scores = held_out.score(scorer, embeddings)
            checks.append(check_planted(held_out.artists, scores, styles, params.min_planted))
    return checks
