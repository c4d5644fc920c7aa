"""Time and peak memory of every stage, on the data that the project folder holds.

Runs the commands of dvc.yaml one after the other, as `dvc repro --force` would, and samples the
resident memory of the stage with all its workers. Tracking is off.

    python benchmarks/pipeline.py
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil
from ruamel.yaml import YAML

SAMPLE_SECONDS = 0.02


def tree_megabytes(process: psutil.Process) -> float:
    """Resident memory of a process and all its descendants."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def measure(command: str) -> tuple[float, float]:
    """Wall seconds and peak megabytes of a command."""
    settings = {"TWINEAR_TRACKING": "off", "OMP_WAIT_POLICY": "PASSIVE"}
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    started, peak = time.monotonic(), 0.0
    with subprocess.Popen(
        shlex.split(command),
        env={**os.environ, **settings, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as stage:
        while stage.poll() is None:
            try:
                peak = max(peak, tree_megabytes(psutil.Process(stage.pid)))
            except psutil.NoSuchProcess:
                break
            time.sleep(SAMPLE_SECONDS)
    if stage.returncode:
        raise SystemExit(f"{command}: exit status {stage.returncode}")
    return time.monotonic() - started, peak


def main() -> None:
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    print("| stage | seconds | peak MB |\n|---|--:|--:|")
    total = 0.0
    for name, stage in stages.items():
        seconds, peak = measure(stage["cmd"])
        total += seconds
        print(f"| {name} | {seconds:.1f} | {peak:.0f} |", flush=True)
    print(f"| total | {total:.1f} | |")


if __name__ == "__main__":
    main()
