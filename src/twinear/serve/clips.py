"""Clips: their audio, and what sounds like one."""

import mimetypes
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.errors import ApiError

router = APIRouter(prefix="/api/v1", tags=["clips"])

AUDIO = {  # where the system's table differs between machines, or lacks a kind
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
}


@router.get(
    "/clips/{clip}/audio",
    response_class=FileResponse,
    responses={206: {"description": "The range that was asked for."}, 416: {"description": "…"}},
)
def get_audio(
    clip: str, snapshot: CurrentSnapshot, key: Annotated[str, Query(max_length=64)] = ""
) -> FileResponse:
    """Play a clip; ranges are answered."""
    path = snapshot.audio.locate(snapshot.find_clip(clip).file)
    if path is None:
        found = "its audio is not there, or may not be played"
        raise ApiError(404, "no_audio", "clip", found)
    kind = AUDIO.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or ""
    safe = kind if kind.startswith(("audio/", "video/")) else "application/octet-stream"
    return FileResponse(path, media_type=safe, headers={"Cache-Control": "private, max-age=3600"})
