"""One step of training: the loss of its clips, the gradients, the optimizer.

There are two ways to run it, with the same result but for rounding:

- `plain`: operation by operation. The reference for the other.
- `graph`: on a GPU, the whole step is recorded once as a CUDA graph and replayed. A small network
  spends most of a step on launching kernels, which a graph does in one call.

`torch.compile` was slower than a graph and is not offered.

Several processes (`ranks`) take steps together by `DistributedDataParallel`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from twinear.base.errors import TrainingError
from twinear.model.network import SiameseNet
from twinear.training.batches import StepClips
from twinear.training.losses import OBJECTIVES, Objective, ObjectiveName
from twinear.training.pretraining import map_size
from twinear.training.ranks import gather_clips, n_ranks, own_share

StepMode = Literal["auto", "plain", "graph"]  # auto: graph on a GPU, of one process
Precision = Literal["float32", "tf32", "bfloat16"]
Step = Callable[[StepClips], Tensor]  # takes a step; returns its loss, a scalar without gradient

STEP_KEY = "params.yaml: training.step"
WARM_UP = 3  # plain steps of a shape before it is recorded; PyTorch allocates and chooses kernels
MAX_GRAPHS = 32  # shapes that are recorded; steps differ in their clips where artists do


def step_loss(
    net: SiameseNet, step: StepClips, objective: Objective, precision: str = "float32"
) -> Tensor:
    """Compute the objective over the clips of a step, each encoded once.

    Of several processes each has the own share of the clips, and the artists of all.
    """
    u = gather_clips(step.encode(net, precision), len(step.artist_index))
    return objective(net.head.logit(u, u), step.artist_index, step.target)


class StepLoss(nn.Module):
    """`step_loss` as a module over tensors, which `DistributedDataParallel` and `compile` take."""

    def __init__(self, net: SiameseNet, objective: ObjectiveName, precision: Precision) -> None:
        super().__init__()
        self.net, self.objective, self.precision = net, objective, precision

    def forward(
        self, x: Tensor, joined: Tensor, coordinates: Tensor | None, index: Tensor, target: Tensor
    ) -> Tensor:
        """Compute the loss of the fields of `StepClips`."""
        step = StepClips(
            x=x, joined=joined, coordinates=coordinates, artist_index=index, target=target
        )
        return step_loss(self.net, step, OBJECTIVES[self.objective], self.precision)


@dataclass(frozen=True, kw_only=True)
class StepParams:
    """What of the params of a training a step needs."""

    objective: ObjectiveName
    precision: Precision
    identity_decay: float
    mode: StepMode


def prepare_step(net: SiameseNet, optimizer: torch.optim.Optimizer, params: StepParams) -> Step:
    """Prepare the steps of a network and its optimizer, both on their device.

    Raises
    ------
    TrainingError
        A graph is wanted without a GPU, or of several processes.
    """
    recorded = uses_graph(net, params.mode)
    loss_of: Callable[..., Tensor] = StepLoss(net, params.objective, params.precision)
    if n_ranks() > 1:
        # buffers are equal already, see `ranks.AllRanksBatchNorm`
        loss_of = DistributedDataParallel(loss_of, forward_sync_buffers=False)

    def take(step: StepClips) -> Tensor:
        loss = loss_of(step.x, step.joined, step.coordinates, step.artist_index, step.target)
        optimizer.zero_grad()
        (loss + params.identity_decay * map_size(net)).backward()
        optimizer.step()
        return loss.detach()

    return _Recorded(net, optimizer, take) if recorded else take


def uses_graph(net: SiameseNet, mode: StepMode) -> bool:
    """Say whether the steps of a network, on its device, are recorded as CUDA graphs."""
    possible = _on_gpu(net) and n_ranks() == 1
    if mode == "graph" and not possible:
        found = "several processes" if n_ranks() > 1 else "no GPU"
        raise TrainingError(STEP_KEY, f"found 'graph' and {found}", remedy="use 'auto'")
    return possible and mode != "plain"


def make_optimizer(net: SiameseNet, learning_rate: float, mode: StepMode) -> torch.optim.Adam:
    """Make the optimizer of a network; on a GPU one kernel updates all its parameters."""
    if not _on_gpu(net):
        return torch.optim.Adam(net.parameters(), lr=learning_rate)
    return torch.optim.Adam(
        net.parameters(), lr=learning_rate, fused=True, capturable=uses_graph(net, mode)
    )


def _on_gpu(net: SiameseNet) -> bool:
    return next(net.parameters()).device.type == "cuda"


def set_precision(precision: Precision) -> None:
    """Let a GPU multiply in TF32 (10 bits of fraction) or exactly; a CPU is always exact."""
    kind = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = kind
    torch.backends.cudnn.conv.fp32_precision = kind  # type: ignore[attr-defined]


def encode_share(step: StepClips) -> StepClips:
    """Keep the clips of a step that this process encodes, and the artists of all."""
    if n_ranks() == 1:
        return step
    own = own_share(len(step.artist_index))
    coordinates = None if step.coordinates is None else step.coordinates[own]
    return replace(step, x=step.x[own], joined=step.joined[own], coordinates=coordinates)


class _Recorded:
    """Steps recorded as CUDA graphs, one for each shape of their tensors."""

    def __init__(self, net: SiameseNet, optimizer: torch.optim.Optimizer, take: Step) -> None:
        self._net, self._optimizer, self._take = net, optimizer, take
        self._seen: Counter[tuple[torch.Size, ...]] = Counter()
        self._graphs: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, StepClips, Tensor]]
        self._graphs = {}
        self._pool = torch.cuda.graph_pool_handle()  # the graphs never run at the same time
        self._stream = torch.cuda.Stream()

    def __call__(self, step: StepClips) -> Tensor:
        if step.coordinates is None and self._net.statistics is not None:
            # an eigendecomposition cannot be recorded; no parameter is behind it
            coordinates = self._net.statistics.coordinates(step.x, step.joined)
            step = replace(step, coordinates=coordinates)
        shape = tuple(tensor.shape for tensor in _tensors(step))
        self._seen[shape] += 1
        if shape not in self._graphs:
            if self._seen[shape] <= WARM_UP or len(self._graphs) == MAX_GRAPHS:
                self._stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(self._stream):
                    loss = self._take(step)
                torch.cuda.current_stream().wait_stream(self._stream)
                return loss
            self._record(shape, step)
        graph, inputs, loss = self._graphs[shape]
        for held, new in zip(_tensors(inputs), _tensors(step), strict=True):
            held.copy_(new)
        graph.replay()
        return loss.clone()  # the next replay overwrites it

    def _record(self, shape: tuple[torch.Size, ...], step: StepClips) -> None:
        """Record a step without taking it."""
        x, joined, index, target, *rest = (tensor.clone() for tensor in _tensors(step))
        inputs = StepClips(
            x=x,
            joined=joined,
            coordinates=rest[0] if rest else None,
            artist_index=index,
            target=target,
        )
        self._optimizer.zero_grad()  # the graph has gradients of its own
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            loss = self._take(inputs)
        self._graphs[shape] = graph, inputs, loss


def _tensors(step: StepClips) -> list[Tensor]:
    rest = [] if step.coordinates is None else [step.coordinates]
    return [step.x, step.joined, step.artist_index, step.target, *rest]
