"""Synthesise a clip from a style: planted traits, then nuisances.

Each dimension of the style is audible through two traits:

    pace     notes a second, hats a second
    sustain  decay of a note, its attack
    height   register of the melody, brightness of its timbre

A melody of decaying harmonic notes and a high-passed noise burst (hat) play in two free pulses.
Properties that are constant in a clip and independent of the artist come on top: key, mode, noise
floor, equalisation, a slow swell, level. In a log spectrum these are additive or a floor, so they
dominate a distance between spectra, but not differences along time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Waveform = NDArray[np.float32]  # (n,)

# planted: the trait at -1 and at +1 of its dimension
NOTES_HZ = (0.4, 3.0)
HATS_HZ = (0.4, 3.0)
DECAY_SECONDS = (0.05, 1.6)
ATTACK_SECONDS = (0.005, 0.08)
REGISTER_MIDI = (36.0, 70.0)
ROLL_OFF = (3.0, 0.3)  # the k-th harmonic has amplitude k ** -roll_off
WOBBLE = 0.05  # standard deviation of a clip's style about its artist's

# nuisance: ranges that a clip's values are drawn from
KEY_SEMITONES = (-3, 3)
ACCENT_DB = (-3.0, 0.0)
NOISE_DB = (-62.0, -37.0)
TILT_DB_PER_OCTAVE = (-6.0, 6.0)
PEAK_DB = (-22.0, 22.0)
N_PEAKS = 5
SWELL_DB = (0.0, 9.0)
SWELL_SECONDS = (20.0, 60.0)
LEVEL_DB = (-14.0, -1.0)

MODES = np.array([[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10]])  # major, minor
HATS_DB = -6.0
HATS_ABOVE_HZ = 2500.0
TOP_HZ = 9000.0
SKIPPED = 0.1  # share of a pulse's beats left out
LONGEST_SECONDS = 5.0
TABLE = 4096  # samples of a period, a power of two


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The audible traits of a style."""

    notes_hz: float
    hats_hz: float
    decay_seconds: float
    attack_seconds: float
    register_midi: float
    roll_off: float

    @classmethod
    def from_style(cls, style: np.ndarray) -> "Traits":
        """The traits of a style, (dimensions,) in [-1, 1]; rates and times are geometric."""
        pace, sustain, height = (np.asarray(style) + 1) / 2
        return cls(
            notes_hz=_geometric(NOTES_HZ, pace),
            hats_hz=_geometric(HATS_HZ, pace),
            decay_seconds=_geometric(DECAY_SECONDS, sustain),
            attack_seconds=_geometric(ATTACK_SECONDS, sustain),
            register_midi=_linear(REGISTER_MIDI, height),
            roll_off=_linear(ROLL_OFF, height),
        )


def synthesise(style: np.ndarray, seconds: float, sr: int, rng: np.random.Generator) -> Waveform:
    """One clip of an artist: (seconds * sr,), peak below 1.

    `style` is (dimensions,), in [-1, 1]; `rng` draws melody and nuisances, independent of it.
    """
    traits = Traits.from_style(style + WOBBLE * rng.standard_normal(len(style)))
    n = round(seconds * sr)
    y = _peak_one(_melody(traits, n, sr, rng)) + _gain(HATS_DB) * _peak_one(
        _hats(traits.hats_hz, n, sr, rng)
    )
    noise = _gain(rng.uniform(*NOISE_DB)) * rng.standard_normal(n, dtype=np.float32)
    y = _equalised(_peak_one(y) + noise, sr, rng) * _swell(n, sr, rng)
    return _gain(rng.uniform(*LEVEL_DB)) * _peak_one(y)


def _melody(traits: Traits, n: int, sr: int, rng: np.random.Generator) -> Waveform:
    """A random walk on a scale."""
    length = round(sr * min(LONGEST_SECONDS, 6 * traits.decay_seconds))
    envelope = _envelope(length, traits.attack_seconds * sr, traits.decay_seconds * sr)
    tonic = round(traits.register_midi) + rng.integers(*KEY_SEMITONES, endpoint=True)
    mode = MODES[rng.integers(2)]
    y = np.zeros(n + length, dtype=np.float32)
    degree = 0
    for start in _pulse(traits.notes_hz, n, sr, rng):
        degree = int(np.clip(degree + rng.integers(-3, 4), -4, 8))
        midi = tonic + 12 * (degree // 7) + mode[degree % 7]
        hz = float(440 * 2 ** ((midi - 69) / 12))
        period = _harmonics(hz, traits.roll_off, sr, rng)
        tone = period[(np.arange(length) * (hz * TABLE / sr)).astype(np.int64) & (TABLE - 1)]
        y[start : start + length] += _gain(rng.uniform(*ACCENT_DB)) * envelope * tone
    return y[:n]


def _hats(rate_hz: float, n: int, sr: int, rng: np.random.Generator) -> Waveform:
    length = round(0.15 * sr)
    envelope = _envelope(length, 1, 0.03 * sr)
    y = np.zeros(n + length, dtype=np.float32)
    for start in _pulse(rate_hz, n, sr, rng):
        burst = envelope * rng.standard_normal(length, dtype=np.float32)
        y[start : start + length] += _gain(rng.uniform(*ACCENT_DB)) * burst
    high = signal.butter(2, HATS_ABOVE_HZ, "highpass", fs=sr, output="sos")
    return np.asarray(signal.sosfilt(high, y[:n]), dtype=np.float32)


def _pulse(rate_hz: float, n: int, sr: int, rng: np.random.Generator) -> Iterator[int]:
    """Onsets of a steady pulse of random phase, some beats left out; at least one."""
    first = rng.random()
    # of a clip that is shorter than a beat, the start is one
    beats = np.arange(first, n / sr * rate_hz, 1.0) if first < n / sr * rate_hz else np.zeros(1)
    kept = rng.random(len(beats)) >= SKIPPED
    kept[:1] = True
    yield from (beats[kept] / rate_hz * sr).astype(int)


def _swell(n: int, sr: int, rng: np.random.Generator) -> Waveform:
    """A slow rise and fall of the level, as gain; (n,)."""
    period, phase = rng.uniform(*SWELL_SECONDS), rng.uniform(0, 2 * np.pi)
    depth_db = rng.uniform(*SWELL_DB)
    wave = np.sin(np.arange(n) * (2 * np.pi / (period * sr)) + phase)
    return np.asarray(10 ** (depth_db / 20 * wave), dtype=np.float32)


def _equalised(y: Waveform, sr: int, rng: np.random.Generator) -> Waveform:
    """Apply a random tilt and some broad random peaks and dips."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(y), 1 / sr), 50) / 1000)
    gain_db = rng.uniform(*TILT_DB_PER_OCTAVE) * octaves
    for _ in range(N_PEAKS):
        centre, width = rng.uniform(-3.6, 3.0), rng.uniform(0.3, 0.8)
        gain_db += rng.uniform(*PEAK_DB) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    return np.fft.irfft(np.fft.rfft(y) * 10 ** (gain_db / 20), len(y)).astype(np.float32)


def _harmonics(hz: float, roll_off: float, sr: int, rng: np.random.Generator) -> Waveform:
    """One period of a tone of unit power, harmonics of random phase below `TOP_HZ`; (TABLE,)."""
    k = np.arange(1, max(2, int(min(TOP_HZ, 0.47 * sr) / hz) + 1))
    spectrum = np.zeros(TABLE // 2 + 1, dtype=complex)
    spectrum[k] = k**-roll_off * np.exp(2j * np.pi * rng.random(len(k)))
    period = np.fft.irfft(spectrum)
    return np.asarray(period / period.std(), dtype=np.float32)


def _envelope(n: int, attack: float, decay: float) -> Waveform:
    """Linear rise and exponential fall; lengths in steps of the waveform."""
    t = np.arange(n, dtype=np.float32)
    return np.asarray(np.minimum(1, t / attack) * np.exp(-t / decay), dtype=np.float32)


def _peak_one(y: Waveform) -> Waveform:
    return np.asarray(y / np.abs(y).max(), dtype=np.float32)


def _gain(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def _linear(ends: tuple[float, float], x: float) -> float:
    return float(ends[0] + (ends[1] - ends[0]) * x)


def _geometric(ends: tuple[float, float], x: float) -> float:
    return float(ends[0] * (ends[1] / ends[0]) ** x)
