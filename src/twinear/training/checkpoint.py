"""The state of a training on disk: whole or absent, and resumed only where it belongs.

A checkpoint bears the fingerprint of all that decides the result: data, params, and the code of
the network and its training. One of another fingerprint, of a training that ended, or a damaged one
is no checkpoint. Of several processes that train together rank 0 alone reads and writes it.
"""

import hashlib
import io
import json
import math
import pickle
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from twinear import model, spectrograms, training
from twinear.base.files import code_digest, replacing
from twinear.base.params import Params
from twinear.model.inputs import InputSpec
from twinear.model.network import SiameseNet
from twinear.spectrograms.shards import Shards
from twinear.training import ranks


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What is recorded of an epoch; losses are those of the objective."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_ndcg: float

    @property
    def measures(self) -> dict[str, float]:
        """All but the number of the epoch."""
        return {name: value for name, value in asdict(self).items() if name != "epoch"}


@dataclass(kw_only=True, eq=False)
class State:
    """Everything that changes while fitting; what a checkpoint holds."""

    net: SiameseNet
    optimizer: torch.optim.Adam
    selection_window: int  # how many epochs' validation NDCG are averaged to choose one
    ema: AveragedModel | None = None
    pretrained: bool = False
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def start_ema(self, decay: float) -> None:
        """Start an exponential moving average of the weights, if `decay` is more than 0."""
        if decay:
            mean = get_ema_multi_avg_fn(decay)
            self.ema = AveragedModel(self.net, multi_avg_fn=mean, use_buffers=True)

    @property
    def evaluated(self) -> SiameseNet:
        """The network that is validated and kept: the moving average, where there is one."""
        return self.net if self.ema is None else cast(SiameseNet, self.ema.module)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the optimizer."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def best_epoch(self) -> Epoch:
        """The epoch with the best mean validation NDCG; without validation the last."""
        scores = [epoch.validation_ndcg for epoch in self.history]
        if math.isnan(scores[-1]):
            return self.history[-1]
        first = min(self.selection_window, len(scores))  # before that a mean is of fewer epochs
        means = [np.mean(scores[end - first : end]) for end in range(first, len(scores) + 1)]
        return self.history[first - 1 + int(np.argmax(means))]

    def best_net(self) -> SiameseNet:
        """The network of the best epoch, on the CPU, in evaluation mode."""
        self.net.load_state_dict(self.best)
        return self.net.cpu().eval()


def fingerprint(params: Params, inputs: InputSpec, arrays: Iterable[np.ndarray | Shards]) -> str:
    """Hash params, data and the code of the network and its training."""
    code = code_digest(model, spectrograms, training)
    digest = hashlib.sha256(f"{params.model_dump_json()}{inputs}{code}".encode())
    for array in arrays:
        for part in array.blocks() if isinstance(array, Shards) else [array]:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def write_checkpoint(state: State, path: Path, mark: str) -> None:
    """Write the state of an unfinished training whose fingerprint is `mark`."""
    content = {
        "fingerprint": mark,
        "finished": False,
        "pretrained": state.pretrained,
        "history": json.dumps([asdict(each) for each in state.history]),
        "net": state.net.state_dict(),
        "ema": {} if state.ema is None else state.ema.state_dict(),
        "best": state.best,
        "optimizer": state.optimizer.state_dict(),
    }
    _write(content, path)


def finish(path: Path) -> None:
    """Note that the training of a checkpoint has ended: it is not resumed any more."""
    if ranks.rank() == 0:
        _write(_parse(_read(path)) | {"finished": True}, path)


def discard(path: Path) -> None:
    """Remove the checkpoint of a training that was a step of another one."""
    if ranks.rank() == 0:
        path.unlink()


def write_finished(path: Path) -> None:
    """Write the checkpoint of a training that had no step to take: it is never resumed."""
    _write({"fingerprint": "", "finished": True}, path)


def _write(content: dict[str, Any], path: Path) -> None:
    if ranks.rank() != 0:
        return
    # not to the file itself: its name would become part of the bytes, and torch would make an error
    # without a reason of a full disk
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def resume(state: State, path: Path, mark: str) -> None:
    """Take over the checkpoint of an unfinished training of the same fingerprint, if any."""
    content = _parse(ranks.bytes_from_first(_read(path)))
    if content.get("fingerprint") != mark or content["finished"]:
        return
    state.net.load_state_dict(content["net"])
    if state.ema is not None:
        state.ema.load_state_dict(content["ema"])
    # the options of this device, on which the training may have begun or not
    options = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict(content["optimizer"] | {"param_groups": options})
    state.pretrained = content["pretrained"]
    state.best = content["best"]
    state.history = [Epoch(**each) for each in json.loads(content["history"])]


def _read(path: Path) -> bytes:
    return path.read_bytes() if ranks.rank() == 0 and path.exists() else b""


def _parse(text: bytes) -> dict[str, Any]:
    try:
        if ZipFile(io.BytesIO(text)).testzip():  # torch does not compare the checksums
            return {}
        content = torch.load(io.BytesIO(text), weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, ValueError, BadZipFile, zlib.error, pickle.UnpicklingError):
        return {}  # a damaged checkpoint is no checkpoint
    return content if isinstance(content, dict) else {}
