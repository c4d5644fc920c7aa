"""Augmentation of training spectrograms.

Another part of the clip, another equaliser, bands or frames masked (Park et al., "SpecAugment",
Interspeech 2019), another clip mixed in. The level needs no change: a spectrogram is relative to
its own maximum. Everything is drawn once for each clip of a step, from the generator given.
Embeddings of pre-trained networks are never changed.
"""

import torch
from pydantic import Field
from torch import Tensor

from twinear.base.params import Params


class AugmentationParams(Params):
    """How far a training spectrogram may differ from the clip's own."""

    min_crop: float = Field(gt=0, le=1)
    tilt_db: float = Field(ge=0)
    freq_mask: float = Field(ge=0, lt=1)
    time_mask: float = Field(ge=0, lt=1)
    mixup: float = Field(ge=0, le=1)

    @property
    def changes_nothing(self) -> bool:
        """Whether every value is at rest."""
        changes = (self.tilt_db, self.freq_mask, self.time_mask, self.mixup)
        return self.min_crop == 1 and not any(changes)


def augment(
    x: Tensor, params: AugmentationParams, top_db: float, generator: torch.Generator
) -> Tensor:
    """Change spectrograms (clips, n_bands, n_frames) in [0, 1]; shape and range are kept.

    `top_db` is what the value 0 stands for, in decibels below 1; the generator is on the CPU.
    """
    x = cropped(x, params.min_crop, generator)
    if params.mixup:
        x = _mixed(x, params.mixup, top_db, generator)
    if params.tilt_db:
        x = _tilted(x, params.tilt_db / top_db, generator)
    if params.freq_mask:
        x = x * _kept(x.shape[1], params.freq_mask, len(x), generator).to(x.device)[:, :, None]
    if params.time_mask:
        x = x * _kept(x.shape[2], params.time_mask, len(x), generator).to(x.device)[:, None]
    return x


def cropped(x: Tensor, least: float, generator: torch.Generator) -> Tensor:
    """Cut a part of each clip, at least the share `least` of it, and repeat it to full length."""
    n = x.shape[2]
    if least == 1:
        return x
    draw = torch.rand((2, len(x)), generator=generator)
    length = (n * (least + (1 - least) * draw[0])).long().clamp(1, n)
    start = ((n - length + 1) * draw[1]).long()
    frames = start[:, None] + torch.arange(n) % length[:, None]  # (clips, n_frames)
    index = frames.to(x.device)[:, None].expand(-1, x.shape[1], -1)
    return x.gather(2, index)


def _mixed(x: Tensor, most: float, top_db: float, generator: torch.Generator) -> Tensor:
    """Add another clip of the step, at up to `most` of the power."""
    share = most * torch.rand((len(x), 1, 1), generator=generator).to(x.device)
    other = x[torch.randperm(len(x), generator=generator).to(x.device)]
    power = 10 ** ((x - 1) * (top_db / 10)) + share * 10 ** ((other - 1) * (top_db / 10))
    return _relative(1 + torch.log10(power) * (10 / top_db))


def _tilted(x: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Raise or lower the ends of the spectrum, by half a cosine and a whole one over the bands."""
    amount = most * (2 * torch.rand((2, len(x), 1, 1), generator=generator) - 1).to(x.device)
    place = torch.linspace(0, torch.pi, x.shape[1], device=x.device)[:, None]
    curve = amount[0] * place.cos() + amount[1] * (2 * place).cos()  # (clips, n_bands, 1)
    return _relative(x + curve)


def _relative(x: Tensor) -> Tensor:
    return (x - x.amax(dim=(1, 2), keepdim=True) + 1).clamp(0, 1)


def _kept(n: int, most: float, clips: int, generator: torch.Generator) -> Tensor:
    """Where a stretch of up to `most` of `n` is not masked, (clips, n)."""
    draw = torch.rand((2, clips, 1), generator=generator)
    length = (n * most * draw[0]).long()
    start = ((n - length + 1) * draw[1]).long()
    place = torch.arange(n)
    return (place < start) | (place >= start + length)
