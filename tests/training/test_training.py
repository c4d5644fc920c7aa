"""Training learns what is planted, stops, resumes to the same bits, and refuses nonsense."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.support.code import copy_package
from tests.support.disk import limited_disk
from tests.support.networks import ORIGINAL
from tests.support.trainings import EVERYTHING, SOUND, TINY, examples, params, planted, together
from twinear import model, training
from twinear.base.errors import DataError, TrainingError
from twinear.model.network import SiameseNet
from twinear.training import training as trainer
from twinear.training.checkpoint import Epoch, State, fingerprint, write_checkpoint
from twinear.training.losses import by_artist
from twinear.training.training import Fit, fit, steps_per_epoch


def run(folder: Path, **changes: object) -> tuple[Fit, list[Epoch]]:
    seen: list[Epoch] = []
    result = fit(SOUND, examples(), params(**changes), folder / "c.pt", seen.append)
    return result, seen


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, bytes]:
    """A training by the usual params, and its checkpoint."""
    folder = tmp_path_factory.mktemp("plain")
    return run(folder)[0], (folder / "c.pt").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, bytes]:
    """A training of everything that nothing stopped, and its checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    result = run(folder, **EVERYTHING)[0]
    assert result.best.epoch >= 3  # so that fitting once more takes long enough to be killed
    return result, (folder / "c.pt").read_bytes()


def weights(result: Fit) -> bytes:
    nets = (result.net, result.before_refit)
    return b"".join(each.numpy().tobytes() for net in nets for each in net.state_dict().values())


ORIGINALS = {
    "model": {**ORIGINAL, **TINY},
    "objective": "mse",
    "identity_decay": 0.0,
    "learning_rate": 3e-3,
}


@pytest.mark.parametrize("changes", [{}, ORIGINALS, {"objective": "approx_ndcg"}])
def test_what_is_planted_is_learned(tmp_path: Path, changes: dict[str, object]) -> None:
    result, seen = run(tmp_path, epochs=15, patience=15, **changes)
    assert result.best.validation_ndcg > 0.9
    assert seen[-1].train_loss < seen[0].train_loss
    assert [each.epoch for each in seen] == list(range(1, 16))


def test_the_best_epoch_by_validation_is_kept(plain: tuple[Fit, bytes]) -> None:
    result, _ = plain
    assert result.best.validation_ndcg == max(each.validation_ndcg for each in result.history)
    assert result.net is result.before_refit
    assert not result.net.training


def state_after(scores: list[float], selection_window: int) -> State:
    net = SiameseNet(SOUND, params().model)
    history = [
        Epoch(epoch=n, train_loss=0, validation_loss=0, validation_ndcg=score)
        for n, score in enumerate(scores, 1)
    ]
    optimizer = torch.optim.Adam(net.parameters())
    return State(net=net, optimizer=optimizer, selection_window=selection_window, history=history)


def test_the_best_epoch_is_the_last_of_the_best_row_of_epochs() -> None:
    scores = [0.1, 0.9, 0.1, 0.5, 0.6, 0.5, 0.2]
    assert state_after(scores, selection_window=1).best_epoch.epoch == 2
    assert state_after(scores, selection_window=3).best_epoch.epoch == 6  # .5, .6, .5
    assert state_after(scores[:2], selection_window=3).best_epoch.epoch == 2  # too few yet
    assert (
        state_after([0.3, float("nan")], selection_window=1).best_epoch.epoch == 2
    )  # no validation


def test_shuffled_similarity_teaches_nothing(tmp_path: Path) -> None:
    learn, check = planted(24, 1), planted(12, 2)
    order = np.random.default_rng(3).permutation(24)
    shuffled = replace(learn, similarity=learn.similarity[np.ix_(order, order)])
    scores = [
        fit(SOUND, together(each, check), params(**ORIGINALS), tmp_path / "c.pt")
        .history[-1]
        .validation_ndcg
        for each in (learn, shuffled)
    ]
    assert scores[1] < scores[0] - 0.1


def test_it_stops_when_patience_ends(tmp_path: Path) -> None:
    result, seen = run(tmp_path, epochs=200, patience=3)
    assert len(seen) == result.best.epoch + 3 < 200


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    tmp_path: Path, whole: tuple[Fit, bytes]
) -> None:
    again, _ = run(tmp_path, **EVERYTHING)
    assert weights(again) == weights(whole[0])
    assert (tmp_path / "c.pt").read_bytes() == whole[1]
    short = EVERYTHING | {"epochs": 1, "refit": False}
    first, other = (run(tmp_path / str(n), **short, seed=n)[0] for n in (1, 2))
    assert weights(first) != weights(other)


@pytest.mark.parametrize("package", [model, training])
def test_a_new_file_of_the_code_makes_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: ModuleType
) -> None:
    before = fingerprint(params(), SOUND, [np.eye(2)])
    copied = copy_package(package, tmp_path, monkeypatch)
    assert fingerprint(params(), SOUND, [np.eye(2)]) == before
    (copied / "new.py").touch()
    assert fingerprint(params(), SOUND, [np.eye(2)]) != before


def test_a_finished_checkpoint_is_not_resumed_but_trained_anew(
    tmp_path: Path, plain: tuple[Fit, bytes]
) -> None:
    first, checkpoint = plain
    (tmp_path / "c.pt").write_bytes(checkpoint)
    again, seen = run(tmp_path)
    assert weights(first) == weights(again)
    assert len(seen) == 8


def interrupt(folder: Path, after: int, **changes: object) -> None:
    """Train until this epoch has ended."""

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(SOUND, examples(), params(**changes), folder / "c.pt", stop)


def test_an_interrupted_training_resumes_to_the_same_bits(
    tmp_path: Path, plain: tuple[Fit, bytes]
) -> None:
    interrupt(tmp_path, after=3)
    resumed, seen = run(tmp_path)
    assert weights(resumed) == weights(plain[0])
    assert resumed.history == plain[0].history
    assert [each.epoch for each in seen] == list(range(1, 9))


def test_a_checkpoint_of_other_params_or_damaged_is_not_resumed(
    tmp_path: Path, plain: tuple[Fit, bytes]
) -> None:
    interrupt(tmp_path, after=2, learning_rate=0.01)
    assert weights(run(tmp_path)[0]) == weights(plain[0])
    (tmp_path / "c.pt").write_bytes(b"not a checkpoint")
    assert weights(run(tmp_path)[0]) == weights(plain[0])
    interrupt(tmp_path, after=3)
    flipped = bytearray((tmp_path / "c.pt").read_bytes())
    flipped[len(flipped) // 2] ^= 64
    (tmp_path / "c.pt").write_bytes(flipped)
    assert weights(run(tmp_path)[0]) == weights(plain[0])


def test_a_disk_that_is_full_at_a_checkpoint_is_one_line(tmp_path: Path) -> None:
    full = pytest.raises(DataError, match=r"c\.pt: could not be written .*free some space")
    with full, limited_disk(1000):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from twinear.training import checkpoint, training
from tests.support.trainings import EVERYTHING, SOUND, examples, params
write, wanted = training.write_checkpoint, {wanted!r}

def slow(state, path, mark):
    write(state, path, mark)
    here = path.suffix + str(len(state.history))
    print(here, flush=True)
    if here == wanted:
        time.sleep(600)

training.write_checkpoint = slow
training.fit(SOUND, examples(), params(**EVERYTHING), Path({checkpoint!r}))
"""


@pytest.mark.slow(reason="a process that is killed; the same checkpoints are resumed from below")
def test_a_killed_training_resumes_to_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, whole: tuple[Fit, bytes]
) -> None:
    """Killed while the network is fitted once more."""
    folder, when = tmp_path_factory.mktemp("killed"), ".refit2"
    script = KILLED.format(root=str(ROOT), checkpoint=str(folder / "c.pt"), wanted=when)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert when in (line.strip() for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    resumed, seen = run(folder, **EVERYTHING)
    assert weights(resumed) == weights(whole[0])
    assert resumed.history == whole[0].history == seen
    assert [path.name for path in folder.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("when", [".pt0", ".pt3", ".refit0"])
def test_from_every_kind_of_checkpoint_training_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[Fit, bytes], when: str
) -> None:
    """After pretraining, while fitting, and before the network is fitted once more."""

    def write_and_stop(state: State, path: Path, mark: str) -> None:
        write_checkpoint(state, path, mark)
        if path.suffix + str(len(state.history)) == when:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_checkpoint", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, **EVERYTHING)
    resumed, seen = run(tmp_path, **EVERYTHING)
    assert weights(resumed) == weights(whole[0])
    assert resumed.history == whole[0].history == seen


def test_fitting_once_more_learns_from_the_validation_artists_too(
    tmp_path: Path, plain: tuple[Fit, bytes]
) -> None:
    once, again = plain[0], run(tmp_path, refit=True)[0]
    assert again.history == once.history
    assert again.before_refit is not again.net
    for name, each in again.before_refit.state_dict().items():
        assert torch.equal(each, once.net.state_dict()[name])
    assert weights(again) != weights(once)


def test_validation_artists_have_no_say_in_the_judged_network_but_the_epoch(
    tmp_path: Path,
) -> None:
    """Other validation artists give the same weights at the same epoch."""
    results = [
        fit(SOUND, together(planted(24, 1), planted(12, seed)), params(epochs=1), tmp_path / "c")
        for seed in (2, 3)
    ]
    first, other = (each.before_refit.state_dict() for each in results)
    assert all(torch.equal(first[name], other[name]) for name in first if "head" not in name)


def test_an_average_of_weights_is_what_is_kept(tmp_path: Path, plain: tuple[Fit, bytes]) -> None:
    """With a decay next to 1 hardly anything but the first step stays."""
    first, slow = run(tmp_path, epochs=1, ema_decay=0.0)[0], run(tmp_path, ema_decay=0.999)[0]
    assert first.net.statistics is not None
    assert slow.net.statistics is not None
    moved = slow.net.statistics.map.weight.detach().abs().max()
    assert 0 < float(moved) < 0.05
    assert float(plain[0].before_refit.state_dict()["statistics.map.weight"].abs().max()) > 0.05


def test_scores_of_an_objective_that_knows_only_orders_are_calibrated(tmp_path: Path) -> None:
    result, data = run(tmp_path, epochs=15)[0], planted(12, 2)
    x = torch.from_numpy(data.clip_inputs.values).float()
    with torch.inference_mode():
        u = result.net.encode(x, x.new_zeros((len(x), 0)))
        scores = by_artist(result.net.score(u, u), torch.from_numpy(data.artist_index), 12).numpy()
    apart = ~np.eye(12, dtype=bool)
    assert abs(float((scores - data.similarity)[apart].mean())) < 0.05
    assert np.corrcoef(scores[apart], data.similarity[apart])[0, 1] > 0.8


@pytest.mark.parametrize(
    ("changes", "loss"), [({}, r"\S+, of validation inf"), (ORIGINALS, "nan, of validation inf")]
)
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    tmp_path: Path, plain: tuple[Fit, bytes], changes: dict[str, object], loss: str
) -> None:
    before = plain[1]
    (tmp_path / "c.pt").write_bytes(before)
    message = rf"epoch 1: .*{loss}, .*training\.learning_rate"
    with pytest.raises(TrainingError, match=message):
        run(tmp_path, **{**changes, "learning_rate": 1e30})
    assert (tmp_path / "c.pt").read_bytes() == before


@pytest.mark.parametrize("changes", [{}, ORIGINALS])
def test_bfloat16_learns_as_well(tmp_path: Path, changes: dict[str, object]) -> None:
    result, _ = run(tmp_path, precision="bfloat16", epochs=15, **changes)
    assert result.best.validation_ndcg > 0.9


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"device: .*GPU.*'auto'"):
        run(tmp_path, device="cuda")


def test_validation_artists_without_common_listeners_are_refused(tmp_path: Path) -> None:
    empty = replace(planted(12, 2), similarity=np.eye(12))
    with pytest.raises(DataError, match=r"training: .*validation artists"):
        fit(SOUND, together(planted(24, 1), empty), params(), tmp_path / "c.pt")


def test_an_epoch_scores_each_pair_of_artists_once_on_average() -> None:
    assert steps_per_epoch(877, 64) == 191  # 384,126 pairs in steps of 2,016
    assert steps_per_epoch(5, 64) == 1
