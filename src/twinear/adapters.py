"""What crossval and evaluate ask of spectrograms, training and catalogue, in one place.

Each function says one thing in the words of the modules below, so that those can change their ways
of saying it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twinear.catalogue import CatalogueParams, build_catalogue
from twinear.scorer import Scorer
from twinear.similarity import Similarity
from twinear.spectrograms import Spectrograms, SpectrogramsParams
from twinear.training import Epoch, TrainingParams, examples_of, fit


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A scorer and the epochs of its training."""

    scorer: Scorer
    history: list[Epoch]


@dataclass(frozen=True, kw_only=True, eq=False)
class Listened:
    """The artists whose listens the catalogue may use: never those held out.

    Attributes
    ----------
    artists
        Ids.
    similarity
        (artists, artists), of each two.
    listeners
        (artists,), how many each has.
    """

    artists: list[str]
    similarity: np.ndarray
    listeners: np.ndarray


def train_scorer(
    spectrograms: Spectrograms,
    similarity: Similarity,
    train: Sequence[str],
    validation: Sequence[str],
    params: TrainingParams,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None],
    front: SpectrogramsParams,
) -> Trained:
    """Train a scorer on the clips of some artists; others choose the epoch."""
    learn, check = (
        examples_of(spectrograms, similarity, list(each)) for each in (train, validation)
    )
    fitted = fit(learn, check, params, checkpoint, on_epoch)
    scorer = Scorer(spectrograms=front, model=params.model, net=fitted.net)
    return Trained(scorer=scorer, history=fitted.history)


def score_catalogue(
    scorer: Scorer,
    spectrograms: Spectrograms,
    params: CatalogueParams,
    listened: Listened | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """The artists of the clips (columns artist, name), and the catalogue's scores of every two."""
    catalogue = build_catalogue(spectrograms, scorer, params)
    return catalogue.artists, catalogue.scores.astype(np.float64)


def score_sound(scorer: Scorer, spectrograms: Spectrograms) -> tuple[pd.DataFrame, np.ndarray]:
    """The same by the scorer alone: the mean score over clip pairs."""
    catalogue = build_catalogue(spectrograms, scorer, CatalogueParams(n_neighbours=1))
    return catalogue.artists, catalogue.scores.astype(np.float64)


def front_of(spectrograms: Spectrograms) -> SpectrogramsParams | None:
    """The params that spectrograms were made by, where they are known."""
    front: SpectrogramsParams | None = getattr(spectrograms, "front", None)
    return front


def vectors_of(spectrograms: Spectrograms) -> np.ndarray:
    """The vector of each clip, (clips, n_dims); n_dims is 0 where there are none."""
    if getattr(front_of(spectrograms), "vectors", "none") == "alone":
        return np.asarray(spectrograms.values.mean(axis=2, dtype=np.float32))
    none = np.zeros((len(spectrograms.clips), 0), dtype=np.float32)
    return np.asarray(getattr(spectrograms, "vectors", none))
