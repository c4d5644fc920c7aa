"""Spectrograms, similarity and a split -> a trained scorer.

The model does not know its trainer: an edit here does not touch what only reads a scorer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twinear.model.scorer import Scorer, input_of
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.batches import ClipInputs, collect_examples
from twinear.training.checkpoint import Epoch
from twinear.training.training import Fit, TrainingParams, fit


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A scorer, and the one that has not been trained on the validation artists."""

    scorer: Scorer
    before_refit: Scorer  # `scorer` itself without a refit
    fit: Fit


def train_scorer(
    clips: Spectrograms,
    similarity: Similarity,
    split: Split,
    params: TrainingParams,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Trained:
    """Train a scorer on the training artists of a split, chosen by its validation artists.

    Clips of artists outside the split, which have no listens, serve for pretraining.
    """
    train, validation = split.members("train"), split.members("validation")
    examples = collect_examples(clips, similarity, train, validation)
    inputs = input_of(clips)
    fitted = fit(inputs, examples, params, checkpoint, on_epoch, select_unlabelled(clips, split))
    scorer, before_refit = (
        Scorer.from_net(net, clips.front, params.model) for net in (fitted.net, fitted.before_refit)
    )
    return Trained(scorer=scorer, before_refit=before_refit, fit=fitted)


def select_unlabelled(clips: Spectrograms, split: Split) -> ClipInputs:
    """Select the clips of artists outside the split: never those of validation and test."""
    rows = np.flatnonzero(~clips.clips["artist"].isin(set(split.artists["artist"])))
    return ClipInputs(values=clips.values[rows], joined=clips.joined[rows])
