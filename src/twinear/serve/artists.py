"""Artists, found as somebody types."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from twinear.catalogue.lookup import MAX_FOUND, begins_word
from twinear.serve.answers import ArtistAnswer, Artists, ArtistsAnswer, ArtistsBatch, Error
from twinear.serve.batches import answer_each
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.snapshot import Snapshot

router = APIRouter(prefix="/api/v1", tags=["artists"])

MAX_BATCH = 100
Text = Annotated[str, Field(max_length=500)]


class ArtistsQuery(BaseModel):
    """A search: by the beginning of a name or of a word in it, by id or MBID; "" finds all."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[Text, Field(description="what is typed, an id or an MBID")] = ""
    limit: Annotated[int, Field(ge=1, le=200, description="how many artists")] = 20
    offset: Annotated[
        int, Field(ge=0, le=10_000_000, description="how many are skipped, for the next page")
    ] = 0


class ArtistsQueries(BaseModel):
    """Several searches."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[ArtistsQuery], Field(max_length=MAX_BATCH)]


@router.get("/artists")
def get_artists(
    query: Annotated[ArtistsQuery, Query()], snapshot: CurrentSnapshot
) -> ArtistsAnswer:
    """Find artists, as `q` is typed, at most 1,000; case, accents and punctuation are ignored.

    First those whose name is `q`, then those whose name begins with it, then those with a later
    word that does; among them, those with more listeners.
    """
    found = search(snapshot, query)
    return ArtistsAnswer(**dict(found), model=snapshot.model)


@router.post("/artists")
def post_artists(queries: ArtistsQueries, snapshot: CurrentSnapshot) -> ArtistsBatch:
    """Search several times."""
    answers: list[Artists | Error] = answer_each(queries.queries, lambda q: search(snapshot, q))
    return ArtistsBatch(answers=answers, model=snapshot.model)


@router.get("/artists/{artist:path}")
def get_artist(artist: str, snapshot: CurrentSnapshot) -> ArtistAnswer:
    """Describe an artist, by id, MBID or name, and its clips."""
    record = snapshot.find(artist)
    return ArtistAnswer(
        artist=snapshot.artist(record), clips=snapshot.clips_of(record.row), model=snapshot.model
    )


def search(snapshot: Snapshot, query: ArtistsQuery) -> Artists:
    """Find a page of artists."""
    collection = snapshot.collection
    if not query.q.strip():
        rows = snapshot.by_listeners[query.offset : query.offset + query.limit].tolist()
        artists = snapshot.artists(rows)
        return Artists(artists=artists, total=len(snapshot), offset=query.offset)
    found = [record.row for record in collection.matches(query.q)]
    typed = collection.catalogue.artists.search(query.q, MAX_FOUND)
    added = [each.row for each in collection.added if begins_word(each.name, query.q)]
    rows = list(dict.fromkeys([*found, *typed, *added]))
    return Artists(
        artists=snapshot.artists(rows[query.offset : query.offset + query.limit]),
        total=len(rows),
        offset=query.offset,
        nearest=[] if rows else collection.suggest(query.q),
    )
