"""Totals -> expected similarities, by beta calibration (interim)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`sigmoid(a log(s) - b log(1 - s) + c)` of `s = sigmoid(total)`."""

    a: float
    b: float
    c: float
    fitted: bool = True

    @classmethod
    def undo_standardisation(cls, mean: float, deviation: float) -> "Calibration":
        """Bring totals back to the scale of the siamese scores."""
        return cls(a=deviation, b=deviation, c=mean, fitted=False)

    def apply(self, totals: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map totals to (0, 1); strictly rising."""
        t = np.asarray(totals, dtype=np.float64)
        z = -self.a * np.logaddexp(0, -t) + self.b * np.logaddexp(0, t) + self.c
        return 1 / (1 + np.exp(-z))


def fit_calibration(totals: npt.ArrayLike, similarity: npt.ArrayLike) -> Calibration:
    """Fit by cross-entropy with soft labels."""
    from scipy.optimize import minimize

    t, y = np.asarray(totals, np.float64).ravel(), np.asarray(similarity, np.float64).ravel()

    def loss(x: npt.NDArray[np.float64]) -> float:
        z = -np.exp(x[0]) * np.logaddexp(0, -t) + np.exp(x[1]) * np.logaddexp(0, t) + x[2]
        return float((np.logaddexp(0, z) - y * z).mean() + 1e-6 * (x**2).sum())

    x = minimize(loss, np.array([-0.7, -0.7, 0.0]), method="L-BFGS-B").x
    return Calibration(a=float(np.exp(x[0])), b=float(np.exp(x[1])), c=float(x[2]))
