"""What a catalogue knows beside the sound of two artists: hubs, listens, popularity.

All of it is added to the logit of the sound's score, brought to mean 0 and deviation 1 over the
pairs of known artists:

- *hubs* are similar to everyone. Each artist's mean sound to its `N_NEAREST` nearest is taken off,
  times `hub_weight` (cross-domain similarity local scaling, CSLS: Conneau, Lample, Ranzato, Denoyer
  and Jégou, "Word translation without parallel data", ICLR 2018).
- *company*: who is heard together with those that sound alike. A known artist stands for itself, a
  new one for the known artists it sounds like, in the shares of a softmax of `company_sharpness`
  times the sound; the company of two artists is the similarity of what they stand for, over its
  deviation among the known, times `company_weight`.
- *popularity*: the standardised logarithm of a known artist's listeners, times `popularity_weight`,
  for the candidate. It makes scores asymmetric.

The result is calibrated by isotonic regression on the validation artists, as queries that nobody
has listened to, with the scorer that has not seen their listens: 0.7 then means that such pairs
have a similarity of about 0.7. The listens of test artists never enter anything here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression

from twinear.params import Params

if TYPE_CHECKING:
    from twinear.pairs import Split
    from twinear.similarity.similarity import Similarity

N_NEAREST = 10
BLEND = 1e-3  # of a straight line, so that calibrated scores keep the order, also at the top
EDGE = 1e-7  # scores are kept this far from 0 and 1

Floats = npt.NDArray[np.float32]


class CompanyParams(Params):
    """How much of what enters; a weight of 0 leaves it out."""

    hub_weight: float = Field(ge=0)
    company_weight: float = Field(ge=0)
    company_sharpness: float = Field(gt=0)
    popularity_weight: float = Field(ge=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Listened:
    """The artists whose listens may be used.

    Attributes
    ----------
    artists
        Ids, (n,).
    similarity
        (n, n), in [0, 1].
    listeners
        (n,)
    validation
        Which of them validate, (n,).
    """

    artists: list[str]
    similarity: np.ndarray
    listeners: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, similarity: "Similarity", split: "Split") -> "Listened":
        """The training and validation artists of a split; never those of test."""
        validation = split.members("validation")
        artists = [*split.members("train"), *validation]
        rows = pd.Index(similarity.artists["artist"]).get_indexer(artists)
        return cls(
            artists=artists,
            similarity=similarity.matrix[np.ix_(rows, rows)],
            listeners=similarity.artists["listeners"].to_numpy()[rows],
            validation=np.arange(len(artists)) >= len(artists) - len(validation),
        )

    def among(self, artists: "pd.Series[str]") -> "Known":
        """Where they stand in a table of artists; those without clips are left out."""
        rows = pd.Index(artists).get_indexer(pd.Index(self.artists))
        there = rows >= 0
        return Known(
            rows=rows[there],
            similarity=self.similarity[np.ix_(there, there)],
            listeners=self.listeners[there],
            validation=self.validation[there],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """The artists of a catalogue whose listens may be used; as `Listened`, by their rows."""

    rows: npt.NDArray[np.int64]
    similarity: np.ndarray
    listeners: np.ndarray
    validation: np.ndarray

    def without_validation(self) -> "Known":
        """The training artists alone."""
        train = ~self.validation
        return Known(
            rows=self.rows[train],
            similarity=self.similarity[np.ix_(train, train)],
            listeners=self.listeners[train],
            validation=self.validation[train],
        )


def combine(sound: Floats, params: CompanyParams, known: Known | None) -> Floats:
    """Add what is known to the sound; no unit, higher is more similar.

    Parameters
    ----------
    sound
        (artists, artists) in (0, 1).
    known
        The artists whose listens may be used, if any.

    Returns
    -------
    (artists, artists); symmetric while `popularity_weight` is 0.
    """
    middle, deviation = _scale(sound, None if known is None else known.rows)
    standard = (_logit(sound) - middle) / deviation
    total = standard.copy()
    if params.hub_weight:
        near = params.hub_weight * _nearness(standard)
        total -= near[:, None] + near
    if known is not None and len(known.rows) > 1:
        if params.company_weight:
            total += params.company_weight * _company(standard, known, params.company_sharpness)
        if params.popularity_weight:
            listeners = np.log(known.listeners)
            popularity = (listeners - listeners.mean()) / max(listeners.std(), EDGE)
            total[:, known.rows] += (params.popularity_weight * popularity).astype(np.float32)
    return total


def calibrate(before: Floats, known: Known, params: CompanyParams) -> Callable[[Floats], Floats]:
    """Learn to bring combined scores to similarities, keeping their order.

    Parameters
    ----------
    before
        The sound (artists, artists) by a scorer that has not seen the validation artists.
    known
        Some of them validation artists: they are queries, with the listens of training artists.
    """
    combined = combine(before, params, known.without_validation())
    queries, candidates = known.rows[known.validation], known.rows
    pairs = queries[:, None] != candidates
    x = combined[np.ix_(queries, candidates)][pairs]
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    curve.fit(x, known.similarity[known.validation][pairs])

    def similarity(scores: Floats) -> Floats:
        flat = curve.predict(scores.ravel()).reshape(scores.shape)
        rising = (scores.astype(np.float64) - scores.min()) / max(np.ptp(scores), EDGE)
        blended: Floats = (1 - BLEND) * flat + BLEND * rising
        return blended.astype(np.float32)

    return similarity


def uncalibrated(combined: Floats, sound: Floats, known: Known | None) -> Floats:
    """Combined scores as the scorer's own: where nothing was added, its score."""
    middle, deviation = _scale(sound, None if known is None else known.rows)
    scores: Floats = expit(combined * deviation + middle).astype(np.float32)
    return scores


def _scale(sound: Floats, rows: npt.NDArray[np.int64] | None) -> tuple[np.float32, np.float32]:
    """Mean and deviation of the logits among some artists, all if not given."""
    among = sound if rows is None or len(rows) < 2 else sound[np.ix_(rows, rows)]
    logits = _logit(among[~np.eye(len(among), dtype=bool)])
    if not len(logits):
        return np.float32(0), np.float32(1)
    return logits.mean(), max(logits.std(), np.float32(EDGE))


def _logit(scores: Floats) -> Floats:
    clipped = np.clip(scores.astype(np.float64), EDGE, 1 - EDGE)
    logits: Floats = logit(clipped).astype(np.float32)
    return logits


def _nearness(standard: Floats) -> Floats:
    """The mean of each artist's nearest, (artists,)."""
    n = min(N_NEAREST, len(standard) - 1)
    if n < 1:
        return np.zeros(len(standard), np.float32)
    apart = np.where(np.eye(len(standard), dtype=bool), -np.inf, standard)
    nearest: Floats = np.partition(apart, -n, axis=1)[:, -n:].mean(axis=1, dtype=np.float32)
    return nearest


def _company(standard: Floats, known: Known, sharpness: float) -> Floats:
    stands = softmax(sharpness * standard[:, known.rows], axis=1)  # (artists, known)
    stands[known.rows] = np.eye(len(known.rows), dtype=np.float32)
    others = np.where(np.eye(len(known.rows), dtype=bool), 0, known.similarity)
    deviation = others[~np.eye(len(known.rows), dtype=bool)].std()
    company: Floats = (stands @ others.astype(np.float32) @ stands.T) / max(deviation, EDGE)
    return company.astype(np.float32)
