"""Playlists and paths, as JSON or for a player."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from twinear.recommendation.m3u8 import format_addresses
from twinear.recommendation.new_clips import USABLE
from twinear.recommendation.playlist import PlaylistEnd, PlaylistEntry, make_playlist
from twinear.recommendation.playlist_sources import CatalogueClips
from twinear.serve.answers import Error, Playlist, PlaylistAnswer, PlaylistBatch, PlaylistItem
from twinear.serve.artists import Text
from twinear.serve.audio_files import parse_clip_id
from twinear.serve.batches import answer_each
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.snapshot import Snapshot

router = APIRouter(prefix="/api/v1", tags=["playlists"])

MAX_BATCH = 20
MEDIA_TYPE = "application/vnd.apple.mpegurl"
Length = Annotated[int, Field(ge=2, le=200, description="how many recordings")]
End = Annotated[Text, Field(min_length=1, description="an artist (id, MBID, name) or a clip's id")]


class PathQuery(BaseModel):
    """From one artist or clip to another."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: End = Field(alias="from")
    end: End = Field(alias="to")
    length: Length = 10


class PlaylistQuery(BaseModel):
    """From an artist or clip; with `to`, a path to another one."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: End = Field(alias="from")
    end: End | None = Field(None, alias="to")
    length: Length = 20


class FormattedPlaylistQuery(PlaylistQuery):
    """A playlist, as JSON or as m3u8."""

    format: Literal["json", "m3u8"] = "json"


class PathQueries(BaseModel):
    """Several paths."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[PathQuery], Field(max_length=MAX_BATCH)]


class PlaylistQueries(BaseModel):
    """Several playlists."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[PlaylistQuery], Field(max_length=MAX_BATCH)]


@router.get("/path")
def get_path(query: Annotated[PathQuery, Query()], snapshot: CurrentSnapshot) -> PlaylistAnswer:
    """Go from one artist or clip to another, in steps that sound alike."""
    made = playlist(snapshot, query.start, query.end, query.length)
    return PlaylistAnswer(**dict(made), model=snapshot.model)


@router.post("/path")
def post_path(queries: PathQueries, snapshot: CurrentSnapshot) -> PlaylistBatch:
    """Find several paths."""
    answers: list[Playlist | Error] = answer_each(
        queries.queries, lambda query: playlist(snapshot, query.start, query.end, query.length)
    )
    return PlaylistBatch(answers=answers, model=snapshot.model)


@router.get(
    "/playlist",
    response_model=PlaylistAnswer,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
def get_playlist(
    query: Annotated[FormattedPlaylistQuery, Query()], request: Request, snapshot: CurrentSnapshot
) -> PlaylistAnswer | Response:
    """Make a playlist in which each recording sounds like the one before.

    As m3u8 it names the addresses of the clips, for a player; clips without audio are left out.
    """
    made = playlist(snapshot, query.start, query.end, query.length)
    if query.format == "json":
        return PlaylistAnswer(**dict(made), model=snapshot.model)
    base = str(request.base_url).rstrip("/")
    text = format_m3u8(made, base)
    headers = {"Content-Disposition": 'attachment; filename="twinear.m3u8"'}
    return Response(text, media_type=MEDIA_TYPE, headers=headers)


@router.post("/playlist")
def post_playlist(queries: PlaylistQueries, snapshot: CurrentSnapshot) -> PlaylistBatch:
    """Make several playlists."""
    answers: list[Playlist | Error] = answer_each(
        queries.queries, lambda query: playlist(snapshot, query.start, query.end, query.length)
    )
    return PlaylistBatch(answers=answers, model=snapshot.model)


def playlist(snapshot: Snapshot, start: str, end: str | None, length: int) -> Playlist:
    """Make a playlist of the catalogue's clips."""
    clips = CatalogueClips(collection=snapshot.collection, data=snapshot.audio.data, usable=USABLE)
    first = _end(snapshot, clips, start)
    last = None if end is None else _end(snapshot, clips, end)
    key = "playlist", first.entry.row, last and last.entry.row, length

    def answer() -> Playlist:
        made = make_playlist(clips.source(), first, last, length)
        scores = made.order.scores
        return Playlist(
            items=[
                _item(snapshot, entry, score)
                for entry, score in zip(made.entries, [None, *scores.tolist()], strict=True)
            ],
            mean_score=float(scores.mean()),
            least_score=float(scores.min()),
            random_score=made.order.random_score,
        )

    return snapshot.kept.get(key, answer)


def _end(snapshot: Snapshot, clips: CatalogueClips, query: str) -> PlaylistEnd:
    """Begin or end with a clip by its id, or with an artist's most central clip."""
    if parse_clip_id(query):
        return clips.end(snapshot.find_clip(query))
    return clips.end(clips.central_clip(snapshot.find(query).row))


def _item(snapshot: Snapshot, entry: PlaylistEntry, score: float | None) -> PlaylistItem:
    (record,) = snapshot.collection.clips([entry.row or 0])
    (artist,) = snapshot.artists([record.artist_row])
    return PlaylistItem(artist=artist, clip=snapshot.clip(record), score_to_previous=score)


def format_m3u8(made: Playlist, base: str) -> str:
    """Write a playlist for a player; `base` is the address of the service."""
    playable = [item for item in made.items if item.clip.audio]
    entries = [
        PlaylistEntry(
            file=Path(),
            artist=item.artist.id,
            name=item.artist.name,
            title=item.clip.title or "",
            seconds=item.clip.seconds,
        )
        for item in playable
    ]
    return format_addresses(entries, [f"{base}{item.clip.audio}" for item in playable])
