"""Clips: their audio, what sounds like one, and artists that sound like clips that are sent."""

import mimetypes
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Query, Request, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from twinear.catalogue.search.protocol import Floats
from twinear.recommendation.similar_artists import Asked, Seed
from twinear.recommendation.similar_clips import find_nearest_clips
from twinear.serve.answers import (
    Error,
    Explanation,
    SimilarClipRow,
    SimilarClipsAnswer,
    UploadAnswer,
    Uploaded,
)
from twinear.serve.audio_files import AudioFiles
from twinear.serve.batches import answer_each
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.errors import ApiError
from twinear.serve.explanation import explain
from twinear.serve.limited_messages import EncodeClips, EncodedClips, NamedFile
from twinear.serve.limited_processes import LimitedProcesses
from twinear.serve.similar import Options, similar_to_asked
from twinear.serve.snapshot import Snapshot
from twinear.serve.uploads import UploadRoute, Uploads

router = APIRouter(prefix="/api/v1", tags=["clips"])
upload_router = APIRouter(prefix="/api/v1", tags=["clips"], route_class=UploadRoute)

MAX_REASONS = 50
AUDIO = {  # where the system's table differs between machines, or lacks a kind
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
}

AUDIO_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "The range that was asked for."},
    416: {"description": "There is no such range."},
}


class UploadQuery(Options):
    """What is wanted; `why`: reasons for each artist, of whom there are then at most 50."""

    why: Annotated[bool, Field(description="say why each of them is similar")] = False


class SimilarClipsQuery(BaseModel):
    """What is wanted."""

    model_config = ConfigDict(extra="forbid")

    top: Annotated[int, Field(ge=1, le=500, description="how many clips")] = 10
    one_per_artist: Annotated[bool, Field(description="only the best clip of each artist")] = False


@router.get("/clips/{clip}/audio", response_class=FileResponse, responses=AUDIO_RESPONSES)
def get_audio(
    clip: str, snapshot: CurrentSnapshot, key: Annotated[str, Query(max_length=64)] = ""
) -> FileResponse:
    """Play a clip; ranges are answered. `key` is part of the address where the service has one."""
    return audio_response(snapshot.audio, snapshot.find_clip(clip).file)


def audio_response(audio: AudioFiles, file: str) -> FileResponse:
    """Answer with the audio of a file.

    Raises
    ------
    ApiError
        404: it is not there, or may not be played.
    """
    path = audio.locate(file)
    if path is None:
        found = "its audio is not there, or may not be played"
        raise ApiError(404, "no_audio", "clip", found)
    name = Path(file)  # in a cache the file itself is called by its hash
    kind = AUDIO.get(name.suffix.lower()) or mimetypes.guess_type(name.name)[0] or ""
    safe = kind if kind.startswith(("audio/", "video/")) else "application/octet-stream"
    return FileResponse(path, media_type=safe, headers={"Cache-Control": "private, max-age=3600"})


@router.get("/clips/{clip}/similar")
def get_similar_clips(
    clip: str, query: Annotated[SimilarClipsQuery, Query()], snapshot: CurrentSnapshot
) -> SimilarClipsAnswer:
    """Find the clips that sound most like one, by the network alone."""
    record = snapshot.find_clip(clip)

    def answer() -> SimilarClipsAnswer:
        clips = snapshot.collection.clips_of(record.artist_row)
        nth = [each.row for each in clips].index(record.row)
        embedding = snapshot.collection.encoded([record.artist_row]).embeddings[[nth]]
        found = find_nearest_clips(
            snapshot.collection,
            embedding,
            record.row,
            query.top,
            one_per_artist=query.one_per_artist,
        )
        records = snapshot.collection.clips(each.row for each in found)
        artists = snapshot.artists(each.artist_row for each in records)
        return SimilarClipsAnswer(
            clip=snapshot.clip(record),
            clips=[
                SimilarClipRow(
                    clip=snapshot.clip(similar),
                    artist=artist,
                    score=each.score,
                    words=snapshot.clip_words(each.score),
                )
                for similar, artist, each in zip(records, artists, found, strict=True)
            ],
            model=snapshot.model,
        )

    return snapshot.kept.get(("clips", record.row, query.top, query.one_per_artist), answer)


@upload_router.post(
    "/similar/clips",
    responses={
        415: {"model": Error, "description": "It is not audio, whatever it is called."},
    },
)
def post_similar_clips(
    clip: Annotated[list[UploadFile], File(description="audio of any codec, of one artist")],
    query: Annotated[UploadQuery, Query()],
    request: Request,
    snapshot: CurrentSnapshot,
) -> UploadAnswer:
    """Find the artists that sound most like clips of a new one; nothing of them is kept."""
    if query.why and query.top > MAX_REASONS:
        found, expected = f"is {query.top}", f"at most {MAX_REASONS} with why"
        raise ApiError(422, "invalid_parameters", "top", found, expected=expected)
    uploads: Uploads = request.app.state.uploads
    processes: LimitedProcesses = request.app.state.processes
    with uploads.files(clip) as files:
        work = EncodeClips(files=files, max_seconds=uploads.limits.max_seconds)
        encoded = processes.do(work, snapshot).encoded
        assert encoded is not None  # noqa: S101  # the answer to this work
        used = [files[position] for position in encoded.positions]
        asked = ask_about(snapshot, used, embeddings_of(snapshot, encoded), exact=query.exact)
        found_artists = similar_to_asked(snapshot, [asked], query)
        reasons: list[Explanation | Error] | None = None
        if query.why:
            sent = {str(file.path): file.name for file in used}
            reasons = answer_each(
                found_artists.similar,
                lambda row: explain(snapshot, processes, asked, row.artist.id, None, sent),
            )
    return UploadAnswer(
        **dict(found_artists),
        uploaded=[
            Uploaded(name=file.name, seconds=seconds)
            for file, seconds in zip(used, encoded.seconds, strict=True)
        ],
        reasons=reasons,
        model=snapshot.model,
    )


def embeddings_of(snapshot: Snapshot, encoded: EncodedClips) -> Floats:
    """Read the embeddings that a process sent, (clips, units)."""
    values = np.frombuffer(encoded.embeddings, np.float32)
    return values.reshape(len(encoded.positions), snapshot.scorer.units)


def ask_about(
    snapshot: Snapshot, files: list[NamedFile], embeddings: Floats, *, exact: bool
) -> Asked:
    """Ask about the new artist of some clips."""
    name = files[0].name + (f" and {len(files) - 1} more" if files[1:] else "")
    return Asked(
        seed=Seed(artist="", name=name, clips=tuple(str(file.path) for file in files)),
        query=snapshot.collection.catalogue.represent(embeddings, exact=exact),
        row=None,
    )
