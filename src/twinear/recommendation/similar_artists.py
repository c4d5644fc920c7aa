"""Which artists are similar to one, to several at once, or to clips that nobody knows.

Each seed, an artist of the catalogue or a new one of some clips, scores all artists; the score of
an artist is the geometric mean over the seeds, so that it has to be near to all of them. The
answers are those of the catalogue's definition; a catalogue with an index for the search scores the
candidates that this finds, unless `exact` asks for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError
from twinear.catalogue.encoded import EncodedArtists
from twinear.catalogue.scoring import ScoreParts
from twinear.recommendation.collection import Collection

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer

Floats = npt.NDArray[np.float64]

DIVERSE_POOL = 50  # times as many candidates as wanted are looked through for diverse ones


@dataclass(frozen=True, kw_only=True)
class SimilarOptions:
    """What is wanted.

    Parameters
    ----------
    top
        How many artists.
    without
        Names or ids of artists that are left out.
    max_listeners
        Leave out artists with more listeners; those of unknown number stay.
    balance
        From 0, sound alone, to 1, listeners alone; None: as the catalogue was built. Any other
        balance than that of the build is not calibrated.
    diverse
        No two of the answer are nearer to each other, by sound, than each is on average to its ten
        nearest.
    exact
        Score all artists, also where the catalogue has an index for the search.
    """

    top: int = 10
    without: Sequence[str] = ()
    max_listeners: int | None = None
    balance: float | None = None
    diverse: bool = False
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class SimilarArtist:
    """A similar artist: its rank from 1, its id and name, its score in (0, 1).

    `listeners` is 0 where unknown.
    """

    rank: int
    artist: str
    name: str
    score: float
    listeners: int


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What was asked about: an artist of the catalogue, or the files of a new one (id "")."""

    artist: str
    name: str
    clips: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A seed as the score sees it; `row` is None for an artist that is not in the collection."""

    seed: Seed
    query: EncodedArtists
    row: int | None


@dataclass(frozen=True, kw_only=True)
class SimilarArtists:
    """The answer.

    Attributes
    ----------
    similar
        Best first.
    exact
        Whether all artists were scored, or only those that the index found.
    calibrated
        Whether the scores are expected similarities.
    listens
        Whether listens entered.
    catalogue, scorer
        SHA-256 of the catalogue's definition, and of the scorer.
    """

    seeds: list[Seed]
    similar: list[SimilarArtist]
    exact: bool
    calibrated: bool
    listens: bool
    catalogue: str
    scorer: str


def ask(
    collection: Collection,
    artists: Sequence[str] = (),
    clips: Sequence[Path | str] = (),
    scorer: "Scorer | None" = None,
    *,
    exact: bool = False,
) -> list[Asked]:
    """Look up artists, and encode the clips of one that is not in the collection.

    Parameters
    ----------
    artists
        Names or ids; each is a seed and never in the answer.
    clips
        Audio files of one new artist, or folders of them: together they are one seed.
    scorer
        The catalogue's, if it is loaded already.
    exact
        Compare a new artist with all others, also where the catalogue has an index.

    Raises
    ------
    DataError
        Nothing asked about; an unknown artist or one of several with that name.
    ClipError
        A clip that cannot be heard.
    """
    if not artists and not clips:
        raise DataError("similar", "nothing asked about", expected="artists, or clips")
    asked = [
        Asked(
            seed=Seed(artist=record.artist, name=record.name),
            query=collection.encoded([record.row]),
            row=record.row,
        )
        for record in map(collection.find, artists)
    ]
    if clips:
        files, embeddings = collection.encode(clips, scorer)
        name = files[0].name + (f" and {len(files) - 1} more" if files[1:] else "")
        seed = Seed(artist="", name=name, clips=tuple(map(str, files)))
        query = collection.catalogue.represent(embeddings, exact=exact)
        asked.append(Asked(seed=seed, query=query, row=None))
    return asked


def find_similar(
    collection: Collection, asked: Sequence[Asked], options: SimilarOptions | None = None
) -> SimilarArtists:
    """Find the artists most similar to all seeds, best first.

    Raises
    ------
    DataError
        Options out of range; a balance without listens; an unknown artist to leave out.
    """
    chosen = options or SimilarOptions()
    _check(chosen, collection)
    allowed = np.ones(len(collection), dtype=bool)
    allowed[[each.row for each in asked if each.row is not None]] = False
    allowed[[collection.find(artist).row for artist in chosen.without]] = False
    if chosen.max_listeners is not None:
        allowed &= collection.listeners <= chosen.max_listeners
    rows, scores, exact = _rank(collection, [each.query for each in asked], allowed, chosen)
    records = collection.records(rows)
    return SimilarArtists(
        seeds=[each.seed for each in asked],
        similar=[
            SimilarArtist(
                rank=rank,
                artist=record.artist,
                name=record.name,
                score=float(score),
                listeners=record.listeners,
            )
            for rank, (record, score) in enumerate(zip(records, scores, strict=True), start=1)
        ],
        exact=exact,
        calibrated=collection.catalogue.calibrated
        and chosen.balance in (None, default_balance(collection)),
        listens=collection.catalogue.scoring.uses_listens and chosen.balance != 0,
        catalogue=collection.catalogue.identity,
        scorer=collection.catalogue.scorer_sha256,
    )


def default_balance(collection: Collection) -> float:
    """The share of the listeners in the catalogue's score: 0 sound alone, 1 listeners alone."""
    scoring = collection.catalogue.scoring
    weight = scoring.params.collaborative_weight if scoring.uses_listens else 0.0
    return weight / (1 + weight)


def _check(options: SimilarOptions, collection: Collection) -> None:
    if options.top < 1:
        raise DataError("top", f"is {options.top}", expected="at least 1")
    if options.max_listeners is not None and options.max_listeners < 0:
        raise DataError("max-listeners", f"is {options.max_listeners}", expected="0 or more")
    if options.balance is not None:
        if not 0 <= options.balance <= 1:
            raise DataError(
                "balance", f"is {options.balance}", expected="0 (sound) to 1 (listeners)"
            )
        if options.balance > 0 and not collection.catalogue.scoring.uses_listens:
            found = f"{options.balance} asks for listens, and none entered the catalogue"
            raise DataError("balance", found, remedy="leave --balance out")


def _rank(
    collection: Collection,
    queries: list[EncodedArtists],
    allowed: npt.NDArray[np.bool_],
    options: SimilarOptions,
) -> tuple[npt.NDArray[np.int64], Floats, bool]:
    """Rows and scores of the best, and whether they are exact."""
    wanted = options.top * (DIVERSE_POOL if options.diverse else 1)
    candidates = None if options.exact else collection.candidates(queries, wanted, allowed)
    rows = np.flatnonzero(allowed) if candidates is None else candidates
    totals = np.stack(
        [_balanced(collection, collection.score(query, rows), options.balance) for query in queries]
    )
    similarity = collection.catalogue.calibration.apply(totals)  # (seeds, rows)
    if len(queries) == 1:  # the order of totals, also where float64 cannot tell scores apart
        merit, scores = totals[0].astype(np.float64), similarity[0]
    else:
        merit = np.log(similarity).mean(axis=0)
        scores = np.exp(merit)
    order = np.argsort(-merit, kind="stable")[:wanted]
    if options.diverse:
        order = _diverse(collection, rows, order, options.top)
    return rows[order], scores[order], candidates is None


def _balanced(
    collection: Collection, parts: ScoreParts, balance: float | None
) -> npt.NDArray[np.float32]:
    """Total of one query; (rows,)."""
    if balance is None:
        return np.asarray(parts.total[0])
    weight = collection.catalogue.scoring.params.collaborative_weight
    # at the default balance the two factors are 1 and `collaborative_weight`
    by_sound = (1 + weight) * (1 - balance) * (parts.sound + parts.csls)
    by_listeners = (1 + weight) * balance * parts.colistening
    return np.asarray((by_sound + by_listeners + parts.popularity)[0], dtype=np.float32)


def _diverse(
    collection: Collection,
    rows: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    top: int,
) -> npt.NDArray[np.int64]:
    """Walk down the ranking and skip what is too near to one already taken."""
    kept: list[int] = []
    for position in order.tolist():
        candidate = collection.encoded([rows[position]])
        if kept:
            taken = collection.encoded(rows[kept])
            scoring = collection.catalogue.scoring
            sound = scoring.sound(scoring.siamese(candidate, taken))[0]
            if (sound >= np.maximum(candidate.nearness, taken.nearness)).any():
                continue
        kept.append(position)
        if len(kept) == top:
            break
    return np.array(kept, dtype=np.int64)


def similar_artists(
    folder: Path | str,
    artists: str | Sequence[str] = (),
    top: int = 10,
    *,
    clips: Sequence[Path | str] = (),
    without: Sequence[str] = (),
    max_listeners: int | None = None,
    balance: float | None = None,
    diverse: bool = False,
    exact: bool = False,
) -> list[SimilarArtist]:
    """Find the artists that sound most like some of a catalogue, or like new clips, best first.

    Parameters
    ----------
    folder
        The catalogue's folder.
    artists
        A name (case and accents do not matter) or an id, or several: what is near to all.
    clips
        Audio files of one new artist.
    top, without, max_listeners, balance, diverse, exact
        See `SimilarOptions`.

    Raises
    ------
    DataError
        No such artist (the message names the nearest), or no catalogue.
    ClipError
        A clip that cannot be heard.
    """
    options = SimilarOptions(
        top=top,
        without=without,
        max_listeners=max_listeners,
        balance=balance,
        diverse=diverse,
        exact=exact,
    )
    names = [artists] if isinstance(artists, str) else artists
    collection = Collection.open(Path(folder))
    return find_similar(collection, ask(collection, names, clips, exact=exact), options).similar
