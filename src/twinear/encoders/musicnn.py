"""musicnn: a network pre-trained to tag music, here as a plain torch module with its weights.

Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR
2019 (late-breaking demo). Two sets of weights are shipped under musicnn's ISC licence, in float16
(`musicnn_conversion` makes them of the package): `musicnn-msd` was trained on the Million Song
Dataset with tags of Last.fm, `musicnn-mtt` on MagnaTagATune. The embedding of a patch is the layer
before the tags, that of a clip the mean over its patches.

Five convolutions over the log-mel, tall ones for timbre and long ones for rhythm, each reduced to
its maximum over frequency; three residual convolutions over time; the maximum and the mean over
time of all that; a dense layer. A normalisation follows each ReLU.

Training drove many filters to zero, 496 of the 561 of `musicnn-msd`: their output is the same
number everywhere, and they are not computed.
"""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.clips.waveform import MIX
from twinear.encoders.encoder import Encoder, Floats
from twinear.encoders.musicnn_patches import SR, cut_patches

MODELS = {  # the SHA-256 of the weights
    "musicnn-msd": "802498d0f3cb3dbbb79d4a12f3b5a6a6762564afad435823040b601afcc2e357",
    "musicnn-mtt": "e39e61b560c68a8900d324e4166c87cc84045ecd8ebcad2019e6f03f1be58f8b",
}
WEIGHTS = Path(__file__).with_name("weights")
N_DIMS = 200
LICENCE = "ISC (Music Technology Group, Universitat Pompeu Fabra)"
REINSTALL = "install twinear again"

TIMBRE_KERNELS = ((7, 38), (7, 67))  # frames, bands
RHYTHM_KERNELS = ((128, 1), (64, 1), (32, 1))
TIMBRE_CHANNELS, RHYTHM_CHANNELS, MID_CHANNELS = 204, 51, 64
EPSILON = 1e-3  # of the normalisations
CPU_BATCH, GPU_BATCH = 2, 256  # patches at a time; few fit the cache of a CPU


class FrontConvolution(nn.Module):
    """A convolution over time and frequency, and its maximum over frequency."""

    def __init__(self, channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, kernel)
        self.norm = nn.BatchNorm1d(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(patches, 1, frames, bands) to (patches, channels, frames)."""
        size = self.conv.kernel_size[0]
        x = nn.functional.pad(x, (0, 0, (size - 1) // 2, size // 2))
        weight, bias = self.conv.weight, self.conv.get_parameter("bias")
        used = weight.abs().amax(dim=(1, 2, 3)) > 0
        y = nn.functional.conv2d(x, weight[used], bias[used])
        # The network normalises before it takes the maximum. With a negative factor the maximum is
        # that of the smallest value; taken first, there is less to normalise.
        rises = (self.norm.weight > 0)[used, None]
        out = bias[:, None].repeat(len(x), 1, y.shape[2])
        out[:, used] = torch.where(rises, y.amax(dim=3), y.amin(dim=3))
        normalised: Tensor = self.norm(out.relu())
        return normalised


class MidConvolution(nn.Module):
    """A convolution over time."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, MID_CHANNELS, 7, padding=3)
        self.norm = nn.BatchNorm1d(MID_CHANNELS, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(patches, inputs, frames) to (patches, MID_CHANNELS, frames)."""
        normalised: Tensor = self.norm(self.conv(x).relu())
        return normalised


class Musicnn(nn.Module):
    """The network up to the layer before the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm2d(1, eps=EPSILON)
        timbre = [FrontConvolution(TIMBRE_CHANNELS, kernel) for kernel in TIMBRE_KERNELS]
        rhythm = [FrontConvolution(RHYTHM_CHANNELS, kernel) for kernel in RHYTHM_KERNELS]
        self.front = nn.ModuleList([*timbre, *rhythm])
        n_front = len(timbre) * TIMBRE_CHANNELS + len(rhythm) * RHYTHM_CHANNELS
        self.mid = nn.ModuleList(
            MidConvolution(inputs) for inputs in (n_front, MID_CHANNELS, MID_CHANNELS)
        )
        n_pooled = 2 * (n_front + len(self.mid) * MID_CHANNELS)
        self.pooled_norm = nn.BatchNorm1d(n_pooled, eps=EPSILON)
        self.dense = nn.Linear(n_pooled, N_DIMS)
        self.dense_norm = nn.BatchNorm1d(N_DIMS, eps=EPSILON)

    def forward(self, patches: Tensor) -> Tensor:
        """(patches, N_MELS, N_FRAMES) to (patches, N_DIMS)."""
        x = self.input_norm(patches.transpose(1, 2)[:, None])  # (patches, 1, frames, bands)
        features = [torch.cat([convolution(x) for convolution in self.front], dim=1)]
        y = self.mid[0](features[0])
        features.append(y)
        for convolution in self.mid[1:]:
            y = convolution(y) + y
            features.append(y)
        z = torch.cat(features, dim=1)  # (patches, channels, frames)
        # maximum and mean of each channel side by side, (patches, 2 * channels)
        pooled = torch.stack([z.amax(dim=2), z.mean(dim=2)], dim=2).flatten(start_dim=1)
        embedding: Tensor = self.dense_norm(self.dense(self.pooled_norm(pooled)).relu())
        return embedding


def load_musicnn(model: str, device: str = "cpu") -> Encoder:
    """Load one of `MODELS`.

    Raises
    ------
    DataError
        Its file of weights is missing, or is not the one that was shipped.
    """
    path = WEIGHTS / f"{model}.safetensors"
    content = require(path, REINSTALL).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != MODELS[model]:
        expected = f"SHA-256 {MODELS[model][:12]}, as it was shipped"
        raise DataError(path, f"has SHA-256 {digest[:12]}", expected=expected, remedy=REINSTALL)
    net = Musicnn()
    # the normalisations' counts of batches, which serve training alone, are not in the file
    net.load_state_dict(net.state_dict() | load(content))
    return Encoder(
        name=f"{model} {digest[:16]} {MIX}",
        licence=LICENCE,
        sr=SR,
        cut=cut_patches,
        embed=partial(embed_patches, net.to(device).eval()),
    )


def embed_patches(net: Musicnn, patches: Floats) -> Floats:
    """Embed patches (n, N_MELS, N_FRAMES) on the network's device, (n, N_DIMS)."""
    device = net.dense.weight.device
    batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    with torch.inference_mode():
        parts = [net(x.to(device)) for x in torch.from_numpy(patches).split(batch)]
        return np.asarray(torch.cat(parts).cpu().numpy())
