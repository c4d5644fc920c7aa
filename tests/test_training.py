"""Training learns what is planted, stops, resumes to the same bits, and refuses nonsense."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import PARAMS, ROOT
from twinear.errors import DataError, TrainingError
from twinear.params import parse_params, read_params
from twinear.training import (
    Epoch,
    Examples,
    Fit,
    TrainingParams,
    average_clips,
    fit,
    steps_per_epoch,
)


def params(**changes: object) -> TrainingParams:
    values = read_params("training", TrainingParams, PARAMS).model_dump(mode="json")
    values["model"] |= {"channels": 16, "dense_units": 16}
    small = {"epochs": 8, "patience": 8, "batch_artists": 8, "device": "cpu", "threads": 1}
    return parse_params("training", TrainingParams, values | small | changes, PARAMS)


def planted(n_artists: int, seed: int) -> Examples:
    """Artists on a line; a clip hums at its artist's place, similarity falls with distance."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 1, n_artists)
    owner = np.repeat(np.arange(n_artists), 2)
    bands = np.linspace(0, 1, 12)
    hum = np.exp(-(((place[owner][:, None] - bands) / 0.1) ** 2))  # (clips, n_mels)
    values = hum[:, :, None] * rng.uniform(0.5, 1, (len(owner), 12, 24))
    similarity = np.exp(-np.abs(place[:, None] - place) / 0.2)
    return Examples(values=values.astype(np.float16), owner=owner, similarity=similarity)


def run(folder: Path, **changes: object) -> tuple[Fit, list[Epoch]]:
    seen: list[Epoch] = []
    result = fit(planted(24, 1), planted(12, 2), params(**changes), folder / "c.pt", seen.append)
    return result, seen


def weights(result: Fit) -> bytes:
    return b"".join(each.numpy().tobytes() for each in result.net.state_dict().values())


def test_what_is_planted_is_learned(tmp_path: Path) -> None:
    result, seen = run(tmp_path, epochs=15)
    assert result.best.validation_ndcg > 0.9
    assert seen[-1].train_loss < seen[0].train_loss / 2
    assert [each.epoch for each in seen] == list(range(1, 16))


def test_the_best_epoch_by_validation_is_kept(tmp_path: Path) -> None:
    result, _ = run(tmp_path)
    assert result.best.validation_ndcg == max(each.validation_ndcg for each in result.history)
    assert not result.net.training


def test_shuffled_similarity_teaches_nothing(tmp_path: Path) -> None:
    learn, check = planted(24, 1), planted(12, 2)
    order = np.random.default_rng(3).permutation(24)
    shuffled = Examples(
        values=learn.values,
        owner=learn.owner,
        similarity=learn.similarity[np.ix_(order, order)],
    )
    planted_fit = fit(learn, check, params(), tmp_path / "a.pt")
    shuffled_fit = fit(shuffled, check, params(), tmp_path / "b.pt")
    assert shuffled_fit.history[-1].validation_ndcg < planted_fit.history[-1].validation_ndcg - 0.1


def test_it_stops_when_patience_ends(tmp_path: Path) -> None:
    result, seen = run(tmp_path, epochs=200, patience=3)
    assert len(seen) == result.best.epoch + 3 < 200


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    first, again = run(tmp_path / "a")[0], run(tmp_path / "b")[0]
    assert weights(first) == weights(again)
    assert (tmp_path / "a/c.pt").read_bytes() == (tmp_path / "b/c.pt").read_bytes()
    assert weights(run(tmp_path / "c", seed=2)[0]) != weights(first)


def test_a_finished_checkpoint_is_not_resumed_but_trained_anew(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    again, seen = run(tmp_path)
    assert weights(first) == weights(again)
    assert len(seen) == 8


def test_an_interrupted_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    def stop_after_three(epoch: Epoch) -> None:
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    whole, _ = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(planted(24, 1), planted(12, 2), params(), tmp_path / "c.pt", stop_after_three)
    resumed, seen = run(tmp_path)
    assert weights(resumed) == weights(whole)
    assert resumed.history == whole.history
    assert [each.epoch for each in seen] == list(range(1, 9))


def test_a_checkpoint_of_other_params_or_damaged_is_not_resumed(tmp_path: Path) -> None:
    run(tmp_path, learning_rate=0.01)
    whole, _ = run(tmp_path / "whole")
    assert weights(run(tmp_path)[0]) == weights(whole)
    (tmp_path / "c.pt").write_bytes(b"not a checkpoint")
    assert weights(run(tmp_path)[0]) == weights(whole)


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_training import planted, params, fit
fit(planted(24, 1), planted(12, 2), params(), Path({checkpoint!r}), lambda epoch: (
    print(epoch.epoch, flush=True), time.sleep(60 if epoch.epoch == 4 else 0)))
"""


def test_a_killed_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    script = KILLED.format(root=str(ROOT), checkpoint=str(tmp_path / "c.pt"))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "4":
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    whole, _ = run(tmp_path / "whole")
    resumed, _ = run(tmp_path)
    assert weights(resumed) == weights(whole)
    assert resumed.history == whole.history


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "c.pt").read_bytes()
    with pytest.raises(TrainingError, match=r"epoch 1: the loss is nan.*lower training\.learn"):
        run(tmp_path, learning_rate=1e30)
    assert (tmp_path / "c.pt").read_bytes() == before


def test_bfloat16_learns_as_well(tmp_path: Path) -> None:
    result, _ = run(tmp_path, precision="bfloat16", epochs=15)
    assert result.best.validation_ndcg > 0.9


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no GPU; use 'auto'"):
        run(tmp_path, device="cuda")


def test_validation_artists_without_common_listeners_are_refused(tmp_path: Path) -> None:
    check = planted(12, 2)
    empty = Examples(values=check.values, owner=check.owner, similarity=np.eye(12))
    with pytest.raises(DataError, match="no two validation artists share a listener"):
        fit(planted(24, 1), empty, params(), tmp_path / "c.pt")


def test_an_epoch_scores_each_pair_of_artists_once_on_average() -> None:
    assert steps_per_epoch(877, 64) == 191  # 384,126 pairs in steps of 2,016
    assert steps_per_epoch(5, 64) == 1


def test_an_artist_pairs_score_is_the_mean_over_its_clip_pairs() -> None:
    scores = torch.tensor([[0.0, 0.2, 0.4], [0.2, 0.0, 0.8], [0.4, 0.8, 0.0]])
    mean = average_clips(scores, np.array([0, 0, 1]))
    torch.testing.assert_close(mean[0, 1], torch.tensor(0.6))
