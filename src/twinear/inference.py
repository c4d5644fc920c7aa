"""From an audio file to a score, one step at a time, and from a catalogue to similar artists.

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
from twinear.catalogue.search import SimilarArtist, find_neighbours
from twinear.clips.waveform import load_waveform
from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import Floats, log_mel

__all__ = [
    "Catalogue",
    "Scorer",
    "SimilarArtist",
    "embed",
    "embed_waveforms",
    "load_catalogue",
    "load_scorer",
    "load_waveform",
    "score",
    "similar_artists",
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
    """Read a catalogue's folder; the scores are memory-mapped.

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
    front = scorer.spectrograms
    if front.embeddings != "none":
        raise DataError(
            "the scorer",
            f"was trained on embeddings ({front.embeddings})",
            expected="a scorer that needs audio alone",
            remedy="train one with spectrograms.embeddings: none",
        )
    spectrograms = [log_mel(y, front) for y in waveforms]
    if not spectrograms:
        return np.empty((0, scorer.net.units), np.float32)
    return scorer.encode(np.stack(spectrograms))


def score(scorer: Scorer, a: Path | str, b: Path | str) -> float:
    """Score how alike two audio files sound, in (0, 1); the order does not matter.

    Raises
    ------
    ClipError, DataError
        As `embed`.
    """
    u, v = embed(scorer, (a, b))[:, None]
    return float(scorer.score(u, v)[0, 0])


def similar_artists(folder: Path | str, artist: str, top: int = 10) -> list[SimilarArtist]:
    """Find the artists that sound most like one of a catalogue, best first.

    Parameters
    ----------
    folder
        The catalogue's folder.
    artist
        A name (case and accents do not matter) or an id.

    Raises
    ------
    DataError
        No such artist (the message names the nearest), or no catalogue.
    """
    return find_neighbours(Path(folder), artist, top).similar
