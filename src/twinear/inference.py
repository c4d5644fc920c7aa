"""From an audio file to a score, one step at a time.

    file -> waveform -> log-mel -> embedding -> score
         load_waveform    embed_waveforms      Scorer.score
         '------------- embed -------------'
         '------------- score ------------------------'

Each step can be called alone. Nothing here trains, and nothing prints.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.head import head_of, sigmoid
from twinear.clips.waveform import load_waveform
from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import Floats, log_mel

__all__ = [
    "Catalogue",
    "Scorer",
    "embed",
    "embed_waveforms",
    "load_catalogue",
    "load_scorer",
    "load_waveform",
    "score",
]


def load_scorer(path: Path | str) -> Scorer:
    """Read a scorer's file.

    Raises
    ------
    DataError
        Missing, damaged, or written by another version.
    """
    return Scorer.read(Path(path))


def load_catalogue(folder: Path | str) -> Catalogue:
    """Open a catalogue's folder; its arrays are memory-mapped.

    Raises
    ------
    DataError
        Missing, damaged, or written by another version.
    """
    return Catalogue.read(Path(folder))


def embed(scorer: Scorer, paths: Iterable[Path | str]) -> np.ndarray:
    """Encode audio files.

    Parameters
    ----------
    paths
        Audio files of any codec and length; of a long one the part that the front end takes.

    Returns
    -------
    (files, units), float32.

    Raises
    ------
    ClipError
        A file that cannot be decoded.
    DataError
        A missing file, or a scorer that needs embeddings of another network.
    """
    front = scorer.spectrograms
    files = [require(Path(path), "name an audio file") for path in paths]
    # decoded one by one, and none for a scorer that cannot use them
    waveforms = (load_waveform(path, front.sr, front.max_seconds) for path in files)
    return embed_waveforms(scorer, waveforms)


def embed_waveforms(scorer: Scorer, waveforms: Iterable[Floats]) -> np.ndarray:
    """Encode waveforms at the sample rate of the scorer's front end, (waveforms, units).

    Parameters
    ----------
    waveforms
        Each (n,), mono, at `scorer.spectrograms.sr`.

    Raises
    ------
    DataError
        The scorer needs embeddings of another network.
    """
    return scorer.encode(compute_log_mels(scorer, waveforms))


def require_audio_alone(scorer: Scorer) -> None:
    """Refuse a scorer that needs embeddings of another network."""
    if scorer.spectrograms.embeddings != "none":
        raise DataError(
            "the scorer",
            f"was trained on embeddings ({scorer.spectrograms.embeddings})",
            expected="a scorer that needs audio alone",
            remedy="train one with spectrograms.embeddings: none",
        )


def compute_log_mels(scorer: Scorer, waveforms: Iterable[Floats]) -> Floats:
    """Compute what the scorer's network gets, (waveforms, n_mels, n_frames).

    Raises
    ------
    DataError
        As `embed_waveforms`.
    """
    require_audio_alone(scorer)
    front = scorer.spectrograms
    log_mels = [log_mel(y, front) for y in waveforms]
    empty = np.empty((0, front.n_mels, front.n_frames), np.float32)
    return np.stack(log_mels) if log_mels else empty


def score(scorer: Scorer, a: Path | str, b: Path | str) -> float:
    """Score how alike two audio files sound, in (0, 1); the order does not matter.

    Raises
    ------
    ClipError, DataError
        As `embed`.
    """
    u, v = embed(scorer, (a, b))[:, None]
    return float(sigmoid(head_of(scorer).logit(u, v))[0, 0])
