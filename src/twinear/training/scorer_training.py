"""Spectrograms, similarity, a split and listens -> a trained scorer, or the untrained one.

The network is trained by gradient descent (`training.epochs`), then listener factors are learned in
closed form (`training.model.listener_factors`) from the listens of all artists that are not held
out. What was learned is kept where it ranks held-out artists better than the untrained scorer does
(`training.keep`).

The model does not know its trainer: an edit here does not touch what only reads a scorer.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from twinear.base.errors import DataError
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import Bools, Floats
from twinear.model.scorer import Scorer, input_of
from twinear.similarity.factors import listener_factors
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split, fold_of
from twinear.training.batches import ClipInputs, Examples, collect_examples
from twinear.training.checkpoint import Epoch, write_finished
from twinear.training.factors import add_factors
from twinear.training.keeping import KeepDecision, decide, query_values
from twinear.training.losses import by_artist, calibration
from twinear.training.training import TrainingParams, fit
from twinear.training.untrained import untrained_scorer

N_FOLDS = 5  # of cross-fitting


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A scorer, and how it came about.

    Attributes
    ----------
    before_refit
        The scorer that has not learned from the validation artists; `scorer` itself without a
        refit.
    decision
        Whether what was learned was kept.
    history, best
        The epochs of the network, and the chosen one; none and None where it was not trained.
    """

    scorer: Scorer
    before_refit: Scorer
    decision: KeepDecision
    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None


def train_scorer(
    clips: Spectrograms,
    similarity: Similarity,
    split: Split,
    params: TrainingParams,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    listens: Listens | None = None,
) -> Trained:
    """Train a scorer on the training artists of a split, chosen by its validation artists.

    Clips of artists outside the split, which have no listens, serve for pretraining.

    Parameters
    ----------
    listens
        Needed for listener factors. Those of artists of the split that are neither training nor
        validation artists are not used.

    Raises
    ------
    DataError
        Listener factors are wanted and there are no listens, or an artist has no similarity.
    """
    train, validation = split.members("train"), split.members("validation")
    examples = collect_examples(clips, similarity, train, validation)
    artists = np.array([*train, *validation])
    untrained = untrained_scorer(clips, params.model)
    every = np.ones(len(artists), np.bool_)

    def with_factors(scorer: Scorer, learned_from: Bools) -> Scorer:
        ids = artists[learned_from].tolist()
        others = set(split.artists["artist"]) - set(ids)
        factors = listener_factors(_require(listens), ids, others, params.model.listener_factors)
        weight, ridge = params.model.factors_weight, params.factors_ridge
        return add_factors(scorer, examples.select(learned_from), factors, weight, ridge)

    def values(scorer: Scorer, held_out: Bools) -> Floats:
        scores = _score_artists(scorer, examples)
        return query_values(scores, examples.similarity, np.flatnonzero(held_out), params.seed)

    history, best = list[Epoch](), None
    before_refit = scorer = untrained
    if params.epochs and params.keep != "never":
        unlabelled = select_unlabelled(clips, split)
        fitted = fit(input_of(clips), examples, params, checkpoint, on_epoch, unlabelled)
        history, best = fitted.history, fitted.best
        shape = params.model.model_copy(update={"listener_factors": 0})
        before_refit, scorer = (
            Scorer.from_net(net, clips.front, shape) for net in (fitted.before_refit, fitted.net)
        )
    else:
        write_finished(checkpoint)
    if params.model.listener_factors and params.keep != "never":
        used = every if params.refit else ~examples.validation
        before_refit = with_factors(before_refit, ~examples.validation)
        scorer = with_factors(scorer, used)
    if before_refit is untrained:
        decision = KeepDecision(kept="untrained", keep=params.keep)
    elif params.epochs:
        without = values(untrained, examples.validation)
        learned = values(before_refit, examples.validation)
        decision = decide(without, learned, params.keep, "validation", params.seed)
    else:
        folds = fold_of(artists.tolist(), N_FOLDS)
        parts = [folds == number for number in np.unique(folds)]
        without = np.concatenate([values(untrained, part) for part in parts])
        learned = np.concatenate([values(with_factors(untrained, ~part), part) for part in parts])
        decision = decide(without, learned, params.keep, "cross-fitted", params.seed)
    if decision.kept == "untrained":
        before_refit = scorer = untrained
    if decision.kept == "untrained" or params.model.listener_factors:
        before_refit, scorer = (_calibrated(each, examples) for each in (before_refit, scorer))
    return Trained(
        scorer=scorer, before_refit=before_refit, decision=decision, history=history, best=best
    )


def _require(listens: Listens | None) -> Listens:
    if listens is None:
        raise DataError(
            "training.model.listener_factors",
            "asks for listener factors, and there are no listens",
            remedy="give the listens, or set it to 0",
        )
    return listens


def _score_artists(scorer: Scorer, examples: Examples) -> Floats:
    """Average the scores of two artists' clips, for every two artists, (artists, artists)."""
    inputs = examples.clip_inputs
    embeddings = scorer.encode_many(inputs.values, inputs.joined)
    scores = torch.from_numpy(scorer.score(embeddings, embeddings))
    index = torch.from_numpy(examples.artist_index)
    return by_artist(scores, index, len(examples.similarity)).numpy().astype(np.float64)


def _calibrated(scorer: Scorer, examples: Examples) -> Scorer:
    """Bring the scores of the validation artists' clips near to their similarity."""
    held = examples.select(examples.validation)
    embeddings = scorer.encode_many(held.clip_inputs.values, held.clip_inputs.joined)
    net = copy.deepcopy(scorer.net)
    with torch.inference_mode():
        u = torch.from_numpy(embeddings)
        logits = net.head.logit(u, u).numpy()
    different = held.artist_index[:, None] != held.artist_index
    if not different.any():
        return scorer
    target = held.similarity[np.ix_(held.artist_index, held.artist_index)]
    net.head.rescale(*calibration(logits[different], target[different]))
    return Scorer.from_net(net, scorer.spectrograms, scorer.model)


def select_unlabelled(clips: Spectrograms, split: Split) -> ClipInputs:
    """Select the clips of artists outside the split: never those of validation and test."""
    rows = np.flatnonzero(~clips.clips["artist"].isin(set(split.artists["artist"])))
    return ClipInputs(values=clips.values[rows], joined=clips.joined[rows])
