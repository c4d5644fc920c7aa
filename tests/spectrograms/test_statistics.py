"""Statistics of clips: finite for whatever there is, and only what matters changes them."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from twinear.spectrograms.statistics import BLOCKS, embedding_statistics, spectrogram_statistics

TOP_DB = 80.0
FPS = 43.0


def statistics(x: Tensor, frames_per_second: float = FPS) -> dict[str, Tensor]:
    return spectrogram_statistics(x, frames_per_second, TOP_DB)


def sizes(blocks: dict[str, Tensor]) -> dict[str, int]:
    return {name: block.shape[1] for name, block in blocks.items()}


def paired(*clips: dict[str, Tensor]) -> Iterable[tuple[Tensor, ...]]:
    """The blocks of several clips, one after another."""
    return zip(*(blocks.values() for blocks in clips), strict=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64)


def beating(hertz: float, n_frames: int = 1290) -> Tensor:
    """A hum in every band that grows loud and soft `hertz` times a second."""
    time = torch.arange(n_frames, dtype=torch.float64) / FPS
    loud = 0.7 + 0.1 * torch.sin(2 * torch.pi * hertz * time)
    return loud.expand(1, 20, -1).clone()


CASES = {
    "silence": torch.zeros(2, 20, 60, dtype=torch.float64),
    "a constant": torch.full((2, 20, 60), 0.7, dtype=torch.float64),
    "as loud as can be": torch.ones(2, 20, 60, dtype=torch.float64),
    "noise": noise(2, 20, 60),
    "one click in silence": torch.nn.functional.pad(
        torch.ones(2, 20, 1, dtype=torch.float64), (30, 29)
    ),
    "one band in silence": torch.nn.functional.pad(noise(2, 1, 60), (0, 0, 3, 16)),
    "one band": noise(2, 1, 60),
    "more bands than are kept": noise(2, 90, 60),
    "two frames": noise(2, 20, 2),
    "a long clip": noise(2, 20, 4000),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("frames_per_second", [8.5, 43.0, 172.0])
def test_statistics_are_finite_whatever_there_is_to_hear(
    case: str, dtype: torch.dtype, frames_per_second: float
) -> None:
    blocks = statistics(CASES[case].to(dtype), frames_per_second)
    assert len(blocks) == 7
    assert all(each.dtype == dtype and len(each) == 2 for each in blocks.values())
    assert all(bool(torch.isfinite(each).all()) for each in blocks.values())


@pytest.mark.parametrize("case", CASES)
def test_statistics_of_arrays_are_those_of_tensors(case: str) -> None:
    expected = statistics(CASES[case])
    found = spectrogram_statistics(CASES[case].numpy(), FPS, TOP_DB)
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-9)


@given(bands=st.integers(1, 60), frames=st.integers(2, 80), seed=st.integers(0, 99))
def test_how_many_there_are_depends_on_the_shape_only(bands: int, frames: int, seed: int) -> None:
    loud, silent = noise(3, bands, frames, seed=seed), torch.zeros(1, bands, frames)
    assert sizes(statistics(loud)) == sizes(statistics(silent))


def test_a_clip_has_the_same_statistics_alone_and_among_others() -> None:
    x = noise(5, 20, 100)
    for alone, among in paired(statistics(x[3:4]), statistics(x)):
        torch.testing.assert_close(alone, among[3:4])


@given(level=st.floats(-0.4, 0.2), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_level_of_the_recording_changes_nothing(level: float, seed: int) -> None:
    x = noise(1, 20, 80, seed=seed)
    for before, after in paired(statistics(x), statistics(x + level)):
        torch.testing.assert_close(before, after, rtol=1e-6, atol=1e-6)


def test_repeating_a_clip_changes_little_beside_what_another_clip_does() -> None:
    """Only the seam is new."""
    x, other = noise(2, 20, 640).unbind()
    blocks = paired(*(statistics(each[None]) for each in (x, x.repeat(1, 2), other)))
    for once, twice, another in blocks:
        assert float((once - twice).norm()) < 0.35 * float((once - another).norm())


def test_what_sounds_faster_changes_more_and_its_modulation_is_faster() -> None:
    slow, fast = (statistics(beating(hertz)) for hertz in (1.0, 4.0))
    assert bool((fast["change"][:, :20] > slow["change"][:, :20]).all())  # of neighbouring frames
    torch.testing.assert_close(fast["skew"], slow["skew"], rtol=0, atol=0.05)
    peaks = [int(each["modulation"].reshape(-1, 16)[:, 0].argmax()) for each in (slow, fast)]
    rates = np.geomspace(0.3, 16, 17)
    for peak, hertz in zip(peaks, (1.0, 4.0), strict=True):
        assert rates[peak] * 0.75 <= hertz <= rates[peak + 1] * 1.3


def decibels(values: list[list[float]]) -> Tensor:
    """A spectrogram whose bands have these decibels under the maximum, some frames each."""
    return (1 + torch.tensor(values, dtype=torch.float64) / TOP_DB)[None]


def test_the_change_of_a_ramp_is_its_slope() -> None:
    ramp = decibels([[-20 + 0.5 * n for n in range(40)]])
    lags = torch.tensor([[1, 4, 16]], dtype=torch.float64)
    torch.testing.assert_close(
        statistics(ramp)["change"], (0.5 * lags + 0.1).log(), rtol=2e-3, atol=0
    )
    torch.testing.assert_close(
        statistics(ramp)["slope"], torch.full((1, 4), 0.5).double(), rtol=0, atol=5e-3
    )


def test_the_skewness_is_that_of_the_textbook_but_for_a_tenth_of_a_decibel() -> None:
    """Of 0, 0, 0, -12: the mean is -3, the deviation 27 ** .5, the third moment -162."""
    x = decibels([[0.0, 0.0, 0.0, -12.0] * 4])
    expected = -162 / (27**0.5 + 0.1) ** 3
    assert statistics(x)["skew"].item() == pytest.approx(expected, rel=5e-3)


def test_bands_that_vary_apart_have_the_logarithms_of_their_variances() -> None:
    x = decibels([[0.0, -4.0, 0.0, -4.0] * 16, [0.0, 0.0, -8.0, -8.0] * 16])
    variance = torch.tensor([4.0, 16.0]) * 64 / 63
    one, across, two = statistics(x)["bands"][0].tolist()
    assert [one, two] == pytest.approx((1 + variance).log().tolist(), rel=5e-3)
    assert across == pytest.approx(0, abs=1e-3)


def test_bands_that_vary_together_have_more_in_common_than_those_apart() -> None:
    together = decibels([[0.0, -8.0] * 32, [0.0, -8.0] * 32])
    apart = decibels([[0.0, -8.0] * 32, [0.0, 0.0, -8.0, -8.0] * 16])
    assert statistics(together)["bands"][0, 1] > statistics(apart)["bands"][0, 1] + 1


def test_float32_gives_what_float64_gives() -> None:
    x = noise(4, 40, 400)
    for exact, short in paired(statistics(x), statistics(x.float())):
        torch.testing.assert_close(short.double(), exact, rtol=2e-3, atol=2e-3)


def test_vectors_over_time_have_mean_and_deviation_and_a_single_one_itself() -> None:
    x = torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])
    blocks = embedding_statistics(x)
    torch.testing.assert_close(blocks["embedding"], torch.tensor([[2.0, 2.0]]))
    torch.testing.assert_close(blocks["embedding_deviation"], torch.tensor([[2**0.5, 0.0]]))
    alone = embedding_statistics(x[:, :, :1])
    assert list(alone) == ["embedding"]
    torch.testing.assert_close(alone["embedding"], x[:, :, 0])


def test_every_block_has_plain_words_and_no_other_words_are_there() -> None:
    frames = embedding_statistics(noise(1, 3, 4))
    assert [*statistics(noise(1, 20, 60)), *frames] == list(BLOCKS)
    assert len({words.label for words in BLOCKS.values()}) == len(BLOCKS)
