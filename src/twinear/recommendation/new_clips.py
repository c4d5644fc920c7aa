"""Audio files of a new artist -> what a network gets of them; each refused with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twinear.base.errors import ClipError, DataError
from twinear.base.files import is_system_file, sha256
from twinear.clips.clips import ClipsParams, decode_usable
from twinear.clips.decoding import AUDIO
from twinear.clips.waveform import Waveform, decode
from twinear.compute.pool import Progress
from twinear.inference import ClipInput, compute_input, find_scorer_encoder
from twinear.model.scorer import Scorer

# as in the project's params.yaml, for a folder without one
USABLE = ClipsParams(min_seconds=5.0, min_dbfs=-70.0, max_bad_fraction=0.2, source_column="source")


@dataclass(frozen=True, kw_only=True, eq=False)
class NewClip:
    """A clip that can be used; `seconds` is of the whole file."""

    path: Path  # absolute
    title: str
    seconds: float
    sha256: str
    input: ClipInput


@dataclass(frozen=True, kw_only=True, eq=False)
class NewClips:
    """At least one clip, each content once, and why others were left out, one line each."""

    clips: list[NewClip]
    left_out: list[str]


def read_new_clips(
    paths: Sequence[Path | str],
    scorer: Scorer,
    usable: ClipsParams = USABLE,
    progress: Progress = iter,
) -> NewClips:
    """Read audio files of any codec and length, and all audio in folders.

    Of a long file no more than the front end's `max_seconds` is decoded. A file that is named
    itself must be usable; in a folder one that is not is left out.

    Raises
    ------
    ClipError
        No file, not readable as audio, samples that are not numbers, too short, or silent.
    DataError
        Nothing is named, a folder holds nothing usable, or the scorer's encoder is not here.
    """
    find_scorer_encoder(scorer)  # before the audio, which takes time
    files: list[tuple[Path, bool]] = []  # and whether it was named itself
    for path in [Path(path).absolute() for path in paths]:
        found = [(file, False) for file in _audio_in(path)] if path.is_dir() else [(path, True)]
        if not found:
            raise DataError(path, "holds no audio", remedy="name an audio file or a folder of some")
        files += found
    if not files:
        raise DataError("clips", "none are named", remedy="name an audio file or a folder of some")
    clips: dict[str, NewClip] = {}  # SHA-256 -> the first of that content
    left_out = []
    for path, is_named in progress(files):
        try:
            clip = _read_clip(path, scorer, usable)
        except ClipError as error:
            if is_named:
                raise
            left_out.append(str(error))
            continue
        first = clips.setdefault(clip.sha256, clip)
        if first is not clip:
            left_out.append(f"{path}: holds the same bytes as {first.path}")
    if not clips:
        found_none = f"holds no clip that can be used ({left_out[0]})"
        raise DataError(files[0][0].parent, found_none, remedy="name other files")
    return NewClips(clips=list(clips.values()), left_out=left_out)


def _audio_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO
        and path.is_file()
        and not is_system_file(path.relative_to(folder))
    )


def _read_clip(path: Path, scorer: Scorer, usable: ClipsParams) -> NewClip:
    # its readers are slow to import
    from twinear.acquisition.music_folder import describe_recording, read_tags

    waveform = decode_usable(path, usable, scorer.spectrograms.max_seconds)
    recording = describe_recording(path, path.parent, read_tags(path))
    return NewClip(
        path=path,
        title=recording.title,
        seconds=round(recording.seconds or waveform.seconds, 3),
        sha256=sha256(path),
        input=_compute_input(scorer, waveform, path),
    )


def read_input(path: Path, scorer: Scorer) -> ClipInput:
    """Read what the network takes of one file, which was usable before.

    Raises
    ------
    ClipError
        It is not readable as audio.
    DataError
        The scorer's encoder is not here.
    """
    return _compute_input(scorer, decode(path, scorer.spectrograms.max_seconds), path)


def _compute_input(scorer: Scorer, waveform: Waveform, path: Path) -> ClipInput:
    """Compute the input, in the precision in which the pipeline keeps it."""
    computed = compute_input(scorer, waveform, path)
    return replace(computed, values=computed.values.astype(input_dtype(scorer)))


def input_dtype(scorer: Scorer) -> type[np.floating[Any]]:
    """In which precision inputs are kept: float32 for an embedding, float16 for a log-mel."""
    return np.float32 if scorer.spectrograms.embeddings == "only" else np.float16
