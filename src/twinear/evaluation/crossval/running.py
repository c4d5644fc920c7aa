"""All folds and seeds, each trained once: in this process, or in several."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from twinear.base.errors import TrainingError
from twinear.evaluation.crossval.scoring import FoldScores, Task, score_fold
from twinear.training.checkpoint import Epoch

LISTEN_SECONDS = 0.5  # between two looks for Ctrl-C


def finished(tasks: Sequence[Task]) -> dict[Task, FoldScores]:
    """The tasks whose scores are there already, in the work folder."""
    found = {task: FoldScores.read(task.path, task.fingerprint) for task in tasks}
    return {task: scores for task, scores in found.items() if scores is not None}


def run_tasks(
    tasks: Sequence[Task], jobs: int, on_epoch: Callable[[Task, Epoch], None]
) -> Iterator[tuple[Task, FoldScores]]:
    """Do every task; yield each when it is done.

    Parameters
    ----------
    jobs
        Processes; with one, everything happens here and `on_epoch` is called.

    Raises
    ------
    TrainingError
        A training failed, or its process died.
    """
    if jobs == 1:
        for task in tasks:
            yield task, score_fold(task, partial(on_epoch, task))
        return
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_die_of_interrupts)
    done = False
    try:
        waiting = {executor.submit(score_fold, task): task for task in tasks}
        while waiting:
            # A lock without a timeout may sleep through Ctrl-C, where another thread gets it.
            ready, _ = wait(waiting, timeout=LISTEN_SECONDS, return_when=FIRST_COMPLETED)
            for future in ready:
                yield waiting.pop(future), future.result()
        done = True
    except BrokenProcessPool as error:
        raise TrainingError(
            "crossval",
            "a training process died, perhaps for want of memory",
            remedy="take fewer --jobs and run it again: finished folds stay",
        ) from error
    finally:
        if not done:
            for process in multiprocessing.active_children():
                process.terminate()
        executor.shutdown(cancel_futures=True)


def _die_of_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback; the parent says it
