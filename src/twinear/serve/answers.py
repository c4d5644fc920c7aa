"""The answers of the API, as JSON. A path of the server is in none of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Words = Literal["very alike", "alike", "somewhat alike", "hardly alike"]


class Answer(BaseModel):
    """A frozen value."""

    model_config = ConfigDict(frozen=True)


class Model(Answer):
    """What computed an answer: answers with equal values are of one catalogue and one scorer."""

    scorer: Annotated[str, Field(description="SHA-256 of the scorer's file, 12 digits")]
    data: Annotated[str, Field(description="SHA-256 of the catalogue and what was added to it")]
    listens: Annotated[bool, Field(description="whether listens enter the scores")]


class Artist(Answer):
    """An artist; `listeners` is 0 where unknown, `known` whether its listens enter the scores."""

    id: str
    name: str
    mbid: str | None
    listeners: int
    clips: int
    known: bool


class Clip(Answer):
    """A clip; `audio` is null where the audio is not there, or may not be played."""

    id: str
    title: str | None
    seconds: float
    audio: str | None


class ErrorDetails(BaseModel):
    """What went wrong: a code for machines, a message for people, and its parts."""

    code: str
    message: str
    place: str = ""
    found: str = ""
    expected: str = ""
    remedy: str = ""
    nearest: list[str] | None = None
    parameters: list["ParameterError"] | None = None


class ParameterError(BaseModel):
    """A parameter that cannot be used."""

    name: str
    found: str
    message: str


class Error(BaseModel):
    """An error, as every endpoint answers it."""

    error: ErrorDetails


class Artists(Answer):
    """A page of the artists found; `nearest` are similar names where none is found."""

    artists: list[Artist]
    total: int
    offset: int
    nearest: list[str] = []


class ArtistsAnswer(Artists):
    """`Artists`, and what computed it."""

    model: Model


class ArtistsBatch(Answer):
    """The answers, in the order of the queries."""

    answers: list[Artists | Error]
    model: Model


class ArtistAnswer(Answer):
    """An artist and its clips."""

    artist: Artist
    clips: list[Clip]
    model: Model


class SimilarRow(Answer):
    """A similar artist, its score in (0, 1), the score in words, and a clip to listen to."""

    artist: Artist
    score: float
    words: Words
    clip: Clip | None


class Similar(Answer):
    """Similar artists, best first.

    `exact`: all artists were scored, not only those that the index found. `calibrated`: a score is
    the similarity by listens that such artists have on average.
    """

    of: list[Artist]
    similar: list[SimilarRow]
    exact: bool
    calibrated: bool


class SimilarAnswer(Similar):
    """`Similar`, and what computed it."""

    model: Model


class SimilarBatch(Answer):
    """The answers, in the order of the queries."""

    answers: list[Similar | Error]
    model: Model
