"""Several processes that train one network together: their ranks, and what they exchange.

Started by torchrun, every process runs the same program over the same data and draws the same
steps. It encodes its share of the clips of a step; `sum_over_ranks` brings the embeddings of all
shares together, so that a step scores the pairs of all its clips. Batch normalisation takes mean
and variance over all shares. The gradient is then that of one process that encodes all clips, but
for rounding. The processes use the device and the gradients' mean of `DistributedDataParallel`.

What one process decides for all (an epoch's record, what a checkpoint holds) comes from rank 0,
which alone writes files.

Without torchrun there is one process, and every function here gives back what it is given.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from twinear.base.errors import TrainingError

ENDED = "another process of the training ended"
RESUME = "its own message is above; run the same command again, which resumes at the last epoch"


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the processes that torchrun has started, for the length of the block.

    `device` is `training.device`; each process takes a GPU of its own where there are any.

    Raises
    ------
    TrainingError
        There are fewer GPUs than processes on this machine, or a process has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        number, n_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= n_gpus:
            raise TrainingError(
                "training",
                f"{os.environ['LOCAL_WORLD_SIZE']} processes",
                expected=f"at most {n_gpus}, the number of GPUs",
                remedy="lower --nproc-per-node, or TWINEAR_PROCESSES",
            )
        torch.cuda.set_device(number)
    # tensors of the CPU and of the GPU are both exchanged
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield
    except dist.DistError as error:
        raise TrainingError("training", ENDED, remedy=RESUME) from error
    except RuntimeError as error:
        if "gloo" not in str(error):  # its errors have no class of their own
            raise
        raise TrainingError("training", ENDED, remedy=RESUME) from error
    finally:
        dist.destroy_process_group()


def n_ranks() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_share(n: int) -> slice:
    """Return which of the `n` clips of a step this process encodes."""
    return slice(n * rank() // n_ranks(), n * (rank() + 1) // n_ranks())


def from_first(compute: Callable[[], list[float]], n: int) -> list[float]:
    """Compute `n` numbers in the process of rank 0, and give them to all."""
    if n_ranks() == 1:
        return compute()
    numbers = compute() if rank() == 0 else [0.0] * n
    sent = torch.tensor(numbers, dtype=torch.float64)
    dist.broadcast(sent, src=0)
    received: list[float] = sent.tolist()
    return received


def bytes_from_first(content: bytes) -> bytes:
    """Give the bytes of the process of rank 0 to all."""
    if n_ranks() == 1:
        return content
    (n,) = from_first(lambda: [float(len(content))], 1)
    sent = torch.zeros(int(n), dtype=torch.uint8)
    if rank() == 0 and content:
        sent = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    dist.broadcast(sent, src=0)
    return sent.numpy().tobytes()


def require_same(mark: str) -> None:
    """Refuse to train with a process that has other data, params or code than rank 0.

    Raises
    ------
    TrainingError
        `mark`, their fingerprint, differs.
    """
    if bytes_from_first(mark.encode()) != mark.encode():
        raise TrainingError(
            f"training: process {rank()}",
            "has other data, params or code than process 0",
            remedy="let all machines see one project folder",
        )


@torch.no_grad()
def copy_from_first(net: nn.Module) -> None:
    """Make parameters and buffers those of the process of rank 0."""
    if n_ranks() > 1:
        for tensor in net.state_dict().values():
            dist.broadcast(tensor, src=0)


class _Sum(torch.autograd.Function):
    """The sum over the ranks; each rank's loss depends on it, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def sum_over_ranks(own: Tensor) -> Tensor:
    """Sum a tensor over all processes, with gradients."""
    total: Tensor = own if n_ranks() == 1 else _Sum.apply(own)  # type: ignore[no-untyped-call]
    return total


def gather_clips(own: Tensor, n_clips: int) -> Tensor:
    """Bring the embeddings of all shares together, with gradients.

    Parameters
    ----------
    own
        Of the clips in `own_share`, (own clips, units).
    n_clips
        How many clips the step has.

    Returns
    -------
    (clips, units).
    """
    if n_ranks() == 1:
        return own
    # a sum with zeros instead of a gathering: shares may differ in size, and gloo takes it
    everything = own.new_zeros((n_clips, own.shape[1]))
    share = own_share(n_clips)
    before, after = everything[: share.start], everything[share.stop :]
    return sum_over_ranks(torch.cat([before, own, after]))


class AllRanksBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the clips of all processes, on any device.

    PyTorch's `SyncBatchNorm` is for GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (own clips, channels, height, width)."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None  # noqa: S101
        assert self.running_var is not None  # noqa: S101
        assert self.momentum is not None  # noqa: S101
        exact = x.to(self.weight.dtype)  # never in reduced precision
        size = exact.new_tensor([exact.numel() / self.num_features])
        sums = sum_over_ranks(torch.cat([exact.sum(dim=(0, 2, 3)), size]))
        n, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = exact - mean[:, None, None]
        variance = sum_over_ranks(centred.square().sum(dim=(0, 2, 3))) / n
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def normalise_over_ranks(net: nn.Module) -> None:
    """Let every batch normalisation of a network take the clips of all processes."""
    for name, module in net.named_children():
        if isinstance(module, nn.BatchNorm2d):
            replaced = AllRanksBatchNorm(module.num_features, eps=module.eps)
            replaced.load_state_dict(module.state_dict())
            setattr(net, name, replaced)
        else:
            normalise_over_ranks(module)
