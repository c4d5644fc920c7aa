"""The recordings of a folder of music, each decoded and encoded once.

Recordings are encoded as `inference.embed` encodes them: of a long one the part that the front end
takes. What was encoded is kept in a cache: a folder that did not change is read without decoding.
"""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from twinear.acquisition.music_folder import (
    NO_ARTIST,
    NOT_DECODED,
    UNREADABLE,
    LeftOut,
    Recording,
    describe_recording,
    find_audio,
    no_music,
    read_tags,
)
from twinear.artists.identity import identify, normalise_spellings
from twinear.base.encoding import decode_name
from twinear.base.errors import ClipError
from twinear.base.files import require
from twinear.clips.clips import ClipsParams
from twinear.clips.waveform import decode
from twinear.compute.pool import Progress, Workers, map_in_processes
from twinear.inference import compute_input, encode_inputs, find_scorer_encoder
from twinear.model.scorer import Scorer
from twinear.recommendation.library_cache import EncodedRecording, FileState, LibraryCache
from twinear.recommendation.m3u8 import find_unlistable
from twinear.recommendation.playlist import PlaylistEntry
from twinear.spectrograms.front_end import Floats, SpectrogramsParams, cut_windows

SHORT, SILENT = "short", "silent"
SMALLEST_POWER = 1e-20  # keeps the logarithm of digital silence finite


@dataclass(frozen=True, kw_only=True, eq=False)
class MusicLibrary:
    """The recordings of a folder that a playlist may use.

    Attributes
    ----------
    entries
        Sorted by path.
    embeddings
        (recordings, units), float32.
    left_out
        Files that are not among them, by reason.
    n_decoded
        How many files were decoded this time.
    """

    entries: list[PlaylistEntry]
    embeddings: Floats
    left_out: LeftOut
    n_decoded: int


def encode_library(
    folder: Path,
    scorer: Scorer,
    cache: LibraryCache,
    usable: ClipsParams,
    progress: Progress,
    workers: Workers,
) -> MusicLibrary:
    """Encode the recordings of a folder that the cache does not hold.

    Files are left out for the reasons of `music_folder`; so are recordings that are too short or
    silent, and files whose names no playlist can hold.

    Parameters
    ----------
    cache
        Opened for this scorer.
    usable
        The least length and level.

    Raises
    ------
    DataError
        No recording is left, the cache is damaged or cannot be written, or the scorer's encoder
        is not here.
    """
    find_scorer_encoder(scorer)
    require(folder, "name a folder of music")
    left_out = LeftOut()
    states = list(_read_states(folder, left_out))
    todo = [state for state in states if cache.read(state) is None]
    if todo:
        _encode_files(todo, scorer, cache, progress, workers)
    front = scorer.spectrograms
    recordings: list[Recording] = []
    usable_recordings: list[EncodedRecording] = []
    for state in states:
        encoded = cache.read(state) or EncodedRecording(fault=UNREADABLE)
        recording = describe_recording(state.file, folder, encoded.tags)
        if fault := find_fault(encoded, usable) or ("" if recording.artist else NO_ARTIST):
            left_out.add(fault, recording.name)
            continue
        recordings.append(recording)
        usable_recordings.append(encoded)
    if not recordings:
        raise no_music(folder, left_out)
    artists = identify(normalise_spellings((each.mbid, each.artist) for each in recordings))
    entries = [
        describe_entry(recording, encoded, artist, front)
        for recording, encoded, artist in zip(recordings, usable_recordings, artists, strict=True)
    ]
    return MusicLibrary(
        entries=entries,
        embeddings=np.stack([encoded.embedding for encoded in usable_recordings]),
        left_out=left_out,
        n_decoded=len(todo),
    )


def _encode_files(
    states: list[FileState],
    scorer: Scorer,
    cache: LibraryCache,
    progress: Progress,
    workers: Workers,
) -> None:
    """Encode files in processes, and keep each as it comes."""
    # only the weights go to the processes, not the network that may have been made of them
    encode = partial(_encode_or_say_why, scorer=replace(scorer))
    crashed: EncodedRecording | str = NOT_DECODED
    found = map_in_processes(encode, [state.file for state in states], workers, crashed)
    for state, outcome in zip(progress(states), found, strict=True):
        if isinstance(outcome, EncodedRecording):
            cache.write(state, outcome)
        elif outcome != UNREADABLE:  # that may pass
            cache.write(state, EncodedRecording(fault=outcome))


def encode_recording(file: Path, scorer: Scorer) -> EncodedRecording:
    """Read the tags of a file, decode it as far as the front end does, and encode it.

    Raises
    ------
    OSError, ClipError
        It cannot be read, or not be decoded.
    DataError
        The scorer's encoder is not here.
    """
    front = scorer.spectrograms
    tags = read_tags(file)
    waveform = decode(file, front.max_seconds)
    y = waveform.at(front.sr)
    power = float(cut_windows(y, front).var(dtype=np.float64))
    return EncodedRecording(
        tags=tags,
        seconds=len(y) / front.sr,
        dbfs=10 * math.log10(max(power, SMALLEST_POWER)),
        sha256=hashlib.sha256(y.tobytes()).hexdigest(),
        embedding=encode_inputs(scorer, [compute_input(scorer, waveform, file)])[0],
    )


def find_fault(encoded: EncodedRecording, usable: ClipsParams) -> str:
    """Say why a recording cannot be heard; "" if it can."""
    if encoded.fault:
        return encoded.fault
    if encoded.seconds < usable.min_seconds:
        return SHORT
    return SILENT if encoded.dbfs < usable.min_dbfs else ""


def describe_entry(
    recording: Recording, encoded: EncodedRecording, artist: str, front: SpectrogramsParams
) -> PlaylistEntry:
    """Describe a recording of the artist with that id."""
    was_cut = encoded.seconds > front.max_seconds - 1
    return PlaylistEntry(
        file=Path(os.path.abspath(recording.file)),  # noqa: PTH100  # links stay
        artist=artist,
        name=recording.artist,
        title=recording.title,
        # tags may be wrong, so they are asked only where decoding ended early
        seconds=max(encoded.seconds, recording.seconds) if was_cut else encoded.seconds,
        sha256=encoded.sha256,
        album=recording.album,
    )


def _read_states(folder: Path, left_out: LeftOut) -> Iterator[FileState]:
    for file in sorted(find_audio(folder, left_out)):
        name = decode_name(file.relative_to(folder).as_posix())
        if reason := find_unlistable(Path(os.path.abspath(file))):  # noqa: PTH100
            left_out.add(reason, name)
            continue
        try:
            yield FileState.of(file)
        except OSError:
            left_out.add(UNREADABLE, name)


def _encode_or_say_why(file: Path, scorer: Scorer) -> EncodedRecording | str:
    """Encode a file in a process; a failure is returned in words."""
    find_scorer_encoder(scorer)  # its library must be there for its threads to be limited
    try:
        with threadpool_limits(1):  # threads of several processes are in each other's way
            return encode_recording(file, scorer)
    except OSError:
        return UNREADABLE
    except ClipError:
        return NOT_DECODED
