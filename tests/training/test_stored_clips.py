"""Clips on disk train what clips in memory train, and what cannot be trained is said first."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import PARAMS
from tests.support.trainings import SOUND, examples, params
from twinear.base.errors import DataError, ParamsError, TwinearError
from twinear.base.params import read_params
from twinear.model.network import SiameseNet
from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.quantisation import quantise
from twinear.spectrograms.shards import Shards
from twinear.spectrograms.spectrograms import Compact, Spectrograms
from twinear.spectrograms.statistics import spectrogram_statistics
from twinear.training.batches import Batches, ClipInputs, Examples, StoredClips
from twinear.training.needed_memory import require_memory
from twinear.training.training import Fit, fit
from twinear.training.untrained import untrained_scorer

CPU = torch.device("cpu")
AVERAGE = 4


def shards(array: np.ndarray, folder: Path, name: str) -> Shards:
    """Write an array to files of at most 20 rows."""
    files = []
    for start in range(0, len(array), 20):
        files.append(folder / f"{name}-{start}.npy")
        np.save(files[-1], array[start : start + 20])
    return Shards.open(files, "")


def statistics_of(values: np.ndarray) -> np.ndarray:
    blocks = spectrogram_statistics(
        values.astype(np.float32), SOUND.frames_per_second, SOUND.top_db
    )
    return np.concatenate(list(blocks.values()), axis=1)


def compact(data: Examples, folder: Path) -> Examples:
    values = np.asarray(data.clip_inputs.values)
    inputs = ClipInputs(
        values=shards(np.stack([quantise(each, AVERAGE) for each in values]), folder, "compact"),
        joined=data.clip_inputs.joined,
        statistics=shards(statistics_of(values), folder, "statistics"),
    )
    return replace(data, clip_inputs=inputs)


def train(data: Examples, folder: Path, memory: int | None = None, **changes: object) -> Fit:
    model = {"time_downsampling": AVERAGE, "max_pool": [2]}
    settings = params(epochs=2, model=model, batch_similar=0.5, **changes)
    return fit(SOUND, data, settings, folder / "c.pt", memory=memory)


def weights(net: SiameseNet) -> bytes:
    return b"".join(each.numpy().tobytes() for each in net.state_dict().values())


def test_clips_read_as_training_goes_give_the_same_bits(tmp_path: Path) -> None:
    data = examples()
    values = shards(np.asarray(data.clip_inputs.values), tmp_path, "full")
    stored = replace(data, clip_inputs=replace(data.clip_inputs, values=values))
    assert isinstance(Batches.from_examples(stored, CPU, memory=1).x, StoredClips)
    assert isinstance(Batches.from_examples(stored, CPU).x, torch.Tensor)
    expected = weights(train(data, tmp_path).net)
    assert weights(train(stored, tmp_path, memory=1).net) == expected
    assert weights(train(stored, tmp_path).net) == expected


def test_the_compact_form_trains_nearly_the_same(tmp_path: Path) -> None:
    data = examples()
    full, small = train(data, tmp_path), train(compact(data, tmp_path), tmp_path, memory=1)
    for one, other in zip(full.history, small.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=0.01)
        assert one.validation_loss == pytest.approx(other.validation_loss, abs=0.01)


def spectrograms(folder: Path | None = None) -> Spectrograms:
    """Of the planted clips; in the compact form if a folder is given."""
    data = examples()
    front = read_params("spectrograms", SpectrogramsParams, PARAMS).model_copy(
        update={"n_mels": 12, "n_frames": 24, "n_mfcc": 1, "embeddings": "none"}
    )
    n = len(data.artist_index)
    table = pd.DataFrame({"file": [f"{row}.wav" for row in range(n)]})
    table["artist"] = table["name"] = [f"artist {each:02}" for each in data.artist_index]
    made = Spectrograms(
        clips=table.assign(title="", source="", seconds=30.0),
        values=np.asarray(data.clip_inputs.values),
        mfcc_mean=np.zeros((n, 1), np.float32),
        mfcc_cov=np.ones((n, 1, 1), np.float32),
        front=front,
        joined=np.empty((n, 0), np.float32),
    )
    if folder is None:
        return made
    frames_per_second = front.sr / front.hop_length
    full = np.asarray(made.values, np.float32)
    # by torch, as they are computed where they are not stored: NumPy adds in another order
    blocks = spectrogram_statistics(torch.from_numpy(full), frames_per_second, front.top_db)
    statistics = torch.cat(list(blocks.values()), dim=1).numpy()
    values = np.stack([quantise(each, AVERAGE) for each in full])
    return replace(
        made,
        values=shards(values, folder, "values"),
        compact=Compact(average_frames=AVERAGE, statistics=shards(statistics, folder, "known")),
    )


def test_an_untrained_scorer_is_that_of_the_full_form(tmp_path: Path) -> None:
    full, small = spectrograms(), spectrograms(tmp_path)
    model = params().model
    scorers = untrained_scorer(full, model), untrained_scorer(small, model)
    expected = scorers[0].encode_spectrograms(full)
    similar = expected @ expected.T
    for scorer in scorers:
        found = scorer.encode_spectrograms(small)
        np.testing.assert_allclose(found @ found.T, similar, atol=1e-4)


@pytest.mark.parametrize("branches", ["both", "convolutions"])
def test_a_network_encodes_the_compact_form_nearly_as_the_full(
    tmp_path: Path, branches: str
) -> None:
    full, small = spectrograms(), spectrograms(tmp_path)
    model = params(model={"branches": branches, "time_downsampling": AVERAGE}).model
    torch.manual_seed(0)
    net = SiameseNet(replace(SOUND, frames_per_second=full.front.sr / full.front.hop_length), model)
    scorer = Scorer.from_net(net, full.front, model)
    expected = scorer.encode_spectrograms(full)
    np.testing.assert_allclose(scorer.encode_spectrograms(small), expected, atol=0.01)


def test_averages_of_other_frames_are_refused(tmp_path: Path) -> None:
    model = params(model={"time_downsampling": 2}).model
    scorer = Scorer.from_net(SiameseNet(SOUND, model), spectrograms().front, model)
    with pytest.raises(DataError, match=r"averages of 4 frames, expected .*2.*average_frames to 2"):
        scorer.encode_spectrograms(spectrograms(tmp_path))


def test_other_statistics_than_the_networks_are_refused(tmp_path: Path) -> None:
    clips = spectrograms(tmp_path)
    assert clips.compact is not None
    fewer = np.asarray(clips.compact.statistics)[:, 1:]
    model = params(model={"time_downsampling": AVERAGE}).model
    scorer = untrained_scorer(spectrograms(), model)
    with pytest.raises(DataError, match=r"statistics of a clip, expected .*dvc repro"):
        scorer.encode_spectrograms(
            replace(clips, compact=Compact(average_frames=AVERAGE, statistics=fewer))
        )


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"augmentation": {"min_crop": 0.5, "tilt_db": 0.0, "freq_mask": 0.0, "time_mask": 0.0,
                           "mixup": 0.0}}, "augmentation"),
        ({"pretraining": {"epochs": 1, "min_crop": 0.5, "temperature": 0.1, "batch_clips": 8}},
         "pretraining"),
    ],
)  # fmt: skip
def test_what_needs_all_frames_is_refused(tmp_path: Path, changes: Any, key: str) -> None:
    with pytest.raises(ParamsError, match=rf"training\.{key}: .*storage\.form to full"):
        train(compact(examples(), tmp_path), tmp_path, **changes)


def test_too_little_memory_is_said_with_what_would_do(tmp_path: Path) -> None:
    clips = spectrograms(tmp_path)
    require_memory(10**9, 72, 36, clips)
    with pytest.raises(TwinearError, match=r"allows 2\.0 GB, .*100,000 clips, .*set .*=3\.\d+GB"):
        require_memory(2 * 10**9, 100_000, 2_000, clips)
    require_memory(1, 100_000, 2_000, spectrograms())  # in one piece: known to fit
