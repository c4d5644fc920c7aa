"""AudioMuse-AI's API, as far as players and media servers ask it: similar artists, tracks, a path.

Recordings are named by the ids in the library's table. With a library, similar artists are those of
the library, named by the media server's ids, so that it can play them; without one they are those
of the catalogue. A distance is 1 minus our score.
"""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from twinear.artists.identity import strip_featured
from twinear.base.errors import DataError
from twinear.catalogue.lookup import ArtistRecord
from twinear.recommendation.collection import Collection
from twinear.recommendation.item_library import ItemLibrary
from twinear.recommendation.library_table import LibraryItem
from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.doors.library import CurrentLibrary, require_library
from twinear.serve.snapshot import shown

MOST = 1000  # rows of an answer
MOST_STEPS = 200  # of a path
SONGS = 5  # that stand for an artist
PER_ARTIST = 3  # tracks of an artist, where duplicates are to be eliminated
UNKNOWN = "unknown"  # the protocol's word for no album


class Song(BaseModel):
    """A track by id and title."""

    item_id: str
    title: str


class ComponentMatch(BaseModel):
    """Tracks of two artists that are most like the other's."""

    artist1_representative_songs: list[Song]
    artist2_representative_songs: list[Song]


class SimilarArtistRow(BaseModel):
    """A similar artist; `component_matches` only where they were asked for."""

    artist: str
    artist_id: str
    divergence: float
    component_matches: list[ComponentMatch] | None = None


class Track(BaseModel):
    """A track of the library."""

    item_id: str
    title: str
    author: str
    album: str


class SimilarTrack(Track):
    """A similar track."""

    distance: float


class Path(BaseModel):
    """Tracks from one to another, and the sum of the distances of its steps."""

    path: list[Track]
    total_distance: float


class Refusal(BaseModel):
    """An error, as a sentence."""

    error: str


class MalformedError(ValueError):
    """A parameter that is missing or cannot be used."""


class UnknownError(LookupError):
    """An artist or a track that is not here."""


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "A parameter is missing or cannot be used."},
    404: {"model": Refusal, "description": "No such artist or track, or no path."},
}
router = APIRouter(prefix="/api", tags=["AudioMuse-AI"], responses=REFUSALS)


@router.get("/similar_artists", response_model=list[SimilarArtistRow])
def similar_artists(
    snapshot: CurrentSnapshot,
    library: CurrentLibrary,
    artist: str = "",
    artist_id: str = "",
    n: str = "10",
    include_component_matches: str = "false",
) -> Response:
    """Find the artists similar to one, by name, MBID or the media server's id."""
    collection = library.collection if library else snapshot.collection
    try:
        count = _count("n", n, MOST)
        record = _find_artist(collection, library, artist or artist_id)
    except (MalformedError, UnknownError) as error:
        return _refuse(error)
    if library is None:
        asked = ask(collection, [record.artist])
        found = find_similar(collection, asked, SimilarOptions(top=count)).similar
        ids = {each.artist: collection.matches(each.artist)[0] for each in found}
        scored = [(ids[each.artist], each.score) for each in found]
    else:
        scored = library.similar_artists(record.row, count)
    rows = []
    for other, score in scored:
        row = SimilarArtistRow(
            artist=shown(other.name),
            artist_id=shown((library and library.server_ids.get(other.row)) or other.artist),
            divergence=1 - score,
        )
        if include_component_matches.lower() == "true":
            row.component_matches = _matches(collection, library, record.row, other.row)
        rows.append(row.model_dump(exclude_none=True))
    return JSONResponse(rows)


@router.get("/similar_tracks", response_model=list[SimilarTrack])
def similar_tracks(
    library: CurrentLibrary,
    item_id: str = "",
    title: str = "",
    artist: str = "",
    n: str = "10",
    eliminate_duplicates: str = "true",
) -> Response:
    """Find the tracks similar to one, by its id, or by title and artist."""
    try:
        count = _count("n", n, MOST)
        if not item_id and not (title and artist):
            raise MalformedError("give item_id, or title and artist")
        row = _find_item(library, item_id, title, artist)
        per_artist = PER_ARTIST if eliminate_duplicates.lower() == "true" else None
        found = require_library(library).similar(row, count, per_artist)
    except (MalformedError, UnknownError) as error:
        return _refuse(error)
    return JSONResponse([{**_track(each.item), "distance": 1 - each.score} for each in found])


@router.get("/find_path", response_model=Path)
def find_path(
    library: CurrentLibrary,
    start_song_id: str = "",
    end_song_id: str = "",
    max_steps: str = "25",
) -> Response:
    """Find a path of tracks from one to another, each like the one before."""
    try:
        count = _count("max_steps", max_steps, MOST_STEPS)
        if not start_song_id or not end_song_id:
            raise MalformedError("give start_song_id and end_song_id")
        ends = [_find_item(library, each, "", "") for each in (start_song_id, end_song_id)]
        path = require_library(library).path(ends[0], ends[1], max(count, 2))
    except (MalformedError, UnknownError) as error:
        return _refuse(error)
    except DataError as error:
        return _refuse(UnknownError(f"there is no path: {error.parts[1]}"))
    total = sum(1 - step.score for step in path[1:])
    return JSONResponse({"path": [_track(step.item) for step in path], "total_distance": total})


def _refuse(error: Exception) -> JSONResponse:
    status = 404 if isinstance(error, UnknownError) else 400
    return JSONResponse(Refusal(error=shown(str(error))).model_dump(), status)


def _count(name: str, text: str, most: int) -> int:
    """Read a number of rows; more than `most` means `most`."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise MalformedError(f"{name} is '{text[:20]}', expected a number from 1")
    return min(int(text), most)


def _find_artist(collection: Collection, library: ItemLibrary | None, query: str) -> ArtistRecord:
    """Find an artist; of several with one name, one of the library, or the best known."""
    if not query.strip():
        raise MalformedError("artist is missing")
    if library is not None and (row := library.server_artists.get(query)) is not None:
        return collection.records([row])[0]
    matches = collection.matches(query) or collection.matches(strip_featured(query))
    if not matches:
        raise UnknownError(f"no artist '{query[:200]}'")
    own = library.items_of if library else {}
    return max(matches, key=lambda record: (record.row in own, record.listeners))


def _find_item(library: ItemLibrary | None, item_id: str, title: str, artist: str) -> int:
    try:
        known = require_library(library)
        return known.find(item_id) if item_id else known.find_title(artist, title)
    except DataError as error:
        _, found, _, remedy = error.parts
        raise UnknownError(f"{found}; {remedy}") from None


def _matches(
    collection: Collection, library: ItemLibrary | None, first: int, second: int
) -> list[ComponentMatch]:
    songs = []
    for artist, other in ((first, second), (second, first)):
        near = collection.encoded([other]).embeddings
        items = library.nearest_of(artist, near, SONGS) if library else []
        songs.append([Song(item_id=shown(item.item_id), title=shown(item.title)) for item in items])
    return [
        ComponentMatch(artist1_representative_songs=songs[0], artist2_representative_songs=songs[1])
    ]


def _track(item: LibraryItem) -> dict[str, str]:
    return Track(
        item_id=shown(item.item_id),
        title=shown(item.title),
        author=shown(item.artist),
        album=shown(item.album) or UNKNOWN,
    ).model_dump()
