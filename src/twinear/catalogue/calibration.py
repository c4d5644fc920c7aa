"""Combined scores -> expected similarities, fitted on the validation artists.

The validation artists are queries without listens, scored by the network that was not trained on
them: after calibration a score of 0.7 means that such pairs have a similarity of about 0.7. The
listens of test artists never enter.

    similarity = expit(slope * arcsinh((total - mean) / deviation) + intercept),    slope > 0

This is logistic calibration (Platt, "Probabilistic outputs for support vector machines and
comparisons to regularized likelihood methods", 1999) of the inverse hyperbolic sine of the
standardised total (Burbidge, Magee and Robb, "Alternative transformations to handle extreme values
of the dependent variable", JASA 1988). The curve is smooth and strictly rising, so that scores keep
their order. Far out the arcsinh grows like a logarithm: totals beyond those of the validation
artists still rise, and do not run up to 1. Beta calibration, monotone splines, isotonic regression
and the plain logistic curve were less reliable on validation artists (see LAB.md).

This module does not know what a total is made of.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The slope stays positive where totals say nothing of the similarity, and finite where they
# separate it perfectly: beyond the upper limit the curve is a step, and its ends are 0 and 1.
SLOPES = (0.01, 5.0)
LOGITS = (-700.0, 36.0)  # of larger ones the sigmoid is 0 or 1 in double precision
CONSTANT = 1e-5  # totals that deviate less are constant but for rounding


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The curve from totals to similarities: `Calibration(**asdict(calibration))` is the same one.

    Attributes
    ----------
    mean, deviation
        Of the totals it was fitted on.
    slope, intercept
        Of the logit of the similarity; the slope is positive.
    """

    mean: float
    deviation: float
    slope: float
    intercept: float

    def apply(self, totals: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map totals of any shape to similarities in (0, 1); a higher total gets a higher one.

        Examples
        --------
        >>> calibration = Calibration(mean=1.0, deviation=2.0, slope=1.5, intercept=-1.0)
        >>> calibration.apply([1.0, 3.0, 30.0, 300.0]).round(3).tolist()
        [0.269, 0.58, 0.99, 1.0]
        """
        standard = (np.asarray(totals, dtype=np.float64) - self.mean) / self.deviation
        logits = self.slope * np.arcsinh(standard) + self.intercept
        return _expit(np.clip(logits, *LOGITS))


@dataclass(frozen=True, kw_only=True)
class SiameseScale:
    """What takes the place of a calibration without validation artists: `expit(z)` of the total.

    The total is in standard deviations of the siamese score's logit: `z` is that logit, where
    nothing was added.
    """

    mean: float
    deviation: float

    def apply(self, totals: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map totals of any shape to (0, 1); a higher total gets a higher one.

        Examples
        --------
        >>> SiameseScale(mean=-2.0, deviation=0.5).apply([4.0]).tolist()
        [0.5]
        """
        logits = np.asarray(totals, dtype=np.float64) * self.deviation + self.mean
        return _expit(np.clip(logits, *LOGITS))


def _expit(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))  # scipy's takes longer to import


def fit_calibration(totals: npt.ArrayLike, similarity: npt.ArrayLike) -> Calibration:
    """Fit the curve to pairs of artists, by cross-entropy.

    `totals` and `similarity`, (pairs,), are finite, the similarity in [0, 1]. Every similarity is
    drawn towards 1/2 as if two more pairs had been seen, one of 0 and one of 1 (Laplace's rule, as
    in Platt): one pair, or similarities that are all 0 or all 1, make no curve that is sure of
    itself. Constant totals get a slope of 1; without pairs the similarity at a total of 0 is 1/2.

    Examples
    --------
    >>> totals = np.random.default_rng(0).normal(0, 2, 1000)
    >>> similarity = 1 / (1 + np.exp(1 - 1.5 * np.arcsinh(totals / 2)))
    >>> fit_calibration(totals, similarity).apply([0.0, 2.0, 4.0]).round(2).tolist()
    [0.27, 0.58, 0.76]
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (totals, similarity))
    if not x.size:
        return Calibration(mean=0.0, deviation=1.0, slope=1.0, intercept=0.0)
    from scipy.optimize import minimize  # slow to import, needed here alone

    mean, deviation = float(x.mean()), float(x.std())
    if deviation < CONSTANT:
        deviation = 1.0
    bent = np.arcsinh((x - mean) / deviation)
    target = (x.size * y + 1) / (x.size + 2)

    def cross_entropy(weights: npt.NDArray[np.float64]) -> tuple[float, list[float]]:
        logits = weights[0] * bent + weights[1]
        loss = np.logaddexp(0, logits) - target * logits
        error = _expit(logits) - target  # the gradient by the logit
        return loss.mean(), [(error * bent).mean(), error.mean()]

    start = [1.0, float(np.log(target.mean() / (1 - target.mean())))]
    fitted = minimize(
        cross_entropy,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[SLOPES, (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    slope, intercept = map(float, fitted.x)
    return Calibration(mean=mean, deviation=deviation, slope=slope, intercept=intercept)
