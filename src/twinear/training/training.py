"""Fit the siamese network to the similarity; one record per epoch; resume where it was killed.

A step draws some artists and some clips of each, encodes every clip once and scores all pairs of
clips from the embeddings; the objective compares the scores with the artists' similarity. It equals
the loss of the same pairs encoded one pair at a time, at a hundredth of the work. An epoch has as
many steps as it takes to score each pair of artists once on average, as in the original: they grow
with the square of the artists. `steps_per_epoch` sets another number.

The weights kept are those of the epoch with the best NDCG@10 among the validation artists (averaged
over `selection_window` epochs); test artists never enter. By choice (`refit`) a second network is
then trained on training and validation artists together, for as many epochs. The logits of an
objective that knows only orders are calibrated on the validation artists, before the refit. Draws
depend on (seed, epoch) only, and the checkpoint of an epoch holds everything else, so a killed
training resumes to the same result. Several processes may take the steps together (module `ranks`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from twinear.base.errors import ParamsError, TrainingError
from twinear.base.params import Params
from twinear.model.inputs import InputSpec, LogMel
from twinear.model.network import SiameseNet
from twinear.model.params import ModelParams
from twinear.training import ranks
from twinear.training.augmentation import AugmentationParams, augment
from twinear.training.batches import Batches, ClipInputs, Examples
from twinear.training.checkpoint import (
    Epoch,
    State,
    discard,
    fingerprint,
    finish,
    resume,
    write_checkpoint,
)
from twinear.training.draws import Draws
from twinear.training.losses import OBJECTIVES, ObjectiveName, without_popularity
from twinear.training.pretraining import PretrainingParams, pretrain
from twinear.training.steps import (
    Precision,
    Step,
    StepMode,
    StepParams,
    encode_share,
    make_optimizer,
    prepare_step,
    set_precision,
)
from twinear.training.untrained import fit_axes
from twinear.training.validation import Validator, choose_queries, rank_validation

LEAST_ARTISTS = 2  # of a step


class TrainingParams(Params):
    """How the network is shaped and fitted."""

    model: ModelParams
    objective: ObjectiveName
    popularity_correction: float = Field(ge=0, le=1)
    keep: Literal["better", "always", "never"]
    epochs: int = Field(ge=0)
    patience: int = Field(gt=0)
    selection_window: int = Field(gt=0)
    refit: bool
    batch_artists: int = Field(ge=LEAST_ARTISTS)
    batch_similar: float = Field(ge=0, le=1)
    steps_per_epoch: int = Field(ge=0)
    max_queries: int = Field(ge=0)
    clips_per_artist: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    identity_decay: float = Field(ge=0)
    listener_factors: int = Field(ge=0)
    factors_ridge: float = Field(gt=0)
    factors_weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    ema_decay: float = Field(ge=0, lt=1)
    augmentation: AugmentationParams
    pretraining: PretrainingParams
    precision: Precision
    step: StepMode
    device: Literal["auto", "cpu", "cuda"]
    threads: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**63)

    @property
    def network_alone(self) -> "TrainingParams":
        """The same without listener factors, and whatever comes of it is kept."""
        return self.model_copy(update={"listener_factors": 0, "keep": "always"})

    @property
    def of_step(self) -> StepParams:
        """What a step needs."""
        return StepParams(
            objective=self.objective,
            precision=self.precision,
            identity_decay=self.identity_decay,
            mode=self.step,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted network, its epochs, and the epoch that was chosen."""

    net: SiameseNet  # on the CPU, in evaluation mode
    # the network that has not been trained on the validation artists; `net` itself without a refit.
    # Whatever is tuned on validation artists is tuned with this one.
    before_refit: SiameseNet
    # one record for each epoch, and the epoch with the best validation NDCG
    history: list[Epoch]
    best: Epoch


def fit(
    inputs: InputSpec,
    examples: Examples,
    params: TrainingParams,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    unlabelled: ClipInputs | None = None,
    memory: int | None = None,
) -> Fit:
    """Train until `epochs`, or until `patience` epochs bring no better validation NDCG.

    Listener factors are not fitted here: they need the listens. With `params.refit` a second
    network is then trained for as many epochs on the training and the validation artists together:
    few artists are too few to leave a part of them out.

    Parameters
    ----------
    checkpoint
        Written after every epoch (and `.refit` beside it). One that an unfinished training of the
        same data, params and code left there is resumed; any other is replaced.
    on_epoch
        Called with each record, those before a resume included.
    unlabelled
        Clips to pretrain on, beside those to learn from.
    memory
        In bytes, see `Batches.from_examples`; it changes no result.

    Raises
    ------
    TrainingError
        The loss is no longer a number, the device is not there or its memory is too small for a
        step, or another process that trains along has other data.
    """
    torch.set_num_threads(params.threads)
    set_precision(params.precision)
    _require_full(examples.clip_inputs, params)
    job = _Job(
        inputs=inputs,
        params=params,
        unlabelled=unlabelled,
        device=_device(params.device),
        memory=memory,
    )
    training = examples.select(~examples.validation)
    validation = examples.select(examples.validation)
    state = _train(job, training, validation, checkpoint, on_epoch)
    before_refit = net = state.best_net()
    slope, shift = _validator(job, net.to(job.device), validation).calibrate(net)
    net.cpu()
    if params.refit:
        again = checkpoint.with_suffix(".refit")
        job = replace(job, params=params.model_copy(update={"epochs": state.best_epoch.epoch}))
        net = _train(job, examples, None, again, lambda epoch: None).best_net()
        discard(again)
    finish(checkpoint)
    for fitted in {net, before_refit}:
        fitted.head.rescale(slope, shift)
    return Fit(net=net, before_refit=before_refit, history=state.history, best=state.best_epoch)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """What stays the same from the first fit to the last."""

    inputs: InputSpec
    params: TrainingParams
    unlabelled: ClipInputs | None
    device: torch.device
    memory: int | None


def _train(
    job: _Job,
    training: Examples,
    validation: Examples | None,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None],
) -> State:
    """Train one network; without validation to the last epoch."""
    params = job.params
    examples = [training] if validation is None else [training, validation]
    clips = [part.clip_inputs for part in examples]
    clips += [] if job.unlabelled is None else [job.unlabelled]
    arrays = [array for part in clips for array in part.arrays]
    for part in examples:
        target = part.similarity
        of_target = [target] if isinstance(target, np.ndarray) else [target.data, target.indices]
        arrays += [part.artist_index, *of_target]
    mark = fingerprint(params, job.inputs, arrays)
    ranks.require_same(mark)
    torch.manual_seed(params.seed)
    net = SiameseNet(job.inputs, params.model)
    if ranks.n_ranks() > 1:
        ranks.normalise_over_ranks(net)
    net.to(job.device)
    optimizer = make_optimizer(net, params.learning_rate, params.step)
    state = State(net=net, optimizer=optimizer, selection_window=params.selection_window)
    data, draws = _prepare(state, training, job)
    validator = None if validation is None else _validator(job, net, validation)
    resume(state, checkpoint, mark)
    if params.pretraining.epochs and not state.pretrained:
        _pretrain(state, data, job)
        write_checkpoint(state, checkpoint, mark)
    for record in state.history:
        on_epoch(record)
    run_step = prepare_step(net, optimizer, params.of_step)
    for number in range(len(state.history) + 1, params.epochs + 1):
        if state.history and number - 1 - state.best_epoch.epoch >= params.patience:
            break
        loss, *validated = _run_epoch(state, data, draws, run_step, job, number, validator)
        if not math.isfinite(loss) or math.isinf(validated[0]):
            raise TrainingError(
                f"training: epoch {number}",
                f"the loss is {loss}, of validation {validated[0]}",
                expected="numbers",
                remedy=f"lower training.learning_rate (now {state.learning_rate:g})",
            )
        record = Epoch(
            epoch=number,
            train_loss=loss,
            validation_loss=validated[0],
            validation_ndcg=validated[1],
        )
        state.history.append(record)
        if state.best_epoch is record:
            weights = state.evaluated.state_dict()
            state.best = {name: tensor.clone() for name, tensor in weights.items()}
        write_checkpoint(state, checkpoint, mark)
        on_epoch(record)
    return state


def steps_per_epoch(n_artists: int, batch_artists: int) -> int:
    """Count the steps that together score as many pairs of artists as there are.

    Examples
    --------
    >>> steps_per_epoch(n_artists=100, batch_artists=10)  # 4950 pairs, 45 in a step
    110
    """
    batch = min(batch_artists, n_artists)
    return math.ceil(math.comb(n_artists, 2) / math.comb(batch, 2))


def _prepare(state: State, training: Examples, job: _Job) -> tuple[Batches, Draws]:
    """Copy the training clips to the device and fit the statistics branch to them."""
    params, net = job.params, state.net
    target = without_popularity(training.similarity, params.popularity_correction)
    data = Batches.from_examples(replace(training, similarity=target), job.device, job.memory)
    unchanged = params.augmentation.changes_nothing  # else every step changes clips and statistics
    if net.statistics is not None:
        statistics = data.compute_statistics(job.inputs)
        fit_axes(net.statistics, statistics, data.artist_index)
        ranks.copy_from_first(net)
        if unchanged:
            only = net.convolutions is None
            data = data.with_coordinates(statistics.project(net.statistics), only=only)
    if unchanged:
        data = data.with_averaged_frames(net.convolutions)
    state.start_ema(params.ema_decay)
    return data, Draws(
        clips=data.clips,
        similarity=target,
        n_artists=params.batch_artists,
        n_clips=params.clips_per_artist,
        similar=params.batch_similar,
    )


def _pretrain(state: State, data: Batches, job: _Job) -> None:
    params, joined = job.params, data.clip_inputs.joined
    parts = [data.clip_inputs.values]
    if job.unlabelled is not None:
        parts.append(job.unlabelled.values)
        joined = np.concatenate([joined, job.unlabelled.joined])
    x = torch.cat([torch.from_numpy(np.array(part)) for part in parts]).to(job.device)
    beside = torch.from_numpy(joined).to(data.joined)
    pretrain(
        state.net, x, beside, params.pretraining, params.augmentation, params.learning_rate,
        params.identity_decay, torch.Generator().manual_seed(params.seed),
    )  # fmt: skip
    state.pretrained = True
    state.start_ema(params.ema_decay)


def _run_epoch(
    state: State,
    data: Batches,
    draws: Draws,
    run_step: Step,
    job: _Job,
    number: int,
    validator: Validator | None,
) -> list[float]:
    """Train one epoch: the mean loss of its steps, then loss and NDCG of validation."""
    loss = None
    try:
        loss = _train_epoch(state, data, draws, run_step, job.params, number)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
    if loss is None:  # only here, where the error no longer holds the tensors of the step
        raise _explain_out_of_memory(job, data, draws)

    def validated() -> list[float]:
        return [loss, *((math.nan,) * 2 if validator is None else validator(state.evaluated))]

    return ranks.from_first(validated, 3)


def _train_epoch(
    state: State,
    data: Batches,
    draws: Draws,
    run_step: Step,
    params: TrainingParams,
    number: int,
) -> float:
    """Train one epoch and average the loss of its steps."""
    # one stream for the draws of artists, one for PyTorch's dropout, one for augmentation
    rng = np.random.default_rng([params.seed, number])
    torch.manual_seed(int(rng.integers(2**62)) + ranks.rank())
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    net, spec = state.net.train(), state.net.inputs
    losses = []
    n_steps = params.steps_per_epoch or steps_per_epoch(len(data.clips), params.batch_artists)
    for step in data.take_steps(draws.steps(n_steps, rng)):
        if isinstance(spec, LogMel) and not params.augmentation.changes_nothing:
            step = replace(step, x=augment(step.x, params.augmentation, spec.top_db, generator))
        losses.append(run_step(encode_share(step)))
        if state.ema is not None:
            state.ema.update_parameters(net)
    return float(torch.stack(losses).mean())


def _is_out_of_memory(error: RuntimeError) -> bool:
    # a GPU's error has a class of its own, a CPU's has none
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _explain_out_of_memory(job: _Job, data: Batches, draws: Draws) -> TrainingError:
    """Find how many artists of a step fit, by halving them."""
    params, rng = job.params, np.random.default_rng(0)
    wanted = size = min(params.batch_artists, len(data.clips))
    fits = False
    while size > LEAST_ARTISTS and not fits:
        size //= 2
        torch.cuda.empty_cache()  # does nothing without a GPU
        try:
            net = SiameseNet(job.inputs, params.model).to(job.device)
            artists, rows = replace(draws, n_artists=size).step(rng)
            step = data.take(rows, artists)
            u = step.encode(net, params.precision)  # all clips, so that no other process takes part
            logits = net.head.logit(u, u)
            OBJECTIVES[params.objective](logits, step.artist_index, step.target).backward()
            fits = True
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
    return TrainingError(
        "training.batch_artists",
        f"a step of {wanted} artists does not fit into the memory of the device",
        remedy=f"set it to {size}, which fits" if fits else "use a device with more memory",
    )


def _validator(job: _Job, net: SiameseNet, validation: Examples) -> Validator:
    """Make the validator of a fitted network."""
    params, clips = job.params, Batches.from_examples(validation, job.device, job.memory)
    if net.statistics is not None:
        statistics, only = clips.compute_statistics(job.inputs), net.convolutions is None
        clips = clips.with_coordinates(statistics.project(net.statistics), only=only)
    clips = clips.with_averaged_frames(net.convolutions)
    queries = choose_queries(np.arange(len(clips.clips)), params.max_queries, params.seed)
    return Validator(
        clips=clips,
        queries=queries,
        truth=rank_validation(validation.similarity, queries, params.seed),
        objective=params.objective,
        precision=params.precision,
        seed=params.seed,
    )


def _require_full(clips: ClipInputs, params: TrainingParams) -> None:
    """Require all frames where the clips of a step are changed: their statistics change too.

    Raises
    ------
    ParamsError
        The spectrograms are in the compact form.
    """
    if clips.statistics is None or params.model.branches == "convolutions":
        return
    changed = "pretraining" if params.pretraining.epochs else "augmentation"
    if params.pretraining.epochs or not params.augmentation.changes_nothing:
        raise ParamsError(
            f"params.yaml: training.{changed}",
            "changes spectrograms, and these are stored in the compact form",
            expected="the full form, of whose parts statistics can be computed",
            remedy=f"set storage.form to full, or turn {changed} off",
        )


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "params.yaml: training.device", "found 'cuda', but there is no GPU", remedy="use 'auto'"
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())  # each of several processes has one
