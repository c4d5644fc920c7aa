"""The ways to run a step take the same step; a step that does not fit says what would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.support.trainings import SOUND, examples, params
from twinear.base.errors import TrainingError
from twinear.training.training import Fit, fit

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def run(folder: Path, **changes: object) -> Fit:
    short = {"epochs": 2, "batch_artists": 16} | changes
    return fit(SOUND, examples(), params(**short), folder / "c.pt")


def assert_alike(one: Fit, two: Fit) -> None:
    """Alike but for rounding, which training amplifies."""
    for a, b in zip(one.history, two.history, strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=5e-3)
        assert b.validation_loss == pytest.approx(a.validation_loss, rel=1e-2)


@needs_gpu
@pytest.mark.parametrize("changes", [{}, {"objective": "mse"}, {"model": {"head": "l1"}}])
def test_recorded_steps_train_as_plain_ones(tmp_path: Path, changes: dict[str, object]) -> None:
    plain = run(tmp_path, device="cuda", step="plain", **changes)
    assert_alike(plain, run(tmp_path, device="cuda", step="graph", **changes))


@needs_gpu
def test_a_gpu_trains_as_a_cpu(tmp_path: Path) -> None:
    assert_alike(run(tmp_path), run(tmp_path, device="cuda"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_graphs_without_a_gpu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"training\.step: .*graph.*no GPU.*auto"):
        run(tmp_path, step="graph")


TOO_LARGE = """
import resource, sys
sys.path.insert(0, {root!r})
from pathlib import Path
import psutil
from tests.support.trainings import SOUND, params, planted, together
from twinear.base.errors import TrainingError
from twinear.training.training import fit

data = together(planted(1200, 1), planted(12, 2))
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**30,) * 2)
try:
    fit(SOUND, data, params(batch_artists=1200, epochs=1), Path({folder!r}) / "c.pt")
except TrainingError as error:
    print(error)
"""


@pytest.mark.slow(reason="a process that fills its memory")
def test_a_step_that_does_not_fit_into_memory_names_one_that_does(tmp_path: Path) -> None:
    """The objective compares every artist of a step with every pair: 1,200 need 7 GB a tensor."""
    script = TOO_LARGE.format(root=str(ROOT), folder=str(tmp_path))
    said = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ).stdout  # fmt: skip
    assert "training.batch_artists: a step of 1200 artists does not fit" in said
    size = int(said.split("set it to ")[1].split(",")[0])
    assert size in (600, 300, 150)
