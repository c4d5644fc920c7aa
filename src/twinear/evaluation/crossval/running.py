"""Train all folds and seeds, each once: in this process, or in several."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from twinear.base.errors import TrainingError
from twinear.evaluation.crossval.fold_scores import FoldScores, Task, score_fold
from twinear.training.checkpoint import Epoch

POLL_SECONDS = 0.5  # between two checks for Ctrl-C


def read_finished(tasks: Sequence[Task]) -> dict[Task, FoldScores]:
    """Read the scores of the tasks that an earlier run finished."""
    read = {task: FoldScores.read(task.path, task.fingerprint) for task in tasks}
    return {task: scores for task, scores in read.items() if scores is not None}


def run_tasks(
    tasks: Sequence[Task], jobs: int, on_epoch: Callable[[Task, Epoch], None]
) -> Iterator[tuple[Task, FoldScores]]:
    """Run every task in `jobs` processes; yield each with its scores when it is done.

    With 1 everything runs in this process, and `on_epoch` is called.

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
    interrupts = (signal.SIGINT, signal.SIG_DFL)  # no traceback; the parent reports it
    executor = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=signal.signal, initargs=interrupts
    )
    done = False
    try:
        waiting = {executor.submit(score_fold, task): task for task in tasks}
        while waiting:
            # Waiting without a timeout may sleep through Ctrl-C, if another thread receives it.
            ready, _ = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in ready:
                yield waiting.pop(future), future.result()
        done = True
    except BrokenProcessPool as error:
        raise TrainingError(
            "crossval",
            "a training process died, perhaps for lack of memory",
            remedy="take fewer --jobs and run it again: finished folds are kept",
        ) from error
    finally:
        if not done:
            for process in multiprocessing.active_children():
                process.terminate()
        executor.shutdown(cancel_futures=True)
