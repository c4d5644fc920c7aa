"""What is done in a process of limits: everything that decodes audio.

A decoder that is given a damaged or a hostile file may crash, take all memory or never end, and a
process of its own can be ended. It gets its work as objects of this service. What it answers is
data in MessagePack, never pickled objects: a decoder that was taken over must not reach further.
"""

import os
import resource
import signal
import sys
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import av
import msgspec
import numpy as np

from twinear.base.errors import ClipError, TwinearError
from twinear.clips.decoding import open_audio
from twinear.model.scorer import Scorer
from twinear.recommendation.explanation import explain_clips
from twinear.recommendation.new_clips import read_new_clips
from twinear.serve.limited_messages import (
    EncodeClips,
    EncodedClips,
    ExplainPair,
    Failure,
    Job,
    NamedFile,
    Prepare,
    Reply,
    Work,
)

NICE = 5  # decoding waits for answers that need none


class _NotAudioError(ClipError):
    """A file of another kind."""


def run(connection: Connection, memory_bytes: int) -> None:
    """Do job after job until the service ends.

    Parameters
    ----------
    memory_bytes
        What may be taken beyond what the process has at its start.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the service takes care
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, _virtual_bytes() + memory_bytes)
    import torch

    torch.set_num_threads(1)  # two of these processes are in each other's way
    scorer, digest = None, ""
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        if job.scorer is not None:
            scorer, digest = job.scorer, job.scorer_sha256
        if scorer is None or digest != job.scorer_sha256:
            raise RuntimeError("a job without its scorer")
        _limit(resource.RLIMIT_CPU, _cpu_seconds() + job.cpu_seconds)
        out_of_memory = False
        try:
            reply = _do(job.work, scorer)
        except MemoryError:
            found = "takes more memory than an upload may"
            reply = Reply(failure=Failure(kind="too_large", place="clip", found=found))
            out_of_memory = True
        try:
            # NumPy has floats of its own
            connection.send_bytes(msgspec.msgpack.encode(reply, enc_hook=float))
        except BrokenPipeError:
            return
        if (
            out_of_memory
        ):  # libraries may keep what they had taken: the next clip gets a new process
            return


def _do(work: Work, scorer: Scorer) -> Reply:
    try:
        match work:
            case EncodeClips():
                return Reply(encoded=_encode(work, scorer))
            case ExplainPair():
                made = explain_clips(scorer, work.first.path, work.second.path)
                return Reply(explained=asdict(made))
            case Prepare():
                from twinear.inference import find_scorer_encoder

                find_scorer_encoder(scorer)
                return Reply()
    except TwinearError as error:
        kind = "not_audio" if isinstance(error, _NotAudioError) else "unusable"
        place, found, expected, remedy = error.parts
        return Reply(
            failure=Failure(kind=kind, place=place, found=found, expected=expected, remedy=remedy)
        )


def _encode(work: EncodeClips, scorer: Scorer) -> EncodedClips:
    from twinear.inference import encode_inputs

    positions: dict[str, int] = {}
    clips = []
    for position, file in enumerate(work.files):
        _require_audio(file)
        try:
            (clip,) = read_new_clips([file.path], scorer).clips
        except TwinearError as error:
            raise _named(error, file) from None
        if clip.seconds > work.max_seconds:
            found, expected = f"lasts {clip.seconds:,.0f} s", f"at most {work.max_seconds:,.0f} s"
            raise ClipError(file.name, found, expected=expected, remedy="cut it")
        if positions.setdefault(clip.sha256, position) == position:
            clips.append(clip)
    embeddings = encode_inputs(scorer, [clip.input for clip in clips])
    return EncodedClips(
        positions=tuple(positions.values()),
        seconds=tuple(clip.seconds for clip in clips),
        embeddings=np.ascontiguousarray(embeddings, np.float32).tobytes(),
    )


def _require_audio(file: NamedFile) -> None:
    """Look at what a file holds, whatever it is called."""
    if not file.path.stat().st_size:
        raise ClipError(file.name, "is empty", remedy="send an audio file")
    try:
        with open_audio(file.path) as container:
            if any(stream.codec_context for stream in container.streams.audio):
                return
            found = "holds no audio that can be decoded"
    except av.FFmpegError as error:
        found = f"is not audio ({error.strerror})"
    raise _NotAudioError(file.name, found, remedy="send an audio file, such as MP3 or FLAC")


def _named(error: TwinearError, file: NamedFile) -> TwinearError:
    """Call the file as the client does."""
    place, found, expected, remedy = (
        part.replace(str(file.path), file.name) for part in error.parts
    )
    return type(error)(place, found, expected=expected, remedy=remedy)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _cpu_seconds() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1


def _virtual_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
