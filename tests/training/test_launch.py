"""The stage in several processes: one writes and reports, and a death is explained."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT
from tests.support.servers import free_port
from tests.support.tuning import project

PATHS = [
    *(f"artifacts/{name}" for name in ("spectrograms", "similarity", "split.csv", "listens")),
    *(f"artifacts/{name}.safetensors" for name in ("scorer", "before_refit")),
    *("artifacts/checkpoint.pt", "reports/training.csv", "reports/training.json"),
]
COMMAND = [str(ROOT / "src/stages/6_training.py"), *PATHS]
MADE = [Path(path) for path in PATHS[4:]]


def tiny(folder: Path, **training: Any) -> Path:
    return project(folder, {"listener_factors": 0, "keep": "always"} | training).folder


def start(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], cwd=folder, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TWINEAR_TRACKING": "off", "OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


@pytest.mark.slow(reason="starts seven processes that import PyTorch")
def test_several_processes_on_one_machine_or_on_two_write_once(tmp_path: Path) -> None:
    """TWINEAR_PROCESSES=2 dvc repro, and torchrun with two nodes."""
    one_machine, two_machines = tiny(tmp_path / "1"), tiny(tmp_path / "2")
    with start(one_machine, *COMMAND, TWINEAR_PROCESSES="2") as running:
        said = running.communicate()[1]
    assert running.returncode == 0, said
    assert said.count("training: The scorer is") == 1
    assert all((one_machine / path).exists() for path in MADE)
    options = [
        "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    command = ["-m", "torch.distributed.run", *options, *COMMAND]
    with start(two_machines, *command) as first, start(two_machines, *command) as second:
        said_by_both = first.communicate()[1] + second.communicate()[1]
    assert (first.returncode, second.returncode) == (0, 0), said_by_both
    assert said_by_both.count("training: The scorer is") == 1
    for path in MADE:
        assert (one_machine / path).read_bytes() == (two_machines / path).read_bytes(), path


@pytest.mark.slow(reason="starts three processes that import PyTorch")
def test_a_process_that_dies_is_explained_and_the_checkpoint_stays(tmp_path: Path) -> None:
    folder = tiny(tmp_path, epochs=100_000, patience=100_000)
    with start(folder, *COMMAND, TWINEAR_PROCESSES="2") as running:
        while not (folder / "artifacts/checkpoint.pt").exists():
            assert running.poll() is None
            time.sleep(0.1)
        psutil.Process(running.pid).children()[-1].kill()
        said = running.communicate()[1]
    assert running.returncode == 1
    assert "was ended by SIGKILL" in said
    assert said.splitlines()[-1].startswith("error: training: process")
    assert "resumes" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert (folder / "artifacts/checkpoint.pt").exists()
