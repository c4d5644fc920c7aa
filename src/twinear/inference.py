"""From an audio file to a score, one step at a time.

    file -> waveform -> input -> embedding -> score
         load_waveform    embed_waveforms    Scorer.score
         '------------ embed ------------'
         '------------ score ----------------------'

Each step can be called alone. Nothing here trains, and nothing prints. The input is what the
scorer's network takes: a log-mel, and where the scorer was trained on them the embedding of the
pre-trained encoder that its training used. The encoder is found by the name in the scorer's file.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twinear.base.errors import ClipError, DataError
from twinear.base.files import require
from twinear.catalogue.catalogue import Catalogue
from twinear.catalogue.head import head_of, sigmoid
from twinear.clips.decoding import REPLACE
from twinear.clips.waveform import Waveform, decode, load_waveform
from twinear.encoders.encoder import Encoder
from twinear.encoders.loading import WINDOWS, find_encoder
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
        A missing file, or a scorer whose encoder is not here (see `find_scorer_encoder`).
    """
    find_scorer_encoder(scorer)  # before the audio, which takes time
    files = [require(Path(path), "name an audio file") for path in paths]
    # decoded one by one
    waveforms = ((decode(path, scorer.spectrograms.max_seconds), path) for path in files)
    return encode_inputs(scorer, (compute_input(scorer, y, path) for y, path in waveforms))


def embed_waveforms(scorer: Scorer, waveforms: Iterable[Floats]) -> np.ndarray:
    """Encode waveforms at the sample rate of the scorer's front end, (waveforms, units).

    A pre-trained encoder of another rate gets them resampled from there; `embed` resamples once.

    Parameters
    ----------
    waveforms
        Each (n,), mono, at `scorer.spectrograms.sr`.

    Raises
    ------
    ClipError
        A waveform far above full scale, for a scorer with an encoder.
    DataError
        The scorer's encoder is not here.
    """
    sr = scorer.spectrograms.sr
    return encode_inputs(scorer, (compute_input(scorer, Waveform(y=y, sr=sr)) for y in waveforms))


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipInput:
    """What one clip gives a scorer's network, as `model.inputs` describes it."""

    values: Floats  # (n_bands, n_frames)
    joined: Floats  # (n_joined,)


def compute_input(
    scorer: Scorer, waveform: Waveform, place: Path | str = "the waveform"
) -> ClipInput:
    """Compute what the scorer's network takes of a waveform; errors call it `place`.

    Silence at the ends is left out.

    Raises
    ------
    ClipError
        It is so far above full scale that its embedding is not finite.
    DataError
        As `find_scorer_encoder`.
    """
    front, sound = scorer.spectrograms, waveform.without_silence()
    embedding = compute_embedding(scorer, sound, place)  # (n_dims, n_frames)
    if front.embeddings == "only":
        if embedding.shape[1] != scorer.inputs.shape[1]:  # trained on the means over the windows
            embedding = embedding.mean(axis=1, keepdims=True)
        return ClipInput(values=embedding, joined=np.empty(0, np.float32))
    return ClipInput(values=log_mel(sound.at(front.sr), front), joined=embedding.mean(axis=1))


def compute_embedding(
    scorer: Scorer, waveform: Waveform, place: Path | str = "the waveform"
) -> Floats:
    """Compute the embedding that the scorer needs, as its training's table holds it.

    Returns
    -------
    (n_dims, n_frames); one frame where a clip has one vector, n_dims is 0 for a scorer without
    embeddings.
    """
    encoder = find_scorer_encoder(scorer)
    if encoder is None:
        return np.empty((0, 1), np.float32)
    y = waveform.at(encoder.sr)
    framed = scorer.inputs.extractor.endswith(WINDOWS)
    embedding = encoder.encode_frames(y) if framed else encoder.encode(y)[:, None]
    if not np.isfinite(embedding).all():
        raise ClipError(place, "is too loud: its embedding is not finite", remedy=REPLACE)
    return embedding


def find_scorer_encoder(scorer: Scorer) -> Encoder | None:
    """Find the pre-trained encoder that a scorer needs; None if it needs none.

    Raises
    ------
    DataError
        The scorer was trained on embeddings of an unknown extractor, or of one that is not here or
        of another version.
    """
    if scorer.spectrograms.embeddings == "none":
        return None
    return find_encoder(scorer.inputs.extractor)


def encode_inputs(scorer: Scorer, inputs: Iterable[ClipInput]) -> np.ndarray:
    """Encode the inputs of clips, (clips, units)."""
    clips = list(inputs)
    if not clips:
        return np.empty((0, scorer.units), np.float32)
    values, joined = [clip.values for clip in clips], [clip.joined for clip in clips]
    return scorer.encode(np.stack(values), np.stack(joined))


def score(scorer: Scorer, a: Path | str, b: Path | str) -> float:
    """Score how alike two audio files sound, in (0, 1); the order does not matter.

    Raises
    ------
    ClipError, DataError
        As `embed`, or the scorer's weights give no finite number for these clips.
    """
    with np.errstate(all="ignore"):
        u, v = embed(scorer, (a, b))[:, None]
        value = float(sigmoid(head_of(scorer).logit(u, v))[0, 0])
    if not math.isfinite(value):
        found = "the scorer's weights give no finite number"
        raise DataError(f"{a}, {b}", found, remedy="use another scorer, or train this one again")
    return value
