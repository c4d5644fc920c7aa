"""Fit the siamese network to the similarity; one record per epoch; resume where it was killed.

A step draws some artists and some clips of each, encodes every clip once and scores all pairs of
clips from the embeddings; the objective holds the scores against the artists' similarity. It equals
the loss of the same pairs encoded one pair at a time, at a hundredth of the work. An epoch is as
many steps as score each pair of artists once on average, so that an epoch here sees as many pairs
as one of the original's.

The weights kept are those of the epoch with the best NDCG@10 among the validation artists (a mean
over `selection_window` epochs); test artists never enter. By choice the network is then trained
once more on training and validation artists together, for as many epochs. The logits of an
objective that knows only orders are calibrated on the validation artists, before that. Draws depend on
(seed, epoch) only and the checkpoint of an epoch holds everything else, so a training that was
killed goes on to the same result.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from twinear.base.errors import TrainingError
from twinear.base.params import Params
from twinear.model.network import Inputs, ModelParams, SiameseNet
from twinear.training.augmentation import AugmentationParams, augment
from twinear.training.batches import Batches, ClipInputs, Examples, Step
from twinear.training.checkpoint import Epoch, State, fingerprint, finish, resume, write_checkpoint
from twinear.training.losses import OBJECTIVES, Objective, ObjectiveName, without_popularity
from twinear.training.pretraining import PretrainingParams, map_size, pretrain
from twinear.training.validation import Validator, rank_validation


class TrainingParams(Params):
    """How the network is shaped and fitted."""

    model: ModelParams
    objective: ObjectiveName
    popularity_correction: float = Field(ge=0, le=1)
    epochs: int = Field(gt=0)
    patience: int = Field(gt=0)
    selection_window: int = Field(gt=0)
    refit: bool
    batch_artists: int = Field(ge=2)
    batch_similar: float = Field(ge=0, le=1)
    clips_per_artist: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    identity_decay: float = Field(ge=0)
    ema_decay: float = Field(ge=0, lt=1)
    augmentation: AugmentationParams
    pretraining: PretrainingParams
    precision: Literal["float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    threads: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted network, its epochs, and the one that was chosen.

    Attributes
    ----------
    net
        On the CPU, in evaluation mode.
    judged
        The network that the validation artists have judged; `net` itself, unless that was trained
        once more with them. Whatever is tuned on validation is tuned with this one.
    history, best
        One record an epoch, and the epoch with the best validation NDCG.
    """

    net: SiameseNet
    judged: SiameseNet
    history: list[Epoch]
    best: Epoch


def fit(
    inputs: Inputs,
    examples: Examples,
    params: TrainingParams,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    unlabelled: ClipInputs | None = None,
) -> Fit:
    """Train until `epochs`, or until `patience` epochs bring no better validation NDCG.

    With `params.refit` a second network is then trained for as many epochs on the training and
    the validation artists together: few artists are too few to leave a part of them aside.

    Parameters
    ----------
    inputs
        What a clip gives the network.
    examples
        The clips to learn from and those to choose the epoch by.
    checkpoint
        Written after every epoch (and `.refit` beside it). One that an unfinished training of the
        same data, params and code left there is resumed; any other is replaced.
    on_epoch
        Called with each record, those before a resume included.
    unlabelled
        Clips to pretrain on, beside those to learn from.

    Raises
    ------
    TrainingError
        The loss is no longer a number, or the device is not there.
    """
    torch.set_num_threads(params.threads)
    job = _Job(inputs=inputs, params=params, unlabelled=unlabelled, device=_device(params.device))
    learn, check = examples.part(~examples.validation), examples.part(examples.validation)
    judged = _train(job, learn, check, checkpoint, on_epoch)
    units = _units(job, judged.kept(), check)
    net = judged.kept()
    if params.refit:
        job = replace(job, params=params.model_copy(update={"epochs": judged.best_epoch.epoch}))
        again = checkpoint.with_suffix(".refit")
        net = _train(job, examples, None, again, lambda epoch: None).kept()
        again.unlink()
    finish(checkpoint)
    judged_net = judged.kept()
    for each in {net, judged_net}:
        each.head.rescale(*units)
    return Fit(net=net, judged=judged_net, history=judged.history, best=judged.best_epoch)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """What stays the same from the first fit to the last."""

    inputs: Inputs
    params: TrainingParams
    unlabelled: ClipInputs | None
    device: torch.device


def _train(
    job: _Job,
    learn: Examples,
    check: Examples | None,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None],
) -> State:
    """Train one network; without validation to the last epoch."""
    params = job.params
    mark = _fingerprint(job, learn, check)
    state = _start(job)
    data = _learned(state, learn, job)
    judge = None if check is None else _judge(job, state.net, check)
    resume(state, checkpoint, mark)
    if params.pretraining.epochs and not state.pretrained:
        _pretrain(state, data, job)
        write_checkpoint(state, checkpoint, mark)
    for record in state.history:
        on_epoch(record)
    while not _finished(state, params):
        number = len(state.history) + 1
        loss = _epoch(state, data, params, number)
        _record(state, number, loss, (math.nan, math.nan) if judge is None else judge(state.judged))
        write_checkpoint(state, checkpoint, mark)
        on_epoch(state.history[-1])
    return state


def step_loss(
    net: SiameseNet, step: Step, objective: Objective, precision: str = "float32"
) -> Tensor:
    """The objective over the clips of a step, each encoded once."""
    u = step.encode(net, precision)
    return objective(net.head.logit(u, u), step.artist_index, step.target)


def steps_per_epoch(n_artists: int, batch_artists: int) -> int:
    """Steps that together score as many pairs of artists as there are."""
    batch = min(batch_artists, n_artists)
    return math.ceil(math.comb(n_artists, 2) / math.comb(batch, 2))


def _start(job: _Job) -> State:
    torch.manual_seed(job.params.seed)
    net = SiameseNet(job.inputs, job.params.model).to(job.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=job.params.learning_rate)
    return State(net=net, optimizer=optimizer, selection_window=job.params.selection_window)


def _learned(state: State, learn: Examples, job: _Job) -> Batches:
    """The training clips on the device; the summary is fitted to them."""
    params, net = job.params, state.net
    target = without_popularity(learn.similarity, params.popularity_correction)
    data = Batches.of(replace(learn, similarity=target), job.device)
    if net.summary is not None:
        statistics = data.statistics(net.summary)
        net.summary.fit(statistics, torch.from_numpy(data.artist_index).to(job.device))
        if params.augmentation.rests:
            only = net.convolutions is None
            data = data.summarised(net.summary, statistics, only=only)
    state.average(params.ema_decay)
    return data


def _pretrain(state: State, data: Batches, job: _Job) -> None:
    x, pretrained = data.x, data.pretrained
    if job.unlabelled is not None:
        x = torch.cat([x, torch.from_numpy(np.array(job.unlabelled.values)).to(x)])
        more = torch.from_numpy(np.array(job.unlabelled.pretrained)).to(pretrained)
        pretrained = torch.cat([pretrained, more])
    params = job.params
    generator = torch.Generator().manual_seed(params.seed)
    pretrain(
        state.net, x, pretrained, params.pretraining, params.augmentation, params.learning_rate,
        params.identity_decay, generator,
    )  # fmt: skip
    state.pretrained = True
    state.average(params.ema_decay)


def _finished(state: State, params: TrainingParams) -> bool:
    if not state.history:
        return False
    since = len(state.history) - state.best_epoch.epoch
    return len(state.history) >= params.epochs or since >= params.patience


def _epoch(state: State, data: Batches, params: TrainingParams, number: int) -> float:
    """Train one epoch; the mean loss of its steps."""
    rng = np.random.default_rng([params.seed, number])
    torch.manual_seed(int(rng.integers(2**62)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    state.net.train()
    losses = []
    for _ in range(steps_per_epoch(len(data.clips), params.batch_artists)):
        size, n_clips = params.batch_artists, params.clips_per_artist
        artists, rows = data.draw(size, n_clips, params.batch_similar, rng)
        step = _augmented(data.take(rows, artists), state.net, params, generator)
        loss = step_loss(state.net, step, OBJECTIVES[params.objective], params.precision)
        state.optimizer.zero_grad()
        (loss + params.identity_decay * map_size(state.net)).backward()
        state.optimizer.step()
        if state.averaged is not None:
            state.averaged.update_parameters(state.net)
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _augmented(
    step: Step, net: SiameseNet, params: TrainingParams, generator: torch.Generator
) -> Step:
    top_db = net.inputs.top_db
    if params.augmentation.rests or not top_db:
        return step
    return replace(step, x=augment(step.x, params.augmentation, top_db, generator))


def _record(state: State, number: int, loss: float, validation: tuple[float, float]) -> None:
    validation_loss, score = validation
    if not math.isfinite(loss) or math.isinf(validation_loss):
        raise TrainingError(
            f"training: epoch {number}",
            f"the loss is {loss}, of validation {validation_loss}",
            expected="numbers",
            remedy=f"lower training.learning_rate (now {state.learning_rate:g})",
        )
    record = Epoch(
        epoch=number,
        train_loss=loss,
        validation_loss=validation_loss,
        validation_ndcg=score,
    )
    state.history.append(record)
    if state.best_epoch is record:
        kept = state.judged.state_dict()
        state.best = {name: each.clone() for name, each in kept.items()}


def _judge(job: _Job, net: SiameseNet, check: Examples) -> Validator:
    params, clips = job.params, Batches.of(check, job.device)
    if net.summary is not None:
        statistics, only = clips.statistics(net.summary), net.convolutions is None
        clips = clips.summarised(net.summary, statistics, only=only)
    return Validator(
        clips=clips,
        truth=rank_validation(check.similarity, params.seed),
        objective=params.objective,
        precision=params.precision,
        seed=params.seed,
    )


def _units(job: _Job, net: SiameseNet, check: Examples) -> tuple[float, float]:
    """The slope and shift of the logit, of a network that is left on the CPU."""
    units = _judge(job, net.to(job.device), check).units(net)
    net.cpu()
    return units


def _fingerprint(job: _Job, learn: Examples, check: Examples | None) -> str:
    sounds = [each.clip_inputs for each in (learn, check) if each is not None]
    sounds += [] if job.unlabelled is None else [job.unlabelled]
    arrays = [array for each in sounds for array in (each.values, each.pretrained)]
    for each in (learn, check):
        arrays += [] if each is None else [each.artist_index, each.similarity]
    return fingerprint(job.params, job.inputs, arrays)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "params.yaml: training.device", "found 'cuda', but there is no GPU", remedy="use 'auto'"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
