"""What any scorer must pass before it is compared with another.

- *symmetry*: two clips score the same in either order;
- *chance on shuffled labels*: when the artists exchange their scores at random, the ranking is that
  of chance, or the judging itself favours some order;
- *planted truth*: on the bundled sample, whose hidden styles are known (`truth.csv` beside the
  data), scores follow the closeness of styles.
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
from twinear.retraining.held_out import Jury
from twinear.retraining.promotion_rule import PromotionParams

ERRORS = 4  # standard errors that the mean of shuffled rankings may be away from chance


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, what was found, and whether that will do."""

    name: str
    passed: bool
    found: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.name}: {self.found}" + ("" if self.passed else " (failed)")


def check_symmetry(scorer: Scorer, embeddings: np.ndarray, most: float) -> Check:
    """Compare both orders of every two clips; embeddings (clips, dense_units)."""
    scores = scorer.score(embeddings, embeddings)
    apart = float(np.abs(scores - scores.T).max())
    return Check(
        name="symmetry", passed=apart <= most, found=f"{apart:.1e} apart at most, may be {most:.0e}"
    )


def check_shuffled(jury: Jury, scores: Floats, n_shuffles: int) -> Check:
    """Exchange artists at random and rank; scores (artists, artists)."""
    generator = np.random.default_rng(jury.params.seed)
    orders = [generator.permutation(len(scores)) for _ in range(n_shuffles)]
    means = np.array([np.nanmean(jury.judge(scores[np.ix_(each, each)])) for each in orders])
    apart = float(means.mean() - np.nanmean(jury.chance))
    allowed = ERRORS * float(means.std(ddof=1)) / math.sqrt(n_shuffles)
    found = f"NDCG@10 {apart:+.3f} from chance, may be {allowed:.3f}"
    return Check(name="chance on shuffled labels", passed=abs(apart) <= allowed, found=found)


def check_planted(artists: list[str], scores: Floats, styles: pd.DataFrame, least: float) -> Check:
    """Correlate scores with the closeness of the artists' styles, pair by pair."""
    values, pairs = styles.loc[artists].to_numpy(), np.triu_indices(len(artists), k=1)
    closeness = -cdist(values, values)[pairs]
    found = float(spearmanr(closeness, scores[pairs]).statistic)
    return Check(
        name="planted truth",
        passed=found >= least,
        found=f"correlation {found:.2f} with the hidden styles, should be {least:g} or more",
    )


def examine(
    scorer: Scorer, embeddings: np.ndarray, jury: Jury, planted: Path, params: PromotionParams
) -> list[Check]:
    """Make every check that applies; `planted` need not be there, nor know these artists."""
    held_out = jury.held_out
    scores = held_out.score(scorer, embeddings)
    checks = [
        check_symmetry(scorer, embeddings, params.max_asymmetry),
        check_shuffled(jury, scores, params.n_shuffles),
    ]
    if planted.exists():
        styles = pd.read_csv(planted).set_index("mbid").select_dtypes("number")
        if set(held_out.artists) <= set(styles.index):
            checks.append(check_planted(held_out.artists, scores, styles, params.min_planted))
    return checks
