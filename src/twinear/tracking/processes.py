"""Which process writes a run, so that the run of a process that was killed is recognised.

A process that is killed cannot end its run, which would be shown as running for ever. The tag
`process` names the machine, the number and the start of the process that has the run open. Only
runs of this machine are judged: whether a process of another one lives is not known here.
"""

import os
from socket import gethostname
from typing import Any

import psutil

PROCESS_TAG = "process"
TOLERANCE_SECONDS = 2.0  # the clock may be set while a process runs


def process_tag() -> str:
    """Name this process: machine, number, start in seconds since the epoch."""
    return f"{gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def is_dead(tag: str) -> bool:
    """Whether the process of a tag has ended; False for one of another machine.

    Examples
    --------
    >>> is_dead(process_tag()), is_dead(f"{gethostname()} {os.getpid()} 0")
    (False, True)
    >>> is_dead("another.machine 1 0")
    False
    """
    host, number, started = tag.rsplit(" ", 2)
    if host != gethostname():
        return False
    try:
        process = psutil.Process(int(number))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(process.create_time() - float(started)) > TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return True


def mark_killed(mlflow: Any) -> None:
    """End the runs of the present experiment whose process was killed, as `KILLED`."""
    here = f"tags.{PROCESS_TAG} LIKE '{gethostname()} %'"
    query = f"attributes.status = 'RUNNING' and {here}"
    for run in mlflow.search_runs(filter_string=query, output_format="list"):
        if is_dead(run.data.tags[PROCESS_TAG]):
            mlflow.MlflowClient().set_terminated(run.info.run_id, "KILLED")
