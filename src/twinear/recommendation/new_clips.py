"""Audio files of a new artist -> what a network gets of them; each refused with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ClipError, DataError
from twinear.base.files import is_system_file, sha256
from twinear.clips.clips import ClipsParams, load_usable_waveform
from twinear.clips.decoding import AUDIO
from twinear.clips.waveform import load_waveform
from twinear.compute.pool import Progress
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel

# as in the project's params.yaml, for a folder without one
USABLE = ClipsParams(min_seconds=5.0, min_dbfs=-70.0, max_bad_fraction=0.2)

LogMel = npt.NDArray[np.float16]  # (n_mels, n_frames)


@dataclass(frozen=True, kw_only=True, eq=False)
class NewClip:
    """A clip that can be used; `seconds` is of the whole file."""

    path: Path  # absolute
    title: str
    seconds: float
    sha256: str
    log_mel: LogMel


@dataclass(frozen=True, kw_only=True, eq=False)
class NewClips:
    """At least one clip, each content once, and why others were left out, one line each."""

    clips: list[NewClip]
    left_out: list[str]


def read_new_clips(
    paths: Sequence[Path | str],
    front: SpectrogramsParams,
    usable: ClipsParams = USABLE,
    progress: Progress = iter,
) -> NewClips:
    """Read audio files of any codec and length, and all audio in folders.

    Of a long file no more than `front.max_seconds` is decoded. A file that is named itself must be
    usable; in a folder one that is not is left out.

    Raises
    ------
    ClipError
        No file, not readable as audio, samples that are not numbers, too short, or silent.
    DataError
        Nothing is named, or a folder holds nothing usable.
    """
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
            clip = _read_clip(path, front, usable)
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


def _read_clip(path: Path, front: SpectrogramsParams, usable: ClipsParams) -> NewClip:
    # its readers are slow to import
    from twinear.acquisition.music_folder import describe_recording, read_tags

    y = load_usable_waveform(path, front.sr, usable, front.max_seconds)
    recording = describe_recording(path, path.parent, read_tags(path))
    return NewClip(
        path=path,
        title=recording.title,
        seconds=round(recording.seconds or len(y) / front.sr, 3),
        sha256=sha256(path),
        log_mel=log_mel(y, front).astype(np.float16),  # as the pipeline keeps it
    )


def read_log_mel(path: Path, front: SpectrogramsParams) -> LogMel:
    """Read what the network gets of one file, which was usable before.

    Raises
    ------
    ClipError
        It is not readable as audio.
    """
    y = load_waveform(path, front.sr, front.max_seconds)
    return log_mel(y, front).astype(np.float16)
