"""Audio files -> scores: what a scorer says of files that no pipeline has seen."""

from pathlib import Path

import numpy as np

from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.clips.waveform import load_waveform
from twinear.model.scorer import Scorer
from twinear.spectrograms.front_end import log_mel


def score_clips(scorer: Scorer, a: Path, b: Path) -> float:
    """Score two audio files, in (0, 1).

    Raises
    ------
    ClipError
        A file that cannot be decoded.
    DataError
        The scorer needs embeddings that another network has to make first.
    """
    front = scorer.spectrograms
    if front.embeddings != "none":
        raise DataError(
            "the scorer",
            f"was trained on embeddings ({front.embeddings})",
            expected="one that hears audio files alone",
            remedy="train one with spectrograms.embeddings: none",
        )
    for path in (a, b):
        require(path, "name an audio file")
    clips = [log_mel(load_waveform(each, front.sr, front.max_seconds), front) for each in (a, b)]
    u, v = scorer.encode(np.stack(clips))[:, None]
    return float(scorer.score(u, v)[0, 0])
