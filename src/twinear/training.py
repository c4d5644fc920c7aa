"""Fit the siamese network to the similarity; one record per epoch; resume where it was killed.

A step draws some artists and some clips of each, encodes every clip once and scores all pairs of
clips of different artists from the embeddings; the loss is the mean squared difference to the
artists' similarity. It equals the loss of the same pairs encoded one pair at a time, at a
hundredth of the work. An epoch is as many steps as score each pair of artists once on average,
so that an epoch here sees as many pairs as one of the original's.

The weights kept are those of the epoch with the best NDCG@10 among the validation artists; test
artists never enter. Draws depend on (seed, epoch) only and the checkpoint of an epoch holds
everything else, so a training that was killed goes on to the same result.
"""

import hashlib
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from twinear import model as model_module
from twinear.errors import DataError, TrainingError
from twinear.files import replacing, sha256
from twinear.model import ModelParams, SiameseNet
from twinear.params import Params
from twinear.ranking.metrics import Truth, others, query_ndcg, rank_truth

if TYPE_CHECKING:
    from twinear.similarity.similarity import Similarity
    from twinear.spectrograms import Spectrograms

NDCG_AT = 10


class TrainingParams(Params):
    """How the network is shaped and fitted."""

    model: ModelParams
    epochs: int = Field(gt=0)
    patience: int = Field(gt=0)
    batch_artists: int = Field(ge=2)
    clips_per_artist: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    precision: Literal["float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    threads: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The clips of one split and the similarity of its artists.

    Attributes
    ----------
    values
        Log-mel spectrograms, (clips, n_mels, n_frames).
    owner
        The artist of each clip, a row of `similarity`; (clips,), every artist has one.
    similarity
        The target, (artists, artists), in [0, 1].
    """

    values: np.ndarray
    owner: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What is recorded of an epoch; losses are mean squared errors."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_ndcg: float

    @property
    def measures(self) -> dict[str, float]:
        """All but the number of the epoch."""
        return {name: value for name, value in asdict(self).items() if name != "epoch"}


@dataclass(kw_only=True, eq=False)
class _State:
    """Everything that changes while fitting; what a checkpoint holds."""

    net: SiameseNet
    optimizer: torch.optim.Adam
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def best_epoch(self) -> Epoch:
        return max(self.history, key=lambda each: each.validation_ndcg)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted network (on the CPU, in evaluation mode), its epochs, and the one it is of."""

    net: SiameseNet
    history: list[Epoch]
    best: Epoch


def fit(
    train: Examples,
    validation: Examples,
    params: TrainingParams,
    checkpoint: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Fit:
    """Train until `epochs`, or until `patience` epochs bring no better validation NDCG.

    Parameters
    ----------
    train, validation
        The clips to learn from and those to choose the epoch by.
    checkpoint
        Written after every epoch. One that an unfinished training of the same data, params and
        code left there is resumed; any other is replaced.
    on_epoch
        Called with each record, those before a resume included.

    Raises
    ------
    TrainingError
        The loss is no longer a number, or the device is not there.
    """
    torch.set_num_threads(params.threads)
    device = _device(params.device)
    fingerprint = _fingerprint(train, validation, params)
    state = _start(train.values.shape[1], params, device)
    _resume(state, checkpoint, fingerprint)
    for record in state.history:
        on_epoch(record)
    learn, check = _Batches.of(train, device), _Batches.of(validation, device)
    truth = _truth(validation, params.seed)
    while not _finished(state, params):
        number = len(state.history) + 1
        loss = _epoch(state, learn, params, number)
        _record(state, number, loss, _validate(state.net, check, truth, params))
        _write_checkpoint(state, checkpoint, fingerprint, finished=_finished(state, params))
        on_epoch(state.history[-1])
    state.net.load_state_dict(state.best)
    return Fit(net=state.net.cpu().eval(), history=state.history, best=state.best_epoch)


def pair_loss(net: SiameseNet, x: Tensor, owner: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all ordered pairs of clips of different artists.

    Parameters
    ----------
    x
        (clips, n_mels, n_frames); each is encoded once.
    owner
        (clips,) rows of `target`.
    target
        (artists, artists).
    """
    u = net.encode(x).to(net.weight.dtype)
    return _squared_error(net.score(u, u), owner, target)


def _squared_error(scores: Tensor, owner: Tensor, target: Tensor) -> Tensor:
    error = (scores - target[owner][:, owner]).square()  # (clips, clips)
    return error[owner[:, None] != owner].mean()


def steps_per_epoch(n_artists: int, batch_artists: int) -> int:
    """Steps that together score as many pairs of artists as there are."""
    batch = min(batch_artists, n_artists)
    return math.ceil(math.comb(n_artists, 2) / math.comb(batch, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batches:
    """Examples on the device, and the clips of each artist."""

    x: Tensor
    target: Tensor
    owner: np.ndarray
    clips: list[np.ndarray]

    @classmethod
    def of(cls, examples: Examples, device: torch.device) -> "_Batches":
        n_artists = len(examples.similarity)
        clips = [np.flatnonzero(examples.owner == each) for each in range(n_artists)]
        if min(map(len, clips)) == 0:
            raise DataError("training", "an artist without a clip", remedy="run 'dvc repro pairs'")
        return cls(
            x=torch.from_numpy(np.array(examples.values, dtype=np.float16)).to(device),
            target=torch.from_numpy(np.array(examples.similarity, dtype=np.float32)).to(device),
            owner=examples.owner,
            clips=clips,
        )

    def draw(self, params: TrainingParams, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The clips (clips, n_mels, n_frames) and artists (clips,) of one step."""
        size = min(params.batch_artists, len(self.clips))
        artists = rng.choice(len(self.clips), size=size, replace=False)
        n_clips = params.clips_per_artist
        rows = np.concatenate([rng.permutation(self.clips[each])[:n_clips] for each in artists])
        return self.take(rows)

    def take(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(rows).to(self.x.device)
        return self.x[index].float(), torch.from_numpy(self.owner[rows]).to(self.x.device)


def _start(n_mels: int, params: TrainingParams, device: torch.device) -> _State:
    torch.manual_seed(params.seed)
    net = SiameseNet(n_mels, params.model).to(device)
    return _State(net=net, optimizer=torch.optim.Adam(net.parameters(), lr=params.learning_rate))


def _finished(state: _State, params: TrainingParams) -> bool:
    if not state.history:
        return False
    since = len(state.history) - state.best_epoch.epoch
    return len(state.history) >= params.epochs or since >= params.patience


def _epoch(state: _State, data: _Batches, params: TrainingParams, number: int) -> float:
    """Train one epoch; the mean loss of its steps."""
    rng = np.random.default_rng([params.seed, number])
    torch.manual_seed(int(rng.integers(2**62)))
    state.net.train()
    losses = []
    for _ in range(steps_per_epoch(len(data.clips), params.batch_artists)):
        x, owner = data.draw(params, rng)
        with _autocast(data.x.device, params.precision):
            loss = pair_loss(state.net, x, owner, data.target)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _record(state: _State, number: int, loss: float, validation: tuple[float, float]) -> None:
    validation_loss, score = validation
    if not (math.isfinite(loss) and math.isfinite(validation_loss)):
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
        state.best = {name: each.clone() for name, each in state.net.state_dict().items()}


@torch.no_grad()
def _validate(
    net: SiameseNet, check: _Batches, truth: Truth, params: TrainingParams
) -> tuple[float, float]:
    """Mean squared error and NDCG@10 of the validation artists among themselves."""
    net.eval()
    parts = []
    for rows in np.array_split(np.arange(len(check.owner)), math.ceil(len(check.owner) / 256)):
        with _autocast(check.x.device, params.precision):
            parts.append(net.encode(check.take(rows)[0]).to(net.weight.dtype))
    u = torch.cat(parts)
    scores = net.score(u, u)
    owner = torch.from_numpy(check.owner).to(u.device)
    loss = float(_squared_error(scores, owner, check.target))
    if not math.isfinite(loss):
        return loss, math.nan
    generator = np.random.default_rng(params.seed)
    by_artist = average_clips(scores, check.owner).cpu().numpy()
    return loss, float(np.nanmean(query_ndcg(truth, by_artist, NDCG_AT, generator)))


def _truth(validation: Examples, seed: int) -> Truth:
    candidates = others(len(validation.similarity))
    truth = rank_truth(validation.similarity, candidates, NDCG_AT, np.random.default_rng(seed))
    if not (truth.similarity > 0).any():
        raise DataError(
            "training",
            "no two validation artists share a listener",
            remedy="bring more listens, or give validation a larger share in pairs.fractions",
        )
    return truth


def average_clips(scores: Tensor, owner: np.ndarray) -> Tensor:
    """Clip pairs (clips, clips) to artist pairs (artists, artists): the mean over clip pairs."""
    member = torch.nn.functional.one_hot(torch.from_numpy(owner)).to(scores)
    mean = member / member.sum(0)  # (clips, artists)
    return mean.T @ scores @ mean


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "params.yaml: training.device", "found 'cuda', but there is no GPU", remedy="use 'auto'"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _fingerprint(train: Examples, validation: Examples, params: TrainingParams) -> str:
    """A hash of all that decides the result: data, params and the code of net and training."""
    digest = hashlib.sha256(params.model_dump_json().encode())
    for module in (__file__, model_module.__file__):
        digest.update(sha256(Path(module)).encode())
    for examples in (train, validation):
        for array in (examples.values, examples.owner, examples.similarity):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write_checkpoint(state: _State, path: Path, fingerprint: str, *, finished: bool) -> None:
    content = {
        "fingerprint": fingerprint,
        "finished": finished,
        "history": json.dumps([asdict(each) for each in state.history]),
        "net": state.net.state_dict(),
        "best": state.best,
        "optimizer": state.optimizer.state_dict(),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # a file, not its name: the name would become part of the bytes


def _resume(state: _State, path: Path, fingerprint: str) -> None:
    """Take over the checkpoint of an unfinished training of the same fingerprint, if any."""
    content = _read_checkpoint(path)
    if content.get("fingerprint") != fingerprint or content["finished"]:
        return
    state.net.load_state_dict(content["net"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.best = content["best"]
    state.history = [Epoch(**each) for each in json.loads(content["history"])]


def _read_checkpoint(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        return {}  # a damaged checkpoint is no checkpoint
    return content if isinstance(content, dict) else {}


def examples_of(clips: "Spectrograms", similarity: "Similarity", artists: list[str]) -> Examples:
    """The clips of some artists, and the similarity of those artists in that order."""
    row = {artist: i for i, artist in enumerate(artists)}
    owner = np.array([row.get(each, -1) for each in clips.clips["artist"]], dtype=np.int64)
    chosen = np.flatnonzero(owner >= 0)
    rows = pd.Index(similarity.artists["artist"]).get_indexer(artists)
    return Examples(
        values=clips.values[chosen],
        owner=owner[chosen],
        similarity=similarity.matrix[np.ix_(rows, rows)],
    )
