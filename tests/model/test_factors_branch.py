"""Listener factors by ridge regression, linear and of a kernel, against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from twinear.model.network import FactorsBranch

RNG = np.random.default_rng(0)
N_CLIPS, UNITS, RIDGE = 30, 6, 0.7
ARTIST = np.arange(N_CLIPS) % 12
X, NEW = RNG.normal(size=(N_CLIPS, UNITS)), RNG.normal(size=(5, UNITS))
FACTORS = RNG.normal(size=(12, 3))


def fitted(n_landmarks: int) -> FactorsBranch:
    branch = FactorsBranch(UNITS, 3, n_landmarks).double()
    index = torch.from_numpy(ARTIST)
    branch.fit(torch.from_numpy(X), torch.from_numpy(FACTORS), index, RIDGE)
    return branch


def directions(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def kernel(x: np.ndarray, n_landmarks: int) -> np.ndarray:
    cosine = directions(x) @ directions(X).T
    return np.exp(cosine - 1) - np.exp(-1) if n_landmarks else cosine


@pytest.mark.parametrize("n_landmarks", [0, N_CLIPS])
def test_it_is_the_ridge_regression_in_which_every_artist_weighs_the_same(n_landmarks: int) -> None:
    weight = 1 / np.bincount(ARTIST)[ARTIST]
    reference = KernelRidge(alpha=RIDGE * weight.sum() / UNITS, kernel="precomputed")
    reference.fit(kernel(X, n_landmarks), FACTORS[ARTIST], sample_weight=weight)
    with torch.no_grad():
        predicted = fitted(n_landmarks)(torch.from_numpy(NEW)).numpy()
    np.testing.assert_allclose(predicted, reference.predict(kernel(NEW, n_landmarks)), rtol=1e-6)


def test_fewer_landmarks_come_near_to_all() -> None:
    x = torch.from_numpy(NEW)
    with torch.no_grad():
        whole, most, few = (fitted(n)(x) for n in (N_CLIPS, 25, 2))
    assert torch.linalg.norm(most - whole) < 0.2 * torch.linalg.norm(few - whole)
