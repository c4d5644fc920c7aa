"""Measured descriptors of a clip, for people: no score uses them."""

from dataclasses import dataclass

import numpy as np

from twinear.spectrograms.front_end import Floats


@dataclass(frozen=True, kw_only=True)
class Descriptors:
    """What librosa measures of a clip.

    Attributes
    ----------
    tempo_bpm
        Beats per minute; None with fewer than two onsets. Often half or twice what a person taps.
    brightness_hz
        Centroid of the mean spectrum; None for silence.
    onsets_per_second
        Density of onsets.
    """

    tempo_bpm: float | None
    brightness_hz: float | None
    onsets_per_second: float


def describe(y: Floats, sr: int) -> Descriptors:
    """Measure a waveform, (n,); librosa takes seconds to start."""
    # slow to import, and not needed for an explanation
    from librosa import stft
    from librosa.feature import spectral_centroid, tempo
    from librosa.onset import onset_detect, onset_strength

    if not np.any(y):
        return Descriptors(tempo_bpm=None, brightness_hz=None, onsets_per_second=0.0)
    strength = onset_strength(y=y, sr=sr)
    n_onsets = len(onset_detect(onset_envelope=strength, sr=sr))
    beats = tempo(onset_envelope=strength, sr=sr) if n_onsets > 1 else None
    spectrum = np.abs(stft(y)).mean(axis=1, keepdims=True)  # (bins, 1)
    return Descriptors(
        tempo_bpm=None if beats is None else float(beats[0]),
        brightness_hz=float(spectral_centroid(S=spectrum, sr=sr)[0, 0]),
        onsets_per_second=n_onsets * sr / len(y),
    )
