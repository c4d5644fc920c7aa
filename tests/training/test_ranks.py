"""Processes that train together: the gradient of one, a death survived, one project for all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from twinear.base.errors import TwinearError
from twinear.training.launch import n_processes
from twinear.training.ranks import AllRanksBatchNorm

SCRIPT = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from tests.support.trainings import EVERYTHING, SOUND, examples, params
from twinear.base.errors import TrainingError
from twinear.model.network import SiameseNet
from twinear.training import ranks
from twinear.training.batches import StepClips
from twinear.training.steps import encode_share, prepare_step
from twinear.training.training import fit

folder = Path({folder!r})
"""
GRADIENT = '''
def gradient(head):
    """Of a step of eleven clips, which two processes cannot share evenly."""
    torch.manual_seed(1)
    changed = params(model={"head": head})
    net = SiameseNet(SOUND, changed.model)
    if ranks.n_ranks() > 1:
        ranks.normalise_over_ranks(net)
    net.double().train()
    step = StepClips(
        x=torch.rand(11, 12, 24, dtype=torch.float64),
        joined=torch.zeros(11, 0, dtype=torch.float64),
        coordinates=torch.rand(11, 8, dtype=torch.float64),
        artist_index=torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4]),
        target=torch.rand(5, 5, dtype=torch.float64),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    loss = prepare_step(net, optimizer, changed.of_step)(encode_share(step))
    gradients = [each.grad.flatten() for each in net.parameters() if each.grad is not None]
    buffers = [each.double().flatten() for each in net.buffers()]
    return [torch.cat(part).tolist() for part in ([loss.flatten()], gradients, buffers)]

with ranks.process_group("cpu"):
    found = {head: gradient(head) for head in ("cosine", "l1")}
    refused = ""
    try:
        ranks.require_same(f"data of {min(ranks.rank(), 1)}")
    except TrainingError as error:
        refused = str(error)
    name = f"{ranks.rank()} of {ranks.n_ranks()}.json"
    (folder / name).write_text(json.dumps([found, refused]))
'''
KILLED = """
def on_epoch(record):
    killed = {kill} and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if killed and record.epoch == 3 and ranks.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if ranks.rank() == 0:
        with (folder / "epochs").open("a") as file:
            print(record.epoch, file=file)

with ranks.process_group("cpu"):
    fitted = fit(SOUND, examples(), params(**EVERYTHING), folder / "c.pt", on_epoch)
    torch.save(fitted.net.state_dict(), folder / f"{{ranks.rank()}}.pt")
"""


def torchrun(folder: Path, script: str, *options: str) -> None:
    path = folder / "script.py"
    path.write_text(SCRIPT.format(root=str(ROOT), folder=str(folder)) + script, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *options]
    # without the second, processes that are restarted may find the addresses of those that ended
    environment = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    subprocess.run([*command, str(path)], check=True, env=os.environ | environment)


Gradients = dict[str, list[list[float]]]  # loss, gradient and buffers, by head


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Gradients, str]]:
    """What two processes find: the gradient, and why they refuse to train on."""
    folder = tmp_path_factory.mktemp("two")
    torchrun(folder, GRADIENT, "--standalone")
    return [json.loads((folder / f"{rank} of 2.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow(reason="two processes that import torch")
def test_the_gradient_of_two_processes_is_that_of_one(
    tmp_path: Path, of_two: list[tuple[Gradients, str]]
) -> None:
    script = SCRIPT.format(root=str(ROOT), folder=str(tmp_path)) + GRADIENT
    exec(compile(script, "script", "exec"), {})  # noqa: S102
    of_one = json.loads((tmp_path / "0 of 1.json").read_text())[0]
    for found, _ in of_two:
        for head in ("cosine", "l1"):
            for one, two in zip(of_one[head], found[head], strict=True):
                assert two == pytest.approx(one, rel=1e-9, abs=1e-12)
            assert max(map(abs, of_one[head][1])) > 1e-3


@pytest.mark.slow(reason="two processes that import torch")
def test_a_process_with_other_data_is_refused(of_two: list[tuple[Gradients, str]]) -> None:
    (_, first), (_, second) = of_two
    assert not first
    assert "process 1" in second
    assert "other data" in second


@pytest.mark.slow(reason="six processes that train")
def test_a_training_resumes_to_the_same_bits_where_a_process_was_killed(
    tmp_path: Path,
) -> None:
    results = []
    for kill in (False, True):
        folder = tmp_path / str(kill)
        folder.mkdir()
        script = KILLED.format(kill=kill)
        torchrun(folder, script, "--standalone", "--max-restarts", "1")
        nets = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
        assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
        results.append(nets[0])
    whole, resumed = results
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    epochs = [int(line) for line in (tmp_path / "True/epochs").read_text().split()]
    assert epochs.count(1) == 2  # it was started again
    assert epochs[-1] == 5


def test_batch_normalisation_over_one_process_is_pytorchs_own() -> None:
    torch.manual_seed(1)
    x = torch.rand(7, 5, 1, 9, dtype=torch.float64) * 3 + 100
    plain, own = torch.nn.BatchNorm2d(5).double(), AllRanksBatchNorm(5).double()
    for _ in range(2):
        assert torch.allclose(own(x), plain(x), rtol=0, atol=1e-11)
    for name, each in own.state_dict().items():
        assert torch.allclose(each, plain.state_dict()[name], rtol=1e-12)
    assert torch.equal(own.eval()(x), own(x))
    assert torch.allclose(own(x), plain.eval()(x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("wanted", ["0", "two", "-1", "gpu"])
def test_processes_that_cannot_be_started_are_refused(wanted: str) -> None:
    if wanted == "gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TwinearError, match=r"TWINEAR_PROCESSES: .*(gpu|number)"):
        n_processes({"TWINEAR_PROCESSES": wanted})
