"""What a question costs from the start of the process, beside Python and its libraries alone.

All commands are started in turn, round after round, with a warm disk cache, and the medians are
shown. Other work on the machine lengthens all of them: the ratios within a run tell more than the
seconds. The project folder must hold a finished pipeline.

    python benchmarks/startup.py [--rounds 11]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from twinear.catalogue.catalogue import Catalogue

UNIT = "import numpy"
TARGETS = {"similar NAME": 0.5, "similar --clip FILE": 2.0}  # wall seconds


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of one process, by the clock and of all cores."""

    wall: float
    cpu: float


def commands() -> dict[str, list[str]]:
    catalogue = Catalogue.read(Path("artifacts/catalogue"))
    name = catalogue.artists.records([0])[0].name
    a, b = (str(Path("data") / catalogue.artists.clip(row).file) for row in (0, 1))
    python, twinear = [sys.executable, "-c"], [str(Path(sys.executable).with_name("twinear"))]
    return {
        "pass": [*python, "pass"],
        UNIT: [*python, UNIT],
        "import torch": [*python, "import torch"],
        "--help": [*twinear, "--help"],
        "similar NAME": [*twinear, "similar", name],
        "similar --clip FILE": [*twinear, "similar", "--clip", a],
        "score FILE FILE": [*twinear, "score", a, b],
    }


def measure(command: list[str]) -> Cost:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit status {process.returncode}")
    return Cost(wall=wall, cpu=used.ru_utime + used.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="starts of each command")
    rounds = parser.parse_args().rounds
    costs: dict[str, list[Cost]] = {name: [] for name in commands()}
    for turn in range(rounds + 1):  # the first warms the disk cache
        for name, command in commands().items():
            cost = measure(command)
            if turn:
                costs[name].append(cost)
    print(f"| process | wall s | CPU s | CPU, times `{UNIT}` |\n|---|--:|--:|--:|")
    for name, each in costs.items():
        wall, cpu = (statistics.median(getattr(c, kind) for c in each) for kind in ("wall", "cpu"))
        # of one round, because both then had the same neighbours on the machine
        ratio = statistics.median(c.cpu / u.cpu for c, u in zip(each, costs[UNIT], strict=True))
        print(f"| `{name}` | {wall:.2f} | {cpu:.2f} | {ratio:.1f} |")
    for name, target in TARGETS.items():
        wall = statistics.median(cost.wall for cost in costs[name])
        print(f"{name}: {wall:.2f} s, wanted {target} s: {'met' if wall < target else 'MISSED'}")


if __name__ == "__main__":
    main()
