"""Similar artists: to one, or to several at once."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from twinear.catalogue.lookup import ArtistRecord
from twinear.recommendation.similar_artists import (
    Asked,
    SimilarArtists,
    SimilarOptions,
    ask,
    default_balance,
    find_similar,
)
from twinear.serve.answers import Error, Similar, SimilarAnswer, SimilarBatch, SimilarRow
from twinear.serve.artists import MAX_BATCH, Text
from twinear.serve.batches import answer_each
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.snapshot import Snapshot

router = APIRouter(prefix="/api/v1", tags=["similar"])

Seeds = Annotated[list[Text], Field(min_length=1, max_length=20)]


class Options(BaseModel):
    """What is wanted, as of `twinear similar`."""

    model_config = ConfigDict(extra="forbid")

    top: Annotated[int, Field(ge=1, le=500, description="how many artists")] = 10
    without: Annotated[
        list[Text], Field(max_length=100, description="artists that are left out")
    ] = []
    max_listeners: Annotated[
        int | None, Field(ge=0, le=2**62, description="only artists with at most so many listeners")
    ] = None
    balance: Annotated[
        float | None, Field(ge=0, le=1, description="0: sound alone, 1: listeners alone")
    ] = None
    diverse: Annotated[bool, Field(description="no artists that are very near to each other")] = (
        False
    )
    exact: Annotated[bool, Field(description="score all artists, not only candidates")] = False


class SimilarQuery(Options):
    """Similar to all of `artist`: ids, MBIDs or names."""

    artist: Seeds


class BatchQuery(Options):
    """Similar to all of `artists`: ids, MBIDs or names."""

    artists: Seeds


class SimilarQueries(BaseModel):
    """Several questions."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[BatchQuery], Field(max_length=MAX_BATCH)]


@router.get("/similar")
def get_similar(
    query: Annotated[SimilarQuery, Query()], snapshot: CurrentSnapshot
) -> SimilarAnswer:
    """Find the artists that sound most like one, or like all of several, best first."""
    found = similar_to(snapshot, query.artist, query)
    return SimilarAnswer(**dict(found), model=snapshot.model)


@router.post("/similar")
def post_similar(queries: SimilarQueries, snapshot: CurrentSnapshot) -> SimilarBatch:
    """Answer several questions."""
    answers: list[Similar | Error] = answer_each(
        queries.queries, lambda query: similar_to(snapshot, query.artists, query)
    )
    return SimilarBatch(answers=answers, model=snapshot.model)


def similar_to(snapshot: Snapshot, artists: Sequence[str], options: Options) -> Similar:
    """Find the artists similar to some of the catalogue."""
    seeds = list({record.row: record for record in map(snapshot.find, artists)}.values())
    chosen = options_of(snapshot, options)

    def answer() -> Similar:
        asked = ask(snapshot.collection, [seed.artist for seed in seeds])
        return describe(
            snapshot, find_similar(snapshot.collection, asked, chosen), seeds, options.balance
        )

    return snapshot.kept.get((tuple(seed.row for seed in seeds), chosen), answer)


def similar_to_asked(snapshot: Snapshot, asked: Sequence[Asked], options: Options) -> Similar:
    """Find the artists similar to a new one."""
    found = find_similar(snapshot.collection, asked, options_of(snapshot, options))
    return describe(snapshot, found, [], options.balance)


def options_of(snapshot: Snapshot, options: Options) -> SimilarOptions:
    """Translate the options; an artist to leave out must be there."""
    return SimilarOptions(
        top=options.top,
        without=tuple(snapshot.find(artist).artist for artist in options.without),
        max_listeners=options.max_listeners,
        balance=options.balance,
        diverse=options.diverse,
        exact=options.exact,
    )


def describe(
    snapshot: Snapshot,
    found: SimilarArtists,
    seeds: Sequence[ArtistRecord],
    balance: float | None,
) -> Similar:
    """Describe similar artists; `balance` is what was asked for."""
    # those of the answer are found again by id, which is read at once
    rows = [snapshot.collection.matches(each.artist)[0] for each in found.similar]
    return Similar(
        of=[snapshot.artist(seed) for seed in seeds],
        similar=[
            SimilarRow(
                artist=snapshot.artist(record),
                score=each.score,
                words=snapshot.words(each.score),
                clip=snapshot.first_clip(record.row),
            )
            for record, each in zip(rows, found.similar, strict=True)
        ],
        exact=found.exact,
        calibrated=found.calibrated,
        balance=default_balance(snapshot.collection) if balance is None else balance,
    )
