"""Time and peak memory of every stage, on whatever data the project folder holds.

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


def tree_megabytes(process: psutil.Process) -> float:
    """Resident memory of a process and all its descendants."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
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
    ) as running:
        while running.poll() is None:
            try:
                peak = max(peak, tree_megabytes(psutil.Process(running.pid)))
            except psutil.NoSuchProcess:
                break
            time.sleep(0.02)
    if running.returncode:
        raise SystemExit(f"{command}: exit status {running.returncode}")
    return time.monotonic() - started, peak


def main() -> None:
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    print("| stage | seconds | peak MB |\n|---|--:|--:|")
    total = 0.0
    for name, stage in stages.items():
        seconds, peak = measure(stage["cmd"])
        total += seconds
        print(f"| {name} | {seconds:.1f} | {peak:.0f} |", flush=True)
    print(f"| together | {total:.1f} | |")


if __name__ == "__main__":
    main()
