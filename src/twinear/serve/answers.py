"""The answers of the API, as JSON. A path of the server is in none of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from twinear.recommendation.reasons import Reasons

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
    the similarity by listens that such artists have on average. `balance`: the one used, from 0,
    sound alone, to 1, listeners alone.
    """

    of: list[Artist]
    similar: list[SimilarRow]
    exact: bool
    calibrated: bool
    balance: float


class SimilarAnswer(Similar):
    """`Similar`, and what computed it."""

    model: Model


class SimilarBatch(Answer):
    """The answers, in the order of the queries."""

    answers: list[Similar | Error]
    model: Model


class Uploaded(Answer):
    """A clip that was sent; one with the same content as another one before is left out."""

    name: str
    seconds: float


class SimilarClipRow(Answer):
    """A similar clip, its artist, and the score of the network alone, in (0, 1)."""

    clip: Clip
    artist: Artist
    score: float
    words: Words


class SimilarClipsAnswer(Answer):
    """Similar clips, best first."""

    clip: Clip
    clips: list[SimilarClipRow]
    model: Model


class ScorePart(Answer):
    """What one part adds to the logit of two clips; see `twinear.recommendation.explanation`."""

    name: str
    label: str
    meaning: str
    contribution: float
    own: float
    share: float


class Window(Answer):
    """Seconds of a clip; `clip` is null for a clip that was sent."""

    clip: Clip | None
    start: float
    end: float


class WindowPair(Answer):
    """Seconds of two clips that sound alike, and their score."""

    first: Window
    second: Window
    score: float


class Windows(Answer):
    """The seconds that are most alike, best first, and the mean score of all."""

    best: list[WindowPair]
    mean_score: float


class Sound(Answer):
    """Why the two clips that score highest sound alike.

    `score` is the sigmoid of `logit`, which is `bias` and the contributions of all parts.
    """

    first: str
    second: str
    clips: tuple[Clip | None, Clip]
    score: float
    logit: float
    bias: float
    exact_to: Literal["block", "branch"]
    parts: list[ScorePart]
    convolutions_share: float
    score_without_convolutions: float | None
    windows: Windows | None


class Neighbour(Answer):
    """An artist that is near to both, and a clip to listen to."""

    artist: Artist
    clip: Clip | None


class Explanation(Answer):
    """Why an artist is similar to another; `sound` is null where audio is missing.

    `neighbours` are the shared ones of `reasons`, to listen to; one of several artists of a name is
    left out. `certainty` says how far their clips agree, `missing` which clip is not there.
    """

    of: Artist | None
    like: Artist
    score: float
    words: Words
    reasons: Reasons
    neighbours: list[Neighbour]
    certainty: str
    sound: Sound | None
    missing: str | None


class ExplanationAnswer(Explanation):
    """`Explanation`, and what computed it."""

    model: Model


class ExplanationBatch(Answer):
    """The answers, in the order of the queries."""

    answers: list[Explanation | Error]
    model: Model


class UploadAnswer(Similar):
    """Artists similar to clips that were sent; `reasons` are of each of them, where asked for."""

    uploaded: list[Uploaded]
    reasons: list[Explanation | Error] | None
    model: Model


class PlaylistItem(Answer):
    """A recording, and the score of the step to it; null for the first.

    `in_catalogue`: similar artists of its artist can be asked for.
    """

    artist: Artist
    in_catalogue: bool = True
    clip: Clip
    score_to_previous: float | None


class Playlist(Answer):
    """Recordings in order; `random_score` is that of random pairs of different artists.

    `instead_of`: ends of whom the music holds nothing; the nearest recording stands for each.
    """

    items: list[PlaylistItem]
    instead_of: list[str] = []
    mean_score: float
    least_score: float
    random_score: float


class PlaylistAnswer(Playlist):
    """`Playlist`, and what computed it."""

    model: Model


class Music(Answer):
    """How much of the user's music is known; 0 where `twinear library sync` was not run."""

    recordings: int
    artists: int


class PlaylistBatch(Answer):
    """The answers, in the order of the queries."""

    answers: list[Playlist | Error]
    model: Model
