"""Spectrograms, similarity, a split and listens -> a trained scorer, or the untrained one.

It starts from the untrained scorer. Listener factors are learned in closed form
(`training.listener_factors`) from the listens of all artists that are not held out; the
network is trained by gradient descent (`training.epochs`). Each is kept where it ranks held-out
artists better than what was there before (`training.keep`, module `keeping`).

The model does not know its trainer: an edit here does not touch what only reads a scorer.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from twinear.base.errors import DataError
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import Bools, Floats
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer, input_of
from twinear.similarity.factors import listener_factors
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split, fold_of
from twinear.training.batches import Batches, ClipInputs, collect_examples
from twinear.training.checkpoint import Epoch, write_finished
from twinear.training.factors import add_factors, weigh_factors
from twinear.training.keeping import KeepDecision, Kept, StepDecision, decide, query_values
from twinear.training.losses import calibration
from twinear.training.training import TrainingParams, fit
from twinear.training.untrained import untrained_scorer
from twinear.training.validation import all_logits, artist_scores

N_FOLDS = 5  # of cross-fitting
LEAST_ARTISTS = 50  # of training and validation, to learn listener factors from


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
    pooling: Pooling = "pairs",
) -> Trained:
    """Train a scorer on the training artists of a split, chosen by its validation artists.

    Clips of artists outside the split, which have no listens, serve for pretraining.

    Parameters
    ----------
    listens
        Needed for listener factors. Those of artists of the split that are neither training nor
        validation artists are not used.
    pooling
        How artists are scored where it is decided what is kept: as in the catalogue.

    Raises
    ------
    DataError
        Listener factors are wanted and there are no listens, or an artist has no similarity.
    """
    torch.set_num_threads(params.threads)  # another number gives other last digits
    train, validation = split.members("train"), split.members("validation")
    examples = collect_examples(clips, similarity, train, validation)
    artists = np.array([*train, *validation])
    test = set(split.artists["artist"]) - set(artists)
    without_test = np.flatnonzero(~clips.clips["artist"].isin(test).to_numpy())
    untrained = untrained_scorer(clips.select(without_test), params.model)
    every = np.ones(len(artists), np.bool_)
    data = Batches.from_examples(examples, torch.device("cpu"))
    assert untrained.net.statistics is not None  # noqa: S101
    statistics = data.compute_statistics(untrained.net.statistics)

    def score(scorer: Scorer) -> Tensor:
        """Compute the logits of all pairs of clips."""
        net, clips_of_all = scorer.net, data
        if net.statistics is not None:
            only = net.convolutions is None
            clips_of_all = data.with_coordinates(net.statistics, statistics, only=only)
        return all_logits(clips_of_all, net, "float32")

    def values(scorer: Scorer, held_out: Bools) -> Floats:
        """Compute the values of the queries, (queries,)."""
        index = torch.from_numpy(examples.artist_index)
        scores = artist_scores(score(scorer), scorer.net, index, len(artists), pooling)
        of_artists = scores.detach().double().numpy()
        return query_values(of_artists, examples.similarity, np.flatnonzero(held_out), params.seed)

    def with_factors(scorer: Scorer, learned_from: Bools) -> Scorer:
        ids = artists[learned_from].tolist()
        others = set(split.artists["artist"]) - set(ids)
        factors = listener_factors(_require(listens), ids, others, params.listener_factors)
        chosen = learned_from[examples.artist_index]
        index = (np.cumsum(learned_from) - 1)[examples.artist_index[chosen]]
        of_chosen = statistics[torch.from_numpy(chosen)]
        return add_factors(scorer, of_chosen, index, factors, params.factors_ridge)

    def calibrated(scorer: Scorer) -> Scorer:
        """Bring the scores of the validation artists' clips near to their similarity."""
        index = examples.artist_index
        held_out = examples.validation[index]
        pairs = (index[:, None] != index) & held_out & held_out[:, None]
        if not pairs.any():
            return scorer
        target = examples.similarity[np.ix_(index, index)]
        net = copy.deepcopy(scorer.net)
        net.head.rescale(*calibration(score(scorer).numpy()[pairs], target[pairs]))
        return Scorer.from_net(net, scorer.spectrograms, scorer.model)

    before_refit = scorer = untrained
    steps, always = list[StepDecision](), params.keep == "always"
    kept: Kept = "untrained"
    enough = len(artists) >= LEAST_ARTISTS or always
    weights = params.factors_weights if params.listener_factors and enough else ()
    used = every if params.refit else ~examples.validation  # what the last scorer learns from
    if weights and params.keep != "never":
        folds = fold_of(artists.tolist(), N_FOLDS)
        of_folds = []
        for held_out in (folds == number for number in np.unique(folds)):
            learned = with_factors(untrained, ~held_out)
            candidates = [untrained, *(weigh_factors(learned, weight) for weight in weights)]
            of_folds.append([values(candidate, held_out) for candidate in candidates])
        joined = np.concatenate(of_folds, axis=1)
        decision, row = decide(joined, weights, "listener_factors", params.seed)
        steps.append(decision)
        if decision.better or always:
            kept = "listener_factors"
            before_refit, scorer = (
                calibrated(weigh_factors(with_factors(untrained, learned_from), weights[row - 1]))
                for learned_from in (~examples.validation, used)
            )
    history, best = list[Epoch](), None
    if params.epochs and params.keep != "never":
        unlabelled = select_unlabelled(clips, split)
        fitted = fit(input_of(clips), examples, params, checkpoint, on_epoch, unlabelled)
        history, best = fitted.history, fitted.best
        nets = [
            Scorer.from_net(net, clips.front, params.model)
            for net in (fitted.before_refit, fitted.net)
        ]
        candidates = [before_refit, nets[0]]
        if params.model.branches == "convolutions" or params.model.head != "cosine":
            weights = ()  # factors need statistics and the cosine
        if weights:
            learned = with_factors(nets[0], ~examples.validation)
            candidates += [weigh_factors(learned, weight) for weight in weights]
        on_validation = np.stack([values(each, examples.validation) for each in candidates])
        decision, row = decide(on_validation, (0.0, *weights), "network", params.seed)
        steps.append(decision)
        if decision.better or always:
            kept = "network"
            before_refit, scorer = nets
            if decision.factors_weight:
                before_refit, scorer = (
                    calibrated(weigh_factors(with_factors(net, learned_from), weights[row - 2]))
                    for net, learned_from in zip(nets, (~examples.validation, used), strict=True)
                )
    else:
        write_finished(checkpoint)
    if kept == "untrained":
        before_refit = scorer = calibrated(untrained)
    return Trained(
        scorer=scorer,
        before_refit=before_refit,
        decision=KeepDecision(kept=kept, keep=params.keep, steps=tuple(steps)),
        history=history,
        best=best,
    )


def _require(listens: Listens | None) -> Listens:
    if listens is None:
        raise DataError(
            "training.listener_factors",
            "asks for listener factors, and there are no listens",
            remedy="give the listens, or set it to 0",
        )
    return listens


def select_unlabelled(clips: Spectrograms, split: Split) -> ClipInputs:
    """Select the clips of artists outside the split: never those of validation and test."""
    rows = np.flatnonzero(~clips.clips["artist"].isin(set(split.artists["artist"])))
    return ClipInputs(values=clips.values[rows], joined=clips.joined[rows])
