"""Compiled code checks no index. Here it does, once, in every test of a kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

KERNELS = [
    "tests/similarity",
    "tests/listens",
    *(f"tests/catalogue/test_{name}.py" for name in ("candidates", "indexed", "search")),
    "src/twinear/catalogue/weighted_l1.py",
]
# an artist that is not there, as a flipped byte in plays.parquet would make one
OUTSIDE = """
import numpy as np
from twinear.similarity.kernels import COUNTS, SparseRows, Sums, scatter_rows

nothing = np.empty(0, np.int64)
listens = SparseRows(np.array([0, 2]), np.array([0, 5], np.int32), nothing)
none = np.zeros((2, 0), np.int64)
scatter_rows(0, 2, COUNTS, 0, True, listens, Sums(np.zeros((2, 2), np.int32), none, none))
"""


@pytest.mark.slow(reason="compiles every kernel again and runs all their tests")
def test_no_kernel_leaves_its_arrays(tmp_path: Path) -> None:
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *command]
        # a run of its own: not a process of this one
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        environment = {**own, **checked}
        return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)

    control = run("-c", OUTSIDE)
    assert "IndexError" in control.stderr, "indices are not checked"
    tests = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *KERNELS)
    assert tests.returncode == 0, tests.stdout[-4000:]
