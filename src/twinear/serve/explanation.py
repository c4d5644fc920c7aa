"""Why two artists are similar: the steps of the score, and what is heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from twinear.recommendation.similar_artists import Asked, ask
from twinear.recommendation.why import NearestPair, certainty, find_nearest_pair
from twinear.serve.answers import (
    Artist,
    Clip,
    Error,
    Explanation,
    ExplanationAnswer,
    ExplanationBatch,
    Neighbour,
    Sound,
    Window,
    WindowPair,
    Windows,
)
from twinear.serve.artists import Text
from twinear.serve.batches import answer_each
from twinear.serve.dependencies import CurrentSnapshot
from twinear.serve.errors import ApiError
from twinear.serve.limited_messages import ExplainPair, NamedFile
from twinear.serve.limited_processes import LimitedProcesses
from twinear.serve.snapshot import Snapshot, shown

router = APIRouter(prefix="/api/v1", tags=["explanation"])

MAX_BATCH = 20  # each takes a fifth of a second


class ExplanationQuery(BaseModel):
    """A pair of artists: ids, MBIDs or names."""

    model_config = ConfigDict(extra="forbid")

    of: Annotated[Text, Field(min_length=1)]
    like: Annotated[Text, Field(min_length=1)]


class ExplanationQueries(BaseModel):
    """Several pairs."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[ExplanationQuery], Field(max_length=MAX_BATCH)]


@router.get("/explanation")
def get_explanation(
    query: Annotated[ExplanationQuery, Query()], request: Request, snapshot: CurrentSnapshot
) -> ExplanationAnswer:
    """Explain why an artist is similar to another one."""
    made = explain_artists(snapshot, request.app.state.processes, query)
    return ExplanationAnswer(**dict(made), model=snapshot.model)


@router.post("/explanation")
def post_explanation(
    queries: ExplanationQueries, request: Request, snapshot: CurrentSnapshot
) -> ExplanationBatch:
    """Explain several pairs."""
    processes = request.app.state.processes
    answers: list[Explanation | Error] = answer_each(
        queries.queries, lambda query: explain_artists(snapshot, processes, query)
    )
    return ExplanationBatch(answers=answers, model=snapshot.model)


def explain_artists(
    snapshot: Snapshot, processes: LimitedProcesses, query: ExplanationQuery
) -> Explanation:
    """Explain a pair of artists of the catalogue."""
    of, like = snapshot.find(query.of), snapshot.find(query.like)
    if of.row == like.row:
        found = f"'{query.like}' is what was asked about"
        raise ApiError(422, "same_artist", "like", found, expected="another artist")

    def answer() -> Explanation:
        (asked,) = ask(snapshot.collection, [of.artist])
        return explain(snapshot, processes, asked, like.artist, snapshot.artist(of), None)

    return snapshot.kept.get(("explanation", of.row, like.row), answer)


def explain(
    snapshot: Snapshot,
    processes: LimitedProcesses,
    asked: Asked,
    artist: str,
    of: Artist | None,
    sent: Mapping[str, str] | None,
) -> Explanation:
    """Explain why an artist is similar to what was asked about.

    Parameters
    ----------
    artist
        Its id.
    sent
        For clips that were sent: what each file is called.
    """
    pair = find_nearest_pair(snapshot.collection, asked, artist)
    like = snapshot.artist(snapshot.collection.matches(artist)[0])
    sound, missing = _explain_sound(snapshot, processes, pair, sent or {})
    return Explanation(
        of=of,
        like=like,
        score=pair.reasons.score,
        words=snapshot.words(pair.reasons.score),
        reasons=pair.reasons,
        neighbours=_neighbours(snapshot, pair.reasons.shared_neighbours),
        certainty=certainty(pair.reasons.clip_pairs),
        sound=sound,
        missing=missing,
    )


def _neighbours(snapshot: Snapshot, names: Sequence[str]) -> list[Neighbour]:
    found = [snapshot.collection.matches(name) for name in names]
    return [
        Neighbour(artist=snapshot.artist(artist), clip=snapshot.first_clip(artist.row))
        for artist, *namesakes in found
        if not namesakes
    ]


def _explain_sound(
    snapshot: Snapshot, processes: LimitedProcesses, pair: NearestPair, sent: Mapping[str, str]
) -> tuple[Sound | None, str | None]:
    """Listen to the two clips; or say which is not there."""
    files: list[NamedFile] = []
    for file, name in ((pair.first, pair.first_name), (pair.second, pair.second_name)):
        named = shown(sent.get(file, name))
        path = Path(file) if file in sent else snapshot.audio.locate(file)
        if path is None:
            return None, named
        files.append(NamedFile(path=path, name=named))
    reply = processes.do(ExplainPair(first=files[0], second=files[1]), snapshot)
    first = snapshot.clip(pair.first_clip) if pair.first_clip else None
    clips = first, snapshot.clip(pair.second_clip)
    explained = dict(reply.explained or {})
    explained |= {"first": files[0].name, "second": files[1].name, "clips": clips}
    explained["windows"] = _windows(explained["windows"], *clips)
    return Sound(**{name: explained[name] for name in Sound.model_fields}), None


def _windows(found: dict[str, Any] | None, first: Clip | None, second: Clip) -> Windows | None:
    if found is None:
        return None
    return Windows(
        best=[
            WindowPair(
                first=Window(clip=first, start=each["first_start"], end=each["first_end"]),
                second=Window(clip=second, start=each["second_start"], end=each["second_end"]),
                score=each["score"],
            )
            for each in found["best"]
        ],
        mean_score=found["mean_score"],
    )
