"""The score of two artists: sound, hubness reduction, co-listening, popularity.

The siamese score of two artists is the head's score of their mean embeddings, brought to length 1
(`pooling: mean`, for the cosine head), or the power mean of the scores of their clip pairs
(`pooling: pairs`, and always for the head `l1`). Everything else is added to its logit,
standardised to mean 0 and deviation 1 over the pairs of known artists:

- *CSLS* (`csls`): minus `csls_weight` times the nearness of both artists;
- *collaborative* (`collaborative`): plus `collaborative_weight` times the co-listening of the known
  artists that represent the two;
- *popularity*: plus `popularity_weight` times the standardised logarithm of a known candidate's
  listeners. It makes scores asymmetric.

Whoever is scored, the artists of a catalogue or a new one, is an `EncodedArtists`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
import numpy.typing as npt

from twinear.catalogue.collaborative import SMALLEST_DEVIATION, Colistening
from twinear.catalogue.encoded import EncodedArtists, Floats, Ints, plain_artists
from twinear.catalogue.head import CosineHead, Head, head_of, sigmoid
from twinear.catalogue.params import CatalogueParams
from twinear.model.pooling import Pooling

if TYPE_CHECKING:
    from twinear.model.scorer import Scorer

EDGE = np.float32(1e-7)  # scores are kept this far from 0 and 1
CLIPS = 4096  # of the candidates scored at a time: a block stays in the processor's cache
ARTISTS = 128  # queries scored at a time
SHORTEST = np.float32(1e-12)  # a mean embedding of length 0 has cosine 0 with all others


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreParts:
    """What the score of each query and candidate is made of, (queries, candidates), float32.

    `siamese` is the network's score in (0, 1). The others have no unit, and their sum ranks.
    """

    siamese: Floats
    sound: Floats  # the standardised logit of `siamese`
    csls: Floats
    colistening: Floats  # before its weight
    collaborative: Floats
    popularity: Floats

    def take(self, columns: npt.ArrayLike) -> "ScoreParts":
        """Select candidates."""
        return ScoreParts(
            **{part.name: getattr(self, part.name)[:, columns] for part in fields(self)}
        )

    @property
    def total(self) -> Floats:
        """The sum; higher is more similar."""
        return self.sound + self.csls + self.collaborative + self.popularity


def join_parts(groups: Sequence[ScoreParts]) -> ScoreParts:
    """Put the candidates of several groups side by side."""
    return ScoreParts(
        **{
            part.name: np.concatenate([getattr(group, part.name) for group in groups], axis=1)
            for part in fields(ScoreParts)
        }
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scoring:
    """The definition of the score.

    Attributes
    ----------
    mean, deviation
        Of the siamese scores' logits over the pairs of known artists.
    colistening
        What listeners say of the known artists; None if nothing is known.
    """

    head: Head
    params: CatalogueParams
    mean: float
    deviation: float
    colistening: Colistening | None

    @property
    def uses_listens(self) -> bool:
        """Whether co-listening enters the score."""
        return self.colistening is not None and self.params.collaborative_weight > 0

    def siamese(self, queries: EncodedArtists, candidates: EncodedArtists) -> Floats:
        """Score artists by the network alone, (queries, candidates), in (0, 1)."""
        pooling, power = self.params.pooling, self.params.pooling_power
        return pooled_scores(self.head, queries, candidates, pooling, power)

    def sound(self, siamese: Floats) -> Floats:
        """Standardise siamese scores."""
        return (logit(siamese) - np.float32(self.mean)) / np.float32(self.deviation)

    def score(self, queries: EncodedArtists, candidates: EncodedArtists) -> ScoreParts:
        """Score every candidate for every query."""
        siamese = self.siamese(queries, candidates)
        sound = self.sound(siamese)
        params = self.params
        nearness = queries.nearness[:, None] + candidates.nearness
        colistening = np.zeros_like(sound)
        if self.colistening is not None and params.collaborative_weight:
            colistening = self.colistening.scores(queries, candidates)
        return ScoreParts(
            siamese=siamese,
            sound=sound,
            csls=np.float32(-params.csls_weight) * nearness,
            colistening=colistening,
            collaborative=np.float32(params.collaborative_weight) * colistening,
            popularity=np.broadcast_to(candidates.popularity, sound.shape),
        )

    def totals(
        self, queries: EncodedArtists, candidates: EncodedArtists
    ) -> Iterator[tuple[slice, Floats]]:
        """Score block by block: the rows of some queries, and (rows, candidates)."""
        for start in range(0, len(queries), ARTISTS):
            stop = min(start + ARTISTS, len(queries))
            yield slice(start, stop), self.score(queries.block(start, stop), candidates).total


def logit(scores: Floats) -> Floats:
    """The logit of scores in [0, 1], finite at both ends."""
    clipped = np.clip(scores, EDGE, 1 - EDGE)
    logits: Floats = np.log(clipped) - np.log1p(-clipped)
    return logits


def pooled_scores(
    head: Head,
    queries: EncodedArtists,
    candidates: EncodedArtists,
    pooling: Pooling = "pairs",
    power: float = 1.0,
) -> Floats:
    """The score of two artists by their clips, (queries, candidates), float32, in (0, 1).

    Parameters
    ----------
    pooling
        `mean`: the score of the mean embeddings, for a cosine head. `pairs`: the power mean of the
        scores of all clip pairs.
    power
        1 is the mean over clip pairs; the larger, the more the most similar clips count.
    """
    if uses_means(head, pooling):
        logits = mean_cosines(queries, candidates)
        logits *= np.float32(head.scale)
        logits += np.float32(head.bias)
        return sigmoid(logits)
    pooled = np.empty((len(queries), len(candidates)), np.float32)
    # a high power of a low score is tiny
    exact: type[np.float32] | type[np.float64] = np.float32 if power == 1 else np.float64
    counts = queries.clip_counts
    for start, stop in _artist_blocks(candidates.clip_offsets):
        block = candidates.block(start, stop)
        scores = sigmoid(head.logit(queries.embeddings, block.embeddings))
        if power != 1:
            scores = np.power(scores, power, dtype=np.float64)
        of_query = sum_clips(scores.astype(exact, copy=False), queries.clip_offsets)
        sums = np.add.reduceat(of_query, block.clip_offsets[:-1], axis=1)
        means = sums / np.multiply.outer(counts, block.clip_counts).astype(exact)
        pooled[:, start:stop] = means if power == 1 else np.power(means, 1 / power)
    return pooled


def uses_means(head: Head, pooling: Pooling) -> TypeGuard[CosineHead]:
    """Whether artists are scored by their mean embeddings: a weighted L1 distance is not."""
    return pooling == "mean" and isinstance(head, CosineHead)


def mean_cosines(queries: EncodedArtists, candidates: EncodedArtists) -> Floats:
    """The cosine of two artists' mean embeddings, (queries, candidates), float32.

    The means of the candidates are not kept: their embeddings may be memory-mapped.

    Examples
    --------
    >>> embeddings = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    >>> two = plain_artists(np.array([0, 2, 3]), embeddings)
    >>> mean_cosines(two, two).round(3).tolist()
    [[1.0, 0.7070000171661377], [0.7070000171661377, 1.0]]
    """
    units = pool_clips(queries, "mean")
    lengths = _lengths_of_sums(candidates)
    cosines = np.empty((len(queries), len(candidates)), np.float32)
    for start, stop in _artist_blocks(candidates.clip_offsets):
        block = candidates.block(start, stop)
        products = units @ block.embeddings.T
        cosines[:, start:stop] = np.add.reduceat(products, block.clip_offsets[:-1], axis=1)
    cosines /= lengths
    return cosines


def split_mean_logit(head: CosineHead, query: EncodedArtists, other: EncodedArtists) -> Floats:
    """Split the logit of the mean embeddings of two artists by clip pairs, (clips, clips).

    The parts and the bias sum to the logit: `scale <mean u, mean v> / (|mean u| |mean v|)` is the
    sum of `scale <u, v>` over the clips, each pair with the weight `1 / (|sum u| |sum v|)`.
    """
    weight = head.scale / (_lengths_of_sums(query)[0] * _lengths_of_sums(other)[0])
    return np.asarray(weight * (query.embeddings @ other.embeddings.T))


def _lengths_of_sums(artists: EncodedArtists) -> Floats:
    """The length of the sum of each artist's embeddings, (artists,); computed once."""
    if "lengths" not in artists.computed:
        lengths = np.empty(len(artists), np.float32)
        for start, stop in _artist_blocks(artists.clip_offsets):
            block = artists.block(start, stop)
            sums = sum_clips(block.embeddings, block.clip_offsets)
            lengths[start:stop] = np.linalg.norm(sums, axis=1)
        artists.computed["lengths"] = np.maximum(lengths, SHORTEST)
    return np.asarray(artists.computed["lengths"])


def pool_clips(artists: EncodedArtists, pooling: Pooling = "pairs") -> Floats:
    """Average the embeddings of each artist's clips, (artists, units).

    Their inner products order artists as `pooled_scores` does: with `pairs` almost, with `mean`,
    where they are brought to length 1, exactly.

    Examples
    --------
    >>> embeddings = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    >>> pool_clips(plain_artists(np.array([0, 2, 3]), embeddings)).tolist()
    [[0.5, 0.5], [1.0, 1.0]]
    """
    sums = sum_clips(artists.embeddings, np.asarray(artists.clip_offsets))
    if pooling == "mean":
        divisors = np.maximum(np.linalg.norm(sums, axis=1), SHORTEST)
    else:
        divisors = artists.clip_counts
    return np.asarray(sums / divisors[:, None], dtype=np.float32)


def _artist_blocks(clip_offsets: Ints) -> Iterator[tuple[int, int]]:
    """Split artists into blocks of about `CLIPS` clips, at least one artist each."""
    start, n = 0, len(clip_offsets) - 1
    while start < n:
        stop = int(np.searchsorted(clip_offsets, clip_offsets[start] + CLIPS, side="right")) - 1
        stop = min(max(stop, start + 1), n)
        yield start, stop
        start = stop


def sum_clips(scores: npt.NDArray[np.floating], clip_offsets: Ints) -> npt.NDArray[np.floating]:
    """Add the rows of each artist's clips: (clips, n) to (artists, n).

    The first clips of all artists are added at once, then the second, and so on: `np.add.reduceat`
    along the first axis takes five times as long.
    """
    counts = np.diff(clip_offsets)
    sums = scores[clip_offsets[:-1]]
    for nth in range(1, int(counts.max(initial=1))):
        more = np.flatnonzero(counts > nth)
        if len(more) == len(counts):
            sums += scores[clip_offsets[:-1] + nth]
        else:
            sums[more] += scores[clip_offsets[more] + nth]
    return sums


def measure_scale(
    head: Head, artists: EncodedArtists, rows: Ints, pooling: Pooling, power: float
) -> tuple[float, float]:
    """Mean and deviation of the logits of the siamese scores of every two of some artists."""
    some = artists.select(rows)
    total = squares = 0.0
    for start in range(0, len(some), ARTISTS):
        block = some.block(start, min(start + ARTISTS, len(some)))
        logits = logit(pooled_scores(head, block, some, pooling, power)).astype(np.float64)
        logits[np.arange(len(block)), start + np.arange(len(block))] = 0  # not with itself
        total += logits.sum()
        squares += np.square(logits).sum()
    pairs = len(some) * (len(some) - 1)
    if not pairs:
        return 0.0, 1.0
    mean = total / pairs
    return mean, max(np.sqrt(max(squares / pairs - mean**2, 0.0)), SMALLEST_DEVIATION)


def sort_clips(artist_index: npt.ArrayLike, n_artists: int) -> tuple[Ints, Ints]:
    """Order clips by artist: the rows of the clips in that order, and `clip_offsets`.

    Examples
    --------
    >>> order, offsets = sort_clips([1, 0, 1], n_artists=2)
    >>> order.tolist(), offsets.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    index = np.asarray(artist_index, dtype=np.int64)
    counts = np.bincount(index, minlength=n_artists)
    return np.argsort(index, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def score_artists(
    scorer: "Scorer",
    embeddings: Floats,
    artist_index: npt.ArrayLike,
    pooling: Pooling = "pairs",
    power: float = 1.0,
) -> Floats:
    """Score every two artists by the network alone, (artists, artists), float32; symmetric.

    Memory grows with the square of the artists: for the few that are evaluated.
    """
    index = np.asarray(artist_index, dtype=np.int64)
    order, offsets = sort_clips(index, int(index.max(initial=-1)) + 1)
    artists = plain_artists(offsets, np.ascontiguousarray(embeddings[order]))
    scores = np.empty((len(artists), len(artists)), np.float32)
    for start in range(0, len(artists), ARTISTS):
        stop = min(start + ARTISTS, len(artists))
        block = artists.block(start, stop)
        scores[start:stop] = pooled_scores(head_of(scorer), block, artists, pooling, power)
    return np.asarray((scores + scores.T) / 2, dtype=np.float32)  # exactly, against rounding
