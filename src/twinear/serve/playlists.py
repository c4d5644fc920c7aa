"""Playlists and paths, of the catalogue's clips or the user's music, as JSON or for a player."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from twinear.recommendation.item_library import ItemLibrary
from twinear.recommendation.m3u8 import format_addresses
from twinear.recommendation.new_clips import USABLE
from twinear.recommendation.playlist import Playlist as MadePlaylist
from twinear.recommendation.playlist import PlaylistEnd, PlaylistEntry, make_playlist
from twinear.recommendation.playlist_sources import CatalogueClips
from twinear.serve.answers import (
    Artist,
    Clip,
    Error,
    Music,
    Playlist,
    PlaylistAnswer,
    PlaylistBatch,
    PlaylistItem,
)
from twinear.serve.artists import Text
from twinear.serve.audio_files import clip_id, digest_of, parse_clip_id
from twinear.serve.batches import answer_each
from twinear.serve.clips import AUDIO_RESPONSES, audio_response
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.doors.library import CurrentLibrary
from twinear.serve.errors import ApiError
from twinear.serve.snapshot import Snapshot, shown, the_only

router = APIRouter(prefix="/api/v1", tags=["playlists"])

MAX_BATCH = 20
MEDIA_TYPE = "application/vnd.apple.mpegurl"
Length = Annotated[int, Field(ge=2, le=200, description="how many recordings")]
End = Annotated[Text, Field(min_length=1, description="an artist (id, MBID, name) or a clip's id")]
OfMusic = Annotated[
    bool, Field(description="of your music, which 'twinear library sync' encoded, not of clips")
]


class PathQuery(BaseModel):
    """From one artist or clip to another."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: End = Field(alias="from")
    end: End = Field(alias="to")
    length: Length = 10
    music: OfMusic = False


class PlaylistQuery(BaseModel):
    """From an artist or clip; with `to`, a path to another one."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: End = Field(alias="from")
    end: End | None = Field(None, alias="to")
    length: Length = 20
    music: OfMusic = False


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
def get_path(
    query: Annotated[PathQuery, Query()], snapshot: CurrentSnapshot, library: CurrentLibrary
) -> PlaylistAnswer:
    """Go from one artist or clip to another, in steps that sound alike."""
    return PlaylistAnswer(**dict(playlist(snapshot, library, query)), model=snapshot.model)


@router.post("/path")
def post_path(
    queries: PathQueries, snapshot: CurrentSnapshot, library: CurrentLibrary
) -> PlaylistBatch:
    """Find several paths."""
    answers: list[Playlist | Error] = answer_each(
        queries.queries, lambda query: playlist(snapshot, library, query)
    )
    return PlaylistBatch(answers=answers, model=snapshot.model)


@router.get(
    "/playlist",
    response_model=PlaylistAnswer,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
def get_playlist(
    query: Annotated[FormattedPlaylistQuery, Query()],
    request: Request,
    snapshot: CurrentSnapshot,
    library: CurrentLibrary,
) -> PlaylistAnswer | Response:
    """Make a playlist in which each recording sounds like the one before.

    As m3u8 it names the addresses of the recordings, for a player; those without audio are left
    out.
    """
    made = playlist(snapshot, library, query)
    if query.format == "json":
        return PlaylistAnswer(**dict(made), model=snapshot.model)
    base = str(request.base_url).rstrip("/")
    text = format_m3u8(made, base)
    headers = {"Content-Disposition": 'attachment; filename="twinear.m3u8"'}
    return Response(text, media_type=MEDIA_TYPE, headers=headers)


@router.post("/playlist")
def post_playlist(
    queries: PlaylistQueries, snapshot: CurrentSnapshot, library: CurrentLibrary
) -> PlaylistBatch:
    """Make several playlists."""
    answers: list[Playlist | Error] = answer_each(
        queries.queries, lambda query: playlist(snapshot, library, query)
    )
    return PlaylistBatch(answers=answers, model=snapshot.model)


@router.get("/music")
def get_music(library: CurrentLibrary) -> Music:
    """Count the recordings of the user's music that playlists can be made of."""
    if library is None:
        return Music(recordings=0, artists=0)
    return Music(recordings=len(library.items), artists=len(library.items_of))


@router.get("/recordings/{recording}/audio", response_class=FileResponse, responses=AUDIO_RESPONSES)
def get_recording(
    recording: str,
    snapshot: CurrentSnapshot,
    library: CurrentLibrary,
    key: Annotated[str, Query(max_length=64)] = "",
) -> FileResponse:
    """Play a recording of the user's music; ranges are answered.

    `key` is part of the address where the service has one.
    """
    row = None if library is None else _row_of(library, recording)
    if library is None or row is None:
        raise ApiError(404, "unknown_clip", "clip", f"no recording '{recording}'")
    return audio_response(snapshot.audio, str(library.items[row].file))


def playlist(
    snapshot: Snapshot, library: ItemLibrary | None, query: PathQuery | PlaylistQuery
) -> Playlist:
    """Make a playlist of the catalogue's clips, or of the user's music."""
    if query.music:
        return _of_music(snapshot, library, query)
    clips = _catalogue_clips(snapshot)
    first = _end(snapshot, clips, query.start)
    last = None if query.end is None else _end(snapshot, clips, query.end)

    def answer() -> Playlist:
        made = make_playlist(clips.source(), first, last, query.length)
        records = snapshot.collection.clips(entry.row or 0 for entry in made.entries)
        artists = snapshot.artists(record.artist_row for record in records)
        described = [(artist, True) for artist in artists]
        return _describe(made, described, [snapshot.clip(record) for record in records])

    key = "playlist", first.entry.row, last and last.entry.row, query.length
    return snapshot.kept.get(key, answer)


def _catalogue_clips(snapshot: Snapshot) -> CatalogueClips:
    return CatalogueClips(collection=snapshot.collection, data=snapshot.audio.data, usable=USABLE)


def _end(snapshot: Snapshot, clips: CatalogueClips, query: str) -> PlaylistEnd:
    """Begin or end with a clip by its id, or with an artist's most central clip."""
    if parse_clip_id(query):
        return clips.end(snapshot.find_clip(query))
    return clips.end(clips.central_clip(snapshot.find(query).row))


def _of_music(
    snapshot: Snapshot, library: ItemLibrary | None, query: PathQuery | PlaylistQuery
) -> Playlist:
    if library is None:
        remedy = "run 'twinear library sync' with the folder of your music"
        raise ApiError(404, "no_music", "music", "there is none", remedy=remedy)
    ends = [_music_end(snapshot, library, end) for end in (query.start, query.end) if end]
    first, last = ends[0], ends[1] if ends[1:] else None
    made = make_playlist(library.source(), first, last, query.length)
    rows = [entry.row or 0 for entry in made.entries]
    artists = library.collection.records(library.artist_rows[rows])
    return _describe(
        made,
        [(snapshot.artist(artist), artist.row < len(snapshot)) for artist in artists],
        [_recording(snapshot, library, row) for row in rows],
        [end.instead_of for end in ends if end.instead_of],
    )


def _music_end(snapshot: Snapshot, library: ItemLibrary, query: str) -> PlaylistEnd:
    """Begin or end with a recording by its id, an artist's most central one, or the nearest."""
    if (row := _row_of(library, query)) is not None:
        return library.end(row)
    clips = _catalogue_clips(snapshot)
    if parse_clip_id(query):
        name, near = "the clip", clips.end(snapshot.find_clip(query))
    else:
        matches = library.collection.matches(query)
        own = [match for match in matches if match.row in library.items_of]
        artist = the_only(own or matches, query, library.collection)
        if artist.row in library.items_of:
            return library.end(library.central_item(artist.row))
        name, near = shown(artist.name), clips.end(clips.central_clip(artist.row))
    return replace(library.end(library.nearest_item(near.embedding)), instead_of=name)


def _row_of(library: ItemLibrary, recording: str) -> int | None:
    """Find a recording by its id."""
    parsed = parse_clip_id(recording)
    if parsed is None or parsed[1] >= len(library.items):
        return None
    return parsed[1] if digest_of(str(library.items[parsed[1]].file)) == parsed[0] else None


def _recording(snapshot: Snapshot, library: ItemLibrary, row: int) -> Clip:
    """Describe a recording of the user's music as a clip."""
    item = library.items[row]
    identifier = clip_id(str(item.file), row)
    playable = snapshot.audio.locate(str(item.file)) is not None
    return Clip(
        id=identifier,
        title=shown(item.title) or None,
        seconds=round(item.seconds, 3),
        audio=snapshot.audio.address(identifier, "recordings") if playable else None,
    )


def _describe(
    made: MadePlaylist,
    artists: Sequence[tuple[Artist, bool]],
    clips: Sequence[Clip],
    instead_of: Sequence[str] = (),
) -> Playlist:
    """Describe a playlist; with each artist, whether the catalogue holds it."""
    scores = made.order.scores
    return Playlist(
        items=[
            PlaylistItem(artist=artist, in_catalogue=known, clip=clip, score_to_previous=score)
            for (artist, known), clip, score in zip(
                artists, clips, [None, *scores.tolist()], strict=True
            )
        ],
        instead_of=list(instead_of),
        mean_score=float(scores.mean()),
        least_score=float(scores.min()),
        random_score=made.order.random_score,
    )


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
