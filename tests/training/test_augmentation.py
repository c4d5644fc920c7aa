"""Augmented spectrograms: still spectrograms of the same clips, changed as much as was asked."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from twinear.training.augmentation import AugmentationParams, augment, cropped

TOP_DB = 80.0


def params(**changes: float) -> AugmentationParams:
    rest = {"min_crop": 1.0, "tilt_db": 0.0, "freq_mask": 0.0, "time_mask": 0.0, "mixup": 0.0}
    return AugmentationParams(**{**rest, **changes})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(n: int = 4, n_bands: int = 10, n_frames: int = 30) -> Tensor:
    x = 0.2 + 0.7 * torch.rand(n, n_bands, n_frames, generator=generator(9))
    x[:, 0, 0] = 1  # the clip's maximum
    return x


def changed(x: Tensor, draw: int = 0, **changes: float) -> Tensor:
    return augment(x, params(**changes), TOP_DB, generator(draw))


def test_at_rest_nothing_changes() -> None:
    assert params().changes_nothing
    assert torch.equal(changed(clips()), clips())
    for name, value in {**ALL, "min_crop": 0.9}.items():
        assert not params(**{name: value}).changes_nothing


ALL = {"min_crop": 0.5, "tilt_db": 6.0, "freq_mask": 0.4, "time_mask": 0.4, "mixup": 0.5}


@given(
    n=st.integers(1, 5), n_bands=st.integers(1, 20), n_frames=st.integers(1, 40),
    seed=st.integers(0, 99), chosen=st.sets(st.sampled_from(sorted(ALL))),
)  # fmt: skip
def test_shape_and_range_stay(
    n: int, n_bands: int, n_frames: int, seed: int, chosen: set[str]
) -> None:
    y = changed(clips(n, n_bands, n_frames), seed, **{name: ALL[name] for name in chosen})
    assert y.shape == (n, n_bands, n_frames)
    assert bool(((y >= 0) & (y <= 1)).all())


@pytest.mark.parametrize("name", ALL)
def test_every_change_changes_and_the_generator_decides_how(name: str) -> None:
    once, again, other = (changed(clips(), seed, **{name: ALL[name]}) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once, clips())


def test_clips_of_a_step_are_changed_apart() -> None:
    x = clips(1).repeat(8, 1, 1)
    for name, value in ALL.items():
        if name != "mixup":  # with another clip of the step, here the same
            y = changed(x, 0, **{name: value})
            assert any(not torch.equal(y[0], each) for each in y[1:]), name


@given(least=st.floats(0.05, 1), seed=st.integers(0, 99), n_frames=st.integers(1, 50))
def test_a_crop_is_a_part_in_one_piece_repeated(least: float, seed: int, n_frames: int) -> None:
    frames = torch.arange(n_frames, dtype=torch.float32).repeat(3, 2, 1)  # each says its number
    for part in cropped(frames, least, generator(seed))[:, 0].long():
        start, length = int(part[0]), len(part.unique())
        assert torch.equal(part, start + torch.arange(n_frames) % length)
        assert length >= int(least * n_frames)


def test_a_mask_silences_one_stretch_and_leaves_the_rest() -> None:
    x = clips(50, 100, 100)
    for name, dim in (("freq_mask", 2), ("time_mask", 1)):
        y = changed(x, 0, **{name: 0.4})
        silent = (y == 0).all(dim=dim)  # (clips, bands or frames)
        assert torch.equal(y[(y != 0)], x[(y != 0)])
        edges = silent.int().diff(dim=1).abs().sum(dim=1)
        assert int(edges.max()) <= 2
        share = silent.float().mean(dim=1)
        assert float(share.max()) <= 0.4
        assert float(share.mean()) == pytest.approx(0.2, abs=0.06)


def test_mixing_adds_power_and_the_louder_stays() -> None:
    """Two clips, each loud where the other is silent: the clip's own part keeps the maximum."""
    x = torch.zeros(2, 2, 10)
    x[0, 0] = x[1, 1] = 1
    y = changed(x, 1, mixup=0.5)
    if torch.equal(y, x):
        y = changed(x, 2, mixup=0.5)
    assert torch.equal(y[0, 0], torch.ones(10))
    assert torch.equal(y[1, 1], torch.ones(10))
    share = 10 ** ((y[0, 1, 0] - 1) * TOP_DB / 10)
    assert 0 < float(share) <= 0.5


def test_a_clip_mixed_with_itself_stays_itself() -> None:
    x = clips(1)
    torch.testing.assert_close(changed(x, mixup=1.0), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tilt_db", [1.0, 6.0])
def test_a_tilt_is_smooth_over_the_bands_the_same_in_time_and_no_more_than_asked(
    tilt_db: float,
) -> None:
    x = torch.full((200, 10, 5), 0.6)
    x[:, 5, 0] = 0.9
    y = changed(x, tilt_db=tilt_db)
    curve = (y - x)[:, :, 1] * TOP_DB  # of each band, decibels
    assert float((curve[:, 0] - curve[:, -1]).abs().max()) <= 2 * tilt_db + 1e-3
    assert float((curve.amax(dim=1) - curve.amin(dim=1)).max()) <= 4 * tilt_db + 1e-3
    assert float((curve.amax(dim=1) - curve.amin(dim=1)).max()) > tilt_db / 2
    torch.testing.assert_close(y[:, :, 1], y[:, :, 4])
