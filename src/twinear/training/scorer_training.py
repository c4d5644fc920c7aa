"""Spectrograms, similarity and a split -> a trained scorer.

The model does not know its trainer: an edit here does not touch what only reads a scorer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twinear.model.scorer import Scorer, inputs_of
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.training.batches import ClipInputs, examples_of
from twinear.training.checkpoint import Epoch
from twinear.training.training import Fit, TrainingParams, fit


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A scorer, the one that the validation artists judged, and how they were fitted.

    `judged` is `scorer` unless that was trained once more with the validation artists.
    """

    scorer: Scorer
    judged: Scorer
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

    Clips of artists outside the split, whose listens are not known, serve for pretraining.
    """
    examples = examples_of(clips, similarity, split.members("train"), split.members("validation"))
    inputs = inputs_of(clips)
    fitted = fit(inputs, examples, params, checkpoint, on_epoch, _unlabelled(clips, split))
    scorer, judged = (
        Scorer(spectrograms=clips.front, inputs=inputs, model=params.model, net=net)
        for net in (fitted.net, fitted.judged)
    )
    return Trained(scorer=scorer, judged=judged, fit=fitted)


def _unlabelled(clips: Spectrograms, split: Split) -> ClipInputs:
    rows = np.flatnonzero(~clips.clips["artist"].isin(set(split.artists["artist"])))
    return ClipInputs(values=clips.values[rows], pretrained=clips.pretrained[rows])
