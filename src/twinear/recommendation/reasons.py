"""Why an artist is similar to another one: what sound, CSLS and listeners each did.

The score is a sum, so what each step added is exact, and so is the rank after each step. The
listeners' part is a sum over pairs of known artists that stand for the two; the largest are named.
The logit of two mean embeddings is a sum over their clip pairs; the heaviest has its share.
Why two clips sound alike is explained by `explanation`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twinear.catalogue.encoded import EncodedArtists
from twinear.catalogue.head import sigmoid
from twinear.catalogue.scoring import split_mean_logit, uses_means
from twinear.catalogue.search.protocol import best_first
from twinear.recommendation.collection import Collection

N_SHARED = 10  # nearest neighbours compared
N_THROUGH = 3  # pairs of artists named
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the score.

    Attributes
    ----------
    name
        `sound`, `csls`, `listeners` or `popularity`.
    contribution
        What it added, in standard deviations of the sound of two known artists.
    rank
        Rank of the artist among all others after this step, from 1.
    """

    name: str
    contribution: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class Through:
    """Two known artists through whose listeners two artists come together.

    Attributes
    ----------
    first, second
        Names of the artists that stand for the one asked about, and for the other; a known artist
        stands for itself.
    similarity
        What their listeners say, from 0; with `catalogue.collaborative_denoised` smoothed.
    share
        Of the whole contribution of the listeners.
    """

    first: str
    second: str
    similarity: float
    share: float


@dataclass(frozen=True, kw_only=True)
class ClipPairs:
    """The scores of all pairs of clips of two artists, by the network.

    Attributes
    ----------
    spread
        The largest minus the smallest, in standard deviations of the sound of two known artists.
    first, second
        Rows of the two clips that score highest, among the clips of each artist.
    part
        What these two add to the logit of the artists' siamese score, where that is of their mean
        embeddings (`catalogue.pooling: mean`): it is the head's bias and such a part of every pair,
        exactly. None where the scores of pairs are averaged.
    share
        The part as a share of the sum of all absolute parts, in [-1, 1]; None likewise.
    """

    pairs: int
    lowest: float
    mean: float
    highest: float
    spread: float
    first: int
    second: int
    part: float | None = None
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Why an artist is similar to another.

    Attributes
    ----------
    score
        The catalogue's, in (0, 1).
    calibrated
        Whether the score is an expected similarity.
    siamese
        The network's alone, in (0, 1).
    steps
        In the order in which they are added.
    through
        The pairs of artists that add most to the listeners' part.
    shared_neighbours
        Names of the artists that are among the nearest of both.
    n_artists
        How many the ranks are among.
    """

    artist: str
    name: str
    score: float
    calibrated: bool
    siamese: float
    steps: tuple[Step, ...]
    through: tuple[Through, ...]
    shared_neighbours: tuple[str, ...]
    clip_pairs: ClipPairs
    n_artists: int


def give_reasons(
    collection: Collection, query: EncodedArtists, row: int, asked: int | None = None
) -> Reasons:
    """Explain why the artist in a row is similar to the one that is asked about.

    Parameters
    ----------
    query
        The artist asked about.
    asked
        Its row, if it is in the collection.
    """
    others = np.delete(np.arange(len(collection)), [] if asked is None else [asked])
    at = int(np.flatnonzero(others == row)[0])
    parts = collection.score(query, others)
    steps, total = [], np.zeros(len(others), np.float32)
    for name, values in (
        ("sound", parts.sound),
        ("csls", parts.csls),
        ("listeners", parts.collaborative),
        ("popularity", parts.popularity),
    ):
        total += values[0]
        rank = 1 + int((total > total[at]).sum())
        steps.append(Step(name=name, contribution=float(values[0, at]), rank=rank))
    other = collection.encoded([row])
    apart = np.setdiff1d(np.arange(len(collection)), [row])
    theirs = apart[best_first(collection.score(other, apart).total[0], N_SHARED)]
    mine = others[best_first(total, N_SHARED + 1)]
    shared = [neighbour for neighbour in mine if neighbour in set(theirs) and neighbour != row]
    record = collection.records([row])[0]
    return Reasons(
        artist=record.artist,
        name=record.name,
        score=float(collection.catalogue.calibration.apply(total[at])),
        calibrated=collection.catalogue.calibrated,
        siamese=float(parts.siamese[0, at]),
        steps=tuple(steps),
        through=_through(collection, query, other),
        shared_neighbours=tuple(artist.name for artist in collection.records(shared)),
        clip_pairs=_clip_pairs(collection, query, other),
        n_artists=len(others),
    )


def _through(
    collection: Collection, query: EncodedArtists, other: EncodedArtists
) -> tuple[Through, ...]:
    """The pairs of known artists that add most to the co-listening of two artists."""
    colistening = collection.catalogue.scoring.colistening
    if colistening is None:
        return ()
    ours, ours_weights = _representatives(query)
    theirs, their_weights = _representatives(other)
    similarity = np.array(
        [[colistening.similarity(first, second) for second in theirs] for first in ours]
    ).reshape(len(ours), len(theirs))
    added = ours_weights[:, None] * similarity * their_weights
    whole = added.sum()
    if whole <= 0:
        return ()
    found = []
    for position in best_first(added.ravel(), N_THROUGH):
        i, j = np.unravel_index(position, added.shape)
        if added[i, j] > 0:
            rows = colistening.rows[[ours[i], theirs[j]]]
            first, second = collection.records(rows)
            found.append(
                Through(
                    first=first.name,
                    second=second.name,
                    similarity=float(similarity[i, j]),
                    share=float(added[i, j] / whole),
                )
            )
    return tuple(found)


def _representatives(
    artist: EncodedArtists,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    present = artist.weights[0] > 0
    return artist.representatives[0, present], artist.weights[0, present]


def _clip_pairs(collection: Collection, query: EncodedArtists, other: EncodedArtists) -> ClipPairs:
    scoring = collection.catalogue.scoring
    scores = sigmoid(scoring.head.logit(query.embeddings, other.embeddings))
    first, second = np.unravel_index(scores.argmax(), scores.shape)
    part = share = None
    if uses_means(scoring.head, scoring.params.pooling):
        parts = split_mean_logit(scoring.head, query, other)
        part = float(parts[first, second])
        share = part / max(float(np.abs(parts).sum()), TINY)
    return ClipPairs(
        pairs=scores.size,
        lowest=float(scores.min()),
        mean=float(scores.mean()),
        highest=float(scores.max()),
        spread=float(np.ptp(scoring.sound(scores))),
        first=int(first),
        second=int(second),
        part=part,
        share=share,
    )
