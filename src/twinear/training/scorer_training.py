"""Spectrograms, similarity, a split and listens -> a trained scorer, or the untrained one.

It starts from the untrained scorer. With `spectrograms.embeddings: auto` it is chosen first whether
that takes embeddings, log-mels or both (module `embeddings_share`). Listener factors are learned in
closed form (`training.listener_factors`) from the listens of all artists that are not held out; the
network is trained by gradient descent (`training.epochs`). Each is kept where it ranks held-out
artists better than what was there before (`training.keep`, module `keeping`), and where clips come
from several sources, artists of a source that was held out no worse.

The model does not know its trainer: an edit here does not touch what only reads a scorer.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array, triu
from torch import Tensor

from twinear.base.errors import DataError
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import Bools, Floats
from twinear.model.pooling import Pooling
from twinear.model.scorer import Scorer, input_of, require_compact
from twinear.similarity.factors import listener_factors
from twinear.similarity.similarity import Similarity, dense
from twinear.spectrograms.sources import find_sources
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split, fold_of
from twinear.training.batches import Batches, ClipInputs, Examples, collect_examples
from twinear.training.checkpoint import Epoch, discard, write_finished
from twinear.training.clip_statistics import ClipStatistics
from twinear.training.embeddings_share import at_share, candidate_shares
from twinear.training.factors import add_factors, weigh_factors
from twinear.training.keeping import (
    KeepDecision,
    Kept,
    ShareDecision,
    StepDecision,
    decide,
    decide_share,
    values_of_rows,
)
from twinear.training.needed_memory import require_memory
from twinear.training.ranks import from_first
from twinear.training.training import Fit, TrainingParams, fit
from twinear.training.untrained import untrained_scorer
from twinear.training.validation import (
    calibrate_artists,
    choose_queries,
    encode_clips,
    score_queries,
)

N_FOLDS = 5  # of cross-fitting
LEAST_ARTISTS = 50  # of training and validation, to learn listener factors from; of a source too


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
    memory: int | None = None,
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
    memory
        In bytes. Clips in shards that would take more than a share of it are read when they are
        needed; without it all are in memory. It changes no result.

    Raises
    ------
    DataError
        Listener factors are wanted and there are no listens, an artist has no similarity, or the
        spectrograms are in the compact form of other frames than the network convolves.
    TwinearError
        The memory is not enough.
    """
    require_compact(clips, params.model)
    if memory is not None:
        # of neighbours only, the similarity takes next to nothing
        n_compared = len(split.artists) if isinstance(similarity.matrix, np.ndarray) else 0
        require_memory(memory, len(clips.clips), n_compared, clips)
    torch.set_num_threads(params.threads)  # another number gives other last digits
    learner, share = _start(clips, similarity, split, params, listens, pooling, memory)
    params = learner.params
    made = [_Made(kept="untrained", before_refit=learner.untrained, scorer=learner.untrained)]
    steps, history, best = list[StepDecision](), list[Epoch](), None
    always = params.keep == "always"
    if learner.weights and params.keep != "never":
        step, learned = _learn_factors(learner)
        steps.append(step)
        if step.better or always:
            made.append(learned)
    if params.epochs and params.keep != "never":
        unlabelled = select_unlabelled(learner.clips, split)
        inputs = learner.untrained.inputs
        fitted = fit(inputs, learner.examples, params, checkpoint, on_epoch, unlabelled, memory)
        history, best = fitted.history, fitted.best
        step, learned = _learn_beside(learner, fitted, made[-1], checkpoint, unlabelled)
        steps.append(step)
        if step.better or always:
            made.append(learned)
    else:
        write_finished(checkpoint)
    last = made[-1]
    if last.kept == "untrained":
        scorer = learner.calibrated(learner.untrained)
        last = replace(last, before_refit=scorer, scorer=scorer)
    return Trained(
        scorer=last.scorer,
        before_refit=last.before_refit,
        decision=KeepDecision(
            kept=last.kept, keep=params.keep, steps=tuple(steps), embeddings=share
        ),
        history=history,
        best=best,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Made:
    """What a step has made."""

    kept: Kept
    before_refit: Scorer
    scorer: Scorer
    factors_weight: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Artists that are held out, and those that are learned from meanwhile, (artists,)."""

    held_out: Bools
    learned_from: Bools


@dataclass(frozen=True, kw_only=True, eq=False)
class _Learner:
    """What all steps of learning need.

    Attributes
    ----------
    clips
        All clips, as the scorer takes them.
    artists
        Ids of the training artists, then of the validation artists.
    statistics
        Of their clips.
    memory
        See `train_scorer`.
    """

    clips: Spectrograms
    similarity: Similarity
    artists: npt.NDArray[np.str_]
    split: Split
    params: TrainingParams
    listens: Listens | None
    pooling: Pooling
    untrained: Scorer
    statistics: ClipStatistics
    memory: int | None

    @cached_property
    def examples(self) -> Examples:
        """The clips of the artists, and their similarity."""
        train, validation = self.split.members("train"), self.split.members("validation")
        return collect_examples(self.clips, self.similarity, train, validation)

    @cached_property
    def batches(self) -> Batches:
        """The same clips as tensors."""
        return Batches.from_examples(self.examples, torch.device("cpu"), self.memory)

    @property
    def folds(self) -> list[Bools]:
        """The artists that each fold of cross-fitting holds out, (artists,)."""
        folds = fold_of(self.artists.tolist(), N_FOLDS)
        return [folds == number for number in np.unique(folds)]

    @cached_property
    def sources(self) -> Sequence[_Part]:
        """Every source of clips held out once; none where fewer than two have enough artists.

        Artists with clips of several sources are in no part.
        """
        clips = self.clips.clips
        found = find_sources(clips[clips["artist"].isin(self.artists)], LEAST_ARTISTS)
        source = np.array(
            [-1 if each in found.several else found.of_artists[each] for each in self.artists]
        )
        parts = [
            _Part(held_out=source == number, learned_from=(source != number) & (source >= 0))
            for number in range(len(found.values))
        ]
        large = [part for part in parts if part.held_out.sum() >= LEAST_ARTISTS]
        return large if len(large) > 1 else []

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of listener factors to choose from; none where there are too few artists."""
        enough = len(self.artists) >= LEAST_ARTISTS or self.params.keep == "always"
        return self.params.factors_weights if self.params.listener_factors and enough else ()

    @property
    def training(self) -> Bools:
        """The artists that a scorer before the refit learns from, (artists,)."""
        return ~self.examples.validation

    @property
    def used(self) -> Bools:
        """The artists that the last scorer learns from, (artists,)."""
        return np.ones(len(self.artists), np.bool_) if self.params.refit else self.training

    def encode(self, scorer: Scorer) -> Tensor:
        """Encode all clips, (clips, units)."""
        net, batches = scorer.net, self.batches
        if net.statistics is not None:
            only = net.convolutions is None
            coordinates = self.statistics.project(net.statistics)
            batches = batches.with_coordinates(coordinates, only=only)
        return encode_clips(batches, net, "float32")

    @torch.no_grad()
    def values(self, scorer: Scorer, held_out: Bools) -> Floats:
        """Compute the values of the held-out artists as queries, (queries,).

        Of more artists than `max_queries`, which all held-out parts share, so many are drawn.
        """
        similarity, seed, n_artists = self.examples.similarity, self.params.seed, len(self.artists)
        most = math.ceil(self.params.max_queries * held_out.sum() / n_artists)
        queries = choose_queries(np.flatnonzero(held_out), most, seed)
        u = self.encode(scorer)
        blocks = score_queries(u, scorer.net, self.batches, queries, self.pooling)
        return np.concatenate(
            [
                values_of_rows(rows, dense(similarity[block]), block, held_out, seed)
                for block, rows in blocks
            ]
        )

    def with_factors(self, scorer: Scorer, learned_from: Bools) -> Scorer:
        """Add listener factors, of weight 0, learned from some artists, (artists,)."""
        if self.listens is None:
            raise DataError(
                "training.listener_factors",
                "asks for listener factors, and there are no listens",
                remedy="give the listens, or set it to 0",
            )
        ids = self.artists[learned_from].tolist()
        held_out = set(self.split.artists["artist"]) - set(ids)
        factors = listener_factors(self.listens, ids, held_out, self.params.listener_factors)
        of_clips = self.examples.artist_index
        chosen = learned_from[of_clips]
        index = (np.cumsum(learned_from) - 1)[of_clips[chosen]]
        branch = scorer.net.statistics
        assert branch is not None  # noqa: S101
        coordinates = self.statistics.select(np.flatnonzero(chosen)).project(branch)
        return add_factors(scorer, coordinates, index, factors, self.params.factors_ridge)

    def calibrated(self, scorer: Scorer) -> Scorer:
        """Bring the scores of the validation artists' clips near to their similarity."""
        artists, net = np.flatnonzero(self.examples.validation), copy.deepcopy(scorer.net)
        u, similarity = self.encode(scorer), self.examples.similarity
        net.head.rescale(*calibrate_artists(u, net, self.batches, similarity, artists))
        return Scorer.from_net(net, scorer.spectrograms, scorer.model)

    def with_weighed_factors(self, scorer: Scorer, learned_from: Bools, weight: float) -> Scorer:
        """Add listener factors with a weight, and calibrate the scores."""
        return self.calibrated(weigh_factors(self.with_factors(scorer, learned_from), weight))


def _start(
    clips: Spectrograms,
    similarity: Similarity,
    split: Split,
    params: TrainingParams,
    listens: Listens | None,
    pooling: Pooling,
    memory: int | None,
) -> tuple[_Learner, ShareDecision | None]:
    """Choose what the scorer takes of clips; the decision is None where there is no choice.

    Untrained scorers are fitted to all clips but those of test artists.
    """
    artists = np.array([*split.members("train"), *split.members("validation")])
    test = set(split.artists["artist"]) - set(artists.tolist())
    known = clips.select(np.flatnonzero(~clips.clips["artist"].isin(test).to_numpy()))
    of_examples = np.flatnonzero(known.clips["artist"].isin(artists))
    shares = candidate_shares(clips.front, params.model)
    # what takes both has the statistics of what takes either: they are computed once
    widest, _ = at_share(known, params.model, shares[0] if len(set(shares)) == 1 else 0.5)
    statistics = ClipStatistics.of_clips(widest, input_of(widest))
    untrained = {}
    for share in shares:
        some, model = at_share(known, params.model, share)
        untrained[share] = untrained_scorer(some, model, statistics)

    def learner(share: float) -> _Learner:
        taken, model = at_share(clips, params.model, share)
        return _Learner(
            clips=taken,
            similarity=similarity,
            artists=artists,
            split=split,
            params=params.model_copy(update={"model": model}),
            listens=listens,
            pooling=pooling,
            untrained=untrained[share],
            statistics=statistics.select(of_examples),
            memory=memory,
        )

    if len(shares) == 1:
        return learner(shares[0]), None
    of_shares = []
    for candidate in map(learner, shares):
        of_folds = [candidate.values(candidate.untrained, each) for each in candidate.folds]
        of_shares.append(np.concatenate(of_folds))
    decision = decide_share(np.stack(of_shares), shares, params.seed)
    (share,) = from_first(lambda: [decision.share], 1)  # several processes must agree
    return learner(share), decision


def _learn_factors(learner: _Learner) -> tuple[StepDecision, _Made]:
    """Add listener factors to the untrained scorer, judged by cross-fitting."""
    untrained, weights = learner.untrained, learner.weights

    def values(parts: Sequence[_Part]) -> Floats:
        of_parts = []
        for part in parts:
            learned = learner.with_factors(untrained, part.learned_from)
            candidates = [untrained, *(weigh_factors(learned, weight) for weight in weights)]
            of_parts.append([learner.values(each, part.held_out) for each in candidates])
        return np.concatenate(of_parts, axis=1)

    parts = [_Part(held_out=each, learned_from=~each) for each in learner.folds]
    across = values(learner.sources) if learner.sources else None
    step = decide(values(parts), weights, "listener_factors", learner.params.seed, across)
    before_refit, scorer = (
        learner.with_weighed_factors(untrained, learned_from, step.factors_weight)
        for learned_from in (learner.training, learner.used)
    )
    return step, _Made(
        kept="listener_factors",
        before_refit=before_refit,
        scorer=scorer,
        factors_weight=step.factors_weight,
    )


def _learn_beside(
    learner: _Learner, fitted: Fit, before: _Made, checkpoint: Path, unlabelled: ClipInputs
) -> tuple[StepDecision, _Made]:
    """Judge the network, by itself and with listener factors, on the validation artists.

    Only a network that is better there is trained again without each source of clips.
    """
    params, validation = learner.params, learner.examples.validation
    before_refit, scorer = (
        Scorer.from_net(net, learner.untrained.spectrograms, params.model)
        for net in (fitted.before_refit, fitted.net)
    )
    takes_factors = params.model.branches != "convolutions" and params.model.head == "cosine"
    weights = learner.weights if takes_factors else ()

    def values(before: Scorer, network: Scorer, learned_from: Bools, held_out: Bools) -> Floats:
        candidates = [before, network]
        if weights:
            learned = learner.with_factors(network, learned_from)
            candidates += [weigh_factors(learned, weight) for weight in weights]
        return np.stack([learner.values(each, held_out) for each in candidates])

    on_validation = values(before.before_refit, before_refit, learner.training, validation)
    step = decide(on_validation, (0.0, *weights), "network", params.seed)
    # several processes must agree on whether they train again
    (better,) = from_first(lambda: [float(step.better)], 1)
    sources = [part for part in learner.sources if _can_validate(learner.examples, part)]
    if better and sources:
        again = params.model_copy(update={"epochs": fitted.best.epoch, "refit": False})
        across = []
        for part in sources:
            examples = learner.examples.select(part.learned_from)
            path = checkpoint.with_suffix(".source")
            inputs, memory = learner.untrained.inputs, learner.memory
            net = fit(inputs, examples, again, path, unlabelled=unlabelled, memory=memory).net
            discard(path)
            network = Scorer.from_net(net, learner.untrained.spectrograms, params.model)
            training = part.learned_from & learner.training
            base = learner.untrained
            if before.factors_weight:
                learned = learner.with_factors(base, part.learned_from)
                base = weigh_factors(learned, before.factors_weight)
            across.append(values(base, network, training, part.held_out))
        joined = np.concatenate(across, axis=1)
        step = decide(on_validation, (0.0, *weights), "network", params.seed, joined)
    if step.factors_weight:
        before_refit, scorer = (
            learner.with_weighed_factors(net, learned_from, step.factors_weight)
            for net, learned_from in (
                (before_refit, learner.training),
                (scorer, learner.used),
            )
        )
    return step, _Made(kept="network", before_refit=before_refit, scorer=scorer)


def _can_validate(examples: Examples, part: _Part) -> bool:
    """Whether the artists that are learned from have two similar ones to choose an epoch by."""
    chosen = part.learned_from & examples.validation
    similar = examples.similarity[chosen][:, chosen]
    return bool(triu(coo_array(similar), 1).nnz)


def select_unlabelled(clips: Spectrograms, split: Split) -> ClipInputs:
    """Select the clips of artists outside the split: never those of validation and test."""
    rows = np.flatnonzero(~clips.clips["artist"].isin(set(split.artists["artist"])))
    return ClipInputs.of_clips(clips, rows)
