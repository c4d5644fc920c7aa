"""Start the training stage in several processes, as torchrun does.

`TWINEAR_PROCESSES=4 dvc repro` starts four on this machine; torchrun itself starts them over
several machines. torchrun's own variables (`PET_MAX_RESTARTS`, …) keep their meaning.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path

import torch

from twinear.base.errors import TrainingError, TwinearError

PROCESSES = "TWINEAR_PROCESSES"  # environment variable: a number, or gpu: one for each GPU


def in_processes(stage: Callable[..., None]) -> Callable[..., None]:
    """Let a stage script run itself once in each of `TWINEAR_PROCESSES` processes."""

    @wraps(stage)
    def start(*paths: Path) -> None:
        n = n_processes(os.environ)
        if n == 1 or torch.distributed.is_torchelastic_launched():
            stage(*paths)
            if int(os.environ.get("RANK", "0")) > 0:
                raise SystemExit  # the process of rank 0 alone says how long it took
        else:
            _start(n, [sys.argv[0], *map(str, paths)])

    return start


def n_processes(environment: Mapping[str, str]) -> int:
    """Return how many processes are wanted on this machine.

    Raises
    ------
    TwinearError
        The variable holds no number above 0, or asks for GPUs and there is none.

    Examples
    --------
    >>> n_processes({}), n_processes({"TWINEAR_PROCESSES": "4"})
    (1, 4)
    """
    wanted = environment.get(PROCESSES) or "1"
    n = torch.cuda.device_count() if wanted == "gpu" else int(wanted) if wanted.isdigit() else 0
    if n == 0:
        found = "found 'gpu', but there is no GPU" if wanted == "gpu" else f"found {wanted!r}"
        raise TwinearError(PROCESSES, found, expected="a number of processes, or gpu")
    return n


def _start(n: int, command: list[str]) -> None:
    """Run a script and its arguments in `n` processes until all have ended."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun, which would warn of it
    # else processes that are restarted may find the addresses of those that ended
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    options = ["--standalone", "--nproc-per-node", str(n)]
    try:
        run(get_args_parser().parse_args([*options, *command]))
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        code = failure.exitcode
        found = f"process {number} of {n} ended with status {code}"
        if code < 0:
            found = f"process {number} of {n} was ended by {signal.Signals(-code).name}"
        remedy = "its message, if any, is above; run the same command again: it resumes"
        raise TrainingError("training", found, remedy=remedy) from None
