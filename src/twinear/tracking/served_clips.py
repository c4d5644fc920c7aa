"""The clips of a request to a served scorer: recognised, checked, and scored in pairs.

A clip is one of

- audio: base64 in a string, or bytes,
- a spectrogram: what the scorer's network takes, (n_bands, n_frames) nested lists or an array; an
  embedding (n_dims, n_frames) where the scorer takes one instead,
- a spectrogram with the embedding that the scorer also takes: a mapping of `spectrogram` and
  `embedding`, (n_joined,).

Knows nothing of MLflow.
"""

import base64
import binascii
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError, DataError
from twinear.clips.waveform import decode
from twinear.inference import ClipInput, compute_input
from twinear.model.scorer import Scorer

SPECTROGRAM, EMBEDDING = "spectrogram", "embedding"
KINDS = "audio as base64, a spectrogram, or an object of spectrogram and embedding"


def score_pairs(scorer: Scorer, pairs: Iterable[Sequence[object]]) -> npt.NDArray[np.float32]:
    """Score pairs of clips, (pairs,), each in (0, 1).

    Raises
    ------
    DataError
        No pair; a clip that is none of the kinds above, of another shape than the scorer takes, or
        with values that are not finite; a score that is not a number.
    ClipError
        Audio that cannot be decoded.
    """
    import torch  # slow to import

    clips = [
        read_clip(scorer, clip, f"pair {number}, clip {side}")
        for number, (one, other) in enumerate(pairs, 1)
        for side, clip in ((1, one), (2, other))
    ]
    if not clips:
        raise DataError("the request", "holds no clips", expected="pairs of clips")
    n = len(clips) // 2
    values = np.array([clip.values for clip in clips], np.float32).reshape(
        n, 2, *scorer.inputs.shape
    )
    joined = np.array([clip.joined for clip in clips], np.float32).reshape(
        n, 2, scorer.inputs.n_joined
    )
    with torch.inference_mode():
        scores = scorer.net(torch.from_numpy(values), torch.from_numpy(joined)).numpy()
    if not np.isfinite(scores).all():
        pair = int(np.flatnonzero(~np.isfinite(scores))[0]) + 1
        raise DataError(
            f"pair {pair}", "gets a score that is not a number", remedy="check its clips"
        )
    return np.asarray(scores, np.float32)


def read_clip(scorer: Scorer, clip: object, place: str) -> ClipInput:
    """Recognise one clip and compute what the scorer's network takes of it; errors as above."""
    if isinstance(clip, np.ndarray) and not clip.ndim:  # as MLflow packs a string in a column
        clip = clip.item()
    if isinstance(clip, str):
        clip = _decode_base64(clip, place)
    if isinstance(clip, bytes):
        return _read_audio(scorer, clip, place)
    inputs = scorer.inputs
    parts = clip if isinstance(clip, Mapping) else {SPECTROGRAM: clip}
    if set(parts) - {SPECTROGRAM, EMBEDDING} or SPECTROGRAM not in parts:
        found = f"an object of {', '.join(map(str, parts)) or 'nothing'}"
        raise DataError(place, found, expected=KINDS)
    spectrogram = _read_array(parts[SPECTROGRAM], inputs.shape, f"{place}, {SPECTROGRAM}")
    if EMBEDDING not in parts and inputs.n_joined:
        found, expected = "no embedding", f"an embedding of {inputs.n_joined} numbers, or audio"
        raise DataError(place, found, expected=expected)
    embedding = _read_array(parts.get(EMBEDDING, []), (inputs.n_joined,), f"{place}, {EMBEDDING}")
    return ClipInput(values=spectrogram, joined=embedding)


def _decode_base64(text: str, place: str) -> bytes:
    try:  # programs wrap long lines
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:  # the second: letters beyond ASCII
        raise DataError(place, f"is not base64 ({error})", expected=KINDS) from error


def _read_audio(scorer: Scorer, audio: bytes, place: str) -> ClipInput:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"  # without a suffix: the content decides
        path.write_bytes(audio)
        try:
            return compute_input(scorer, decode(path, scorer.spectrograms.max_seconds), place)
        except ClipError as error:
            _, found, expected, _ = error.parts
            raise ClipError(place, found, expected=expected, remedy="send another file") from error


@np.errstate(over="ignore")  # beyond float32 is infinite, and refused
def _read_array(values: object, shape: tuple[int, ...], place: str) -> npt.NDArray[np.float32]:
    try:
        array = np.asarray(values, dtype=np.float32)
    except (ValueError, TypeError):
        raise DataError(place, "is not an array of numbers", expected=KINDS) from None
    if array.shape != shape:
        expected = f"{shape}, as the scorer's front end gives"
        raise DataError(place, f"has shape {array.shape}", expected=expected, remedy="send audio")
    if not np.isfinite(array).all():
        raise DataError(place, "holds NaN or an infinite number", expected="finite numbers")
    return array
