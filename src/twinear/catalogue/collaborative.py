"""What co-listening says of two artists, also where one of them has no listens.

A known artist (one whose listens may be used) stands for itself. A new artist is represented by the
known artists that it sounds like: a softmax over its scores to the nearest of them, with an inverse
temperature. The collaborative score of two artists is then the expected similarity of what
represents them. The listens of test artists are never among the known.

The similarity of artists with few listeners is mostly noise. A share of it
(`collaborative_denoised`) is the cosine of the artists' listener factors, in which all artists in
the listens take part (`twinear.similarity.factors`).

Both the similarity and the representatives are sparse: memory is proportional to the artists. Where
the similarity from listens is sparse already, all pairs are looked at, a block of artists at a
time, only to denoise it.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twinear.base.errors import ParamsError
from twinear.catalogue.encoded import EncodedArtists, Floats, Ints

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

    from twinear.similarity.similarity import Similarity, SimilarityMatrix
    from twinear.split import Split

SMALLEST_DEVIATION = 1e-7
FEW = 4  # queries up to which no sparse matrix is made
ARTISTS = 4096  # candidates whose representatives are looked up at a time
PAIRS = 2**24  # pairs of known artists whose cosines are in memory


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingArtists:
    """The artists whose listens may be used: those of training and validation.

    Attributes
    ----------
    artists
        Ids, (n,).
    similarity
        (n, n), in [0, 1]; an array or a sparse one.
    listeners
        (n,).
    validation
        Which of them belong to validation, (n,).
    factors
        Their listener factors, (n, n_factors); no columns where there are none.
    training_factors
        Those without the listens of the validation artists, whose rows are 0.
    """

    artists: list[str]
    similarity: "SimilarityMatrix"
    listeners: np.ndarray
    validation: np.ndarray
    factors: np.ndarray
    training_factors: np.ndarray

    @classmethod
    def from_split(cls, similarity: "Similarity", split: "Split") -> "TrainingArtists":
        """Take the training and validation artists of a split; never those of test."""
        validation = split.members("validation")
        artists = [*split.members("train"), *validation]
        row = {artist: row for row, artist in enumerate(similarity.artists["artist"])}
        rows = np.array([row[artist] for artist in artists], dtype=np.int64)
        return cls(
            artists=artists,
            similarity=similarity.matrix[rows][:, rows],
            listeners=similarity.artists["listeners"].to_numpy()[rows],
            validation=np.arange(len(artists)) >= len(artists) - len(validation),
            factors=np.zeros((len(artists), 0), np.float32),
            training_factors=np.zeros((len(artists), 0), np.float32),
        )

    def locate(self, artists: "pd.Series[str]") -> "KnownArtists":
        """Find their rows in a table of artists; those without clips are left out."""
        row = {artist: row for row, artist in enumerate(artists)}
        rows = np.array([row.get(artist, -1) for artist in self.artists], dtype=np.int64)
        return KnownArtists(
            rows=rows,
            similarity=self.similarity,
            listeners=self.listeners,
            validation=self.validation,
            factors=self.factors,
            training_factors=self.training_factors,
        ).select(rows >= 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownArtists:
    """The artists of a catalogue whose listens may be used; as `TrainingArtists`, by row."""

    rows: Ints
    similarity: "SimilarityMatrix"
    listeners: np.ndarray
    validation: np.ndarray
    factors: np.ndarray
    training_factors: np.ndarray

    def select(self, chosen: np.ndarray) -> "KnownArtists":
        """Select artists by a mask, (known,)."""
        return KnownArtists(
            rows=self.rows[chosen],
            similarity=self.similarity[chosen][:, chosen],
            listeners=self.listeners[chosen],
            validation=self.validation[chosen],
            factors=self.factors[chosen],
            training_factors=self.training_factors[chosen],
        )

    def without_validation(self) -> "KnownArtists":
        """Leave the validation artists and their listens out."""
        rest = self.select(~self.validation)
        return replace(rest, factors=rest.training_factors)


@dataclass(frozen=True, kw_only=True, eq=False)
class Colistening:
    """The similarity of the known artists, sparse.

    Attributes
    ----------
    rows
        (known,): their rows in the catalogue.
    indptr, indices, values
        Similarity as a sparse matrix (known, known) by rows, as in `scipy.sparse.csr_array`; may be
        memory-mapped. The similarity of an artist with itself is left out.
    deviation
        Standard deviation of the similarity of two different known artists.
    """

    rows: Ints
    indptr: Ints
    indices: npt.NDArray[np.int32]
    values: Floats
    deviation: float

    def similarity(self, first: int, second: int) -> float:
        """Look up the similarity of two known artists, by position."""
        similar = slice(self.indptr[first], self.indptr[first + 1])
        at = np.flatnonzero(self.indices[similar] == second)
        return float(self.values[similar][at[0]]) if len(at) else 0.0

    def inherited(self, artists: EncodedArtists) -> Floats:
        """Compute the expected similarity of each artist to each known one, (artists, known)."""
        n_known = len(self.rows)
        if len(artists) > FEW:
            from scipy.sparse import csr_array  # takes .2 s to import, which a question does not

            matrix = csr_array((self.values, self.indices, self.indptr), (n_known, n_known))
            return np.asarray((artists.representation(n_known) @ matrix).toarray())
        # a question needs it twice: for its candidates, and for their scores
        computed = artists.computed.get("inherited")
        if computed is not None and computed[0] is self:
            return np.asarray(computed[1])
        expected = np.zeros((len(artists), n_known), np.float32)
        for row, known, weights in zip(
            expected, artists.representatives, artists.weights, strict=True
        ):
            starts, ends = self.indptr[known], self.indptr[known + 1]
            for start, end, weight in zip(starts.tolist(), ends.tolist(), weights, strict=True):
                if weight:
                    row[self.indices[start:end]] += weight * self.values[start:end]
        artists.computed["inherited"] = self, expected
        return expected

    def scores(self, queries: EncodedArtists, candidates: EncodedArtists) -> Floats:
        """Score candidates by co-listening, (queries, candidates).

        In standard deviations of the similarity of two known artists.

        Examples
        --------
        Artists 0, 1 and 2 are known. A new one stands for the first: it inherits what listeners say
        of the first, that it is close to the second and far from the third.

        >>> from dataclasses import replace
        >>> from twinear.catalogue.encoded import plain_artists
        >>> similarity = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> colistening = sparse_colistening(np.arange(3), similarity)
        >>> four = replace(
        ...     plain_artists(np.arange(5), np.zeros((4, 2), np.float32)),
        ...     representatives=np.array([[0], [1], [2], [0]], np.int32),
        ...     weights=np.ones((4, 1), np.float32),
        ... )
        >>> scores = colistening.scores(four, four)
        >>> bool(np.allclose(scores[3], scores[0])), bool(scores[3, 1] > scores[3, 2])
        (True, True)
        """
        inherited = self.inherited(queries) / np.float32(self.deviation)
        if len(queries) > FEW:
            return np.asarray((candidates.representation(len(self.rows)) @ inherited.T).T)
        scores = np.empty((len(queries), len(candidates)), np.float32)
        for start in range(0, len(candidates), ARTISTS):
            some = slice(start, start + ARTISTS)
            # a position of -1 stands for nobody and has weight 0
            gathered = inherited[:, candidates.representatives[some]]  # (queries, artists, k)
            scores[:, some] = np.einsum("qak,ak->qa", gathered, candidates.weights[some])
        return scores


def combine_listens(known: KnownArtists, share: float, n_neighbours: int) -> Colistening:
    """Denoise the similarity of the known artists by a share, and keep its largest values.

    Parameters
    ----------
    share
        See `denoise`.
    n_neighbours
        See `sparse_colistening`.

    Raises
    ------
    ParamsError
        All pairs of too many artists would be kept.
    """
    similarity, factors = known.similarity, known.factors
    if isinstance(similarity, np.ndarray):
        mixed = denoise(similarity, factors, share)
        return sparse_colistening(known.rows, mixed, n_neighbours)
    if share and factors.shape[1] and not n_neighbours:
        raise ParamsError(
            "params.yaml: catalogue.collaborative_neighbours",
            f"found 0, which keeps all pairs of {len(known.rows)} artists",
            remedy="set it to 100, or catalogue.collaborative_denoised to 0",
        )
    return _combine_by_blocks(known.rows, similarity, factors, share, n_neighbours)


def _combine_by_blocks(
    rows: Ints, similarity: "csr_array", factors: np.ndarray, share: float, n_neighbours: int
) -> Colistening:
    """Do what `denoise` and `sparse_colistening` do, in memory proportional to the artists.

    Means and deviations of all pairs follow from sums over artists: that of the cosines is the
    square of the sum of their vectors.
    """
    from scipy.sparse import csr_array, diags_array

    n, pairs = similarity.shape[0], max(similarity.shape[0] * (similarity.shape[0] - 1), 1)
    apart = csr_array(similarity - diags_array(similarity.diagonal()))
    apart.eliminate_zeros()
    deviation = _deviation(apart.sum(dtype=np.float64), np.square(apart.data, dtype=float), pairs)
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    units = factors / np.maximum(lengths, SMALLEST_DEVIATION)
    squares = np.square(units, dtype=np.float64).sum(axis=1)  # 1, or 0 without factors
    total = float(np.square(units.sum(axis=0, dtype=np.float64)).sum() - squares.sum())
    gram = units.T.astype(np.float64) @ units
    of_cosine = _deviation(total, np.append(gram.ravel() ** 2, -(squares**2)), pairs)
    if not share or of_cosine < SMALLEST_DEVIATION:
        share, scale, least = 0.0, 0.0, 0.0
        kept = _largest_of_rows(apart, n_neighbours)
    else:
        scale = share * deviation / of_cosine
        neighbours = np.empty((n, min(n_neighbours, n - 1)), np.int32)
        least = np.inf
        for block in np.array_split(np.arange(n), math.ceil(n * n / PAIRS)):
            itself = np.arange(len(block)), block
            cosine = units[block] @ units.T
            cosine[itself] = np.inf
            least = min(least, float(cosine.min()))
            mixed = scale * cosine + (1 - share) * apart[block].toarray()
            mixed[itself] = -np.inf
            k = neighbours.shape[1]
            neighbours[block] = np.argpartition(mixed, -k, axis=1)[:, -k:]
        of = np.repeat(np.arange(n, dtype=np.int32), neighbours.shape[1])
        ones = np.ones(neighbours.size, np.bool_)
        kept = csr_array((ones, (of, neighbours.ravel())), shape=(n, n))
    both = csr_array(kept + kept.T)
    both.sort_indices()
    row, column = np.repeat(np.arange(n), np.diff(both.indptr)), both.indices
    values = (1 - share) * np.asarray(apart[row, column], np.float32).ravel()
    if scale:
        values += np.float32(scale) * (_cosines(units, row, column) - np.float32(least))
        at, other = np.repeat(np.arange(n), np.diff(apart.indptr)), apart.indices
        together = float((apart.data * _cosines(units, at, other)).sum(dtype=np.float64))
        covariance = together / pairs - apart.sum() / pairs * total / pairs
        variance = ((1 - share) * deviation) ** 2 + (scale * of_cosine) ** 2
        deviation = float(np.sqrt(variance + 2 * (1 - share) * scale * covariance))
    return Colistening(
        rows=rows,
        indptr=both.indptr.astype(np.int64),
        indices=column.astype(np.int32),
        values=values.astype(np.float32),
        deviation=max(deviation, SMALLEST_DEVIATION),
    )


def _deviation(total: float, squares: np.ndarray, n: int) -> float:
    return float(np.sqrt(max(squares.sum() / n - (total / n) ** 2, 0.0)))


def _cosines(
    units: np.ndarray, rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer]
) -> Floats:
    """Compute the inner products of pairs of rows, (pairs,)."""
    products = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), PAIRS // 256):
        some = slice(start, start + PAIRS // 256)
        products[some] = np.einsum("pf,pf->p", units[rows[some]], units[columns[some]])
    return products


def _largest_of_rows(matrix: "csr_array", n: int) -> "csr_array":
    """Mark the `n` largest entries of each row; 0: all. Ties at the end are kept."""
    from scipy.sparse import csr_array

    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((-matrix.data, row))
    rank = np.arange(len(row)) - matrix.indptr[row]
    least = np.zeros(matrix.shape[0], matrix.dtype)
    at_end = order[rank == n - 1]
    least[row[at_end]] = matrix.data[at_end]
    large = matrix.data >= least[row]
    entries = row[large], matrix.indices[large]
    return csr_array((np.ones(len(entries[0]), np.bool_), entries), shape=matrix.shape)


def denoise(similarity: np.ndarray, factors: np.ndarray, share: float) -> np.ndarray:
    """Replace a share of the similarity by the cosine of listener factors, (known, known).

    With `S` the similarity, `C` the cosine and deviations over all two different artists:
    `(1 - share) S + share sd(S) / sd(C) (C - min C)`. The cosine is on the scale of the similarity
    and not below 0, as sparse co-listening wants it. Without factors the similarity stays.

    Parameters
    ----------
    similarity
        (known, known).
    factors
        (known, n_factors); their length does not matter.

    Examples
    --------
    Nobody listens to both the first and the second artist, but the same others are heard with both:

    >>> similarity = np.array([[1.0, 0.0, 0.4], [0.0, 1.0, 0.2], [0.4, 0.2, 1.0]])
    >>> factors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> denoise(similarity, factors, 0.5).round(2)[0].tolist()
    [1.0, 0.17, 0.2]
    """
    different = ~np.eye(len(similarity), dtype=bool)
    if not share or not factors.shape[1] or not different.any():
        return similarity
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    units = factors / np.maximum(lengths, SMALLEST_DEVIATION)
    cosine = units @ units.T
    deviations = [each[different].std(dtype=np.float64) for each in (similarity, cosine)]
    if deviations[1] < SMALLEST_DEVIATION:
        return similarity
    scale = deviations[0] / deviations[1]
    mixed = (1 - share) * similarity + share * scale * (cosine - cosine[different].min())
    return np.where(different, mixed, similarity).astype(similarity.dtype)


def sparse_colistening(rows: Ints, similarity: np.ndarray, n_neighbours: int = 0) -> Colistening:
    """Keep the similarities above 0 of two different artists.

    Parameters
    ----------
    rows
        (known,): rows of the known artists in the catalogue.
    similarity
        (known, known).
    n_neighbours
        A similarity is kept if it is among so many of the largest of either artist; 0: all.
    """
    n_known = len(similarity)
    different = ~np.eye(n_known, dtype=bool)
    apart = np.where(different, similarity, 0)
    deviation = float(apart[different].std(dtype=np.float64)) if n_known > 1 else 0.0
    if 0 < n_neighbours < n_known:
        least = np.partition(apart, -n_neighbours, axis=1)[:, -n_neighbours, None]
        large = apart >= least
        apart[~(large | large.T)] = 0
    at, indices = np.nonzero(apart)
    return Colistening(
        rows=rows,
        indptr=np.concatenate([[0], np.cumsum(np.bincount(at, minlength=n_known))]),
        indices=indices.astype(np.int32),
        values=apart[at, indices].astype(np.float32),
        deviation=max(deviation, SMALLEST_DEVIATION),
    )


def represent(
    sound: Floats, known: Ints, inverse_temperature: float, n: int
) -> tuple[npt.NDArray[np.int32], Floats]:
    """Find the known artists that stand for some new ones, and how much each counts.

    Parameters
    ----------
    sound
        Standardised scores, (artists, catalogue's artists).
    known
        (known,): rows of the known artists, columns of `sound`.
    n
        How many stand for one; 0: all.

    Returns
    -------
    representatives
        (artists, n): positions in `known`, nearest first.
    weights
        (artists, n): softmax of their scores times the inverse temperature.

    Examples
    --------
    >>> sound = np.array([[0.0, 2.0, 1.0]], np.float32)
    >>> positions, weights = represent(sound, np.array([0, 1, 2]), 1.0, n=2)
    >>> positions.tolist(), weights.round(2).tolist()
    ([[1, 2]], [[0.73, 0.27]])
    """
    scores = sound[:, known]
    kept = min(n or len(known), len(known))
    order = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
    nearest = np.take_along_axis(scores, order, axis=1)
    ranked = np.argsort(-nearest, axis=1, kind="stable")
    order = np.take_along_axis(order, ranked, axis=1)
    logits = np.float32(inverse_temperature) * np.take_along_axis(nearest, ranked, axis=1)
    weights: Floats = np.exp(logits - logits[:, :1])
    return order.astype(np.int32), weights / weights.sum(axis=1, keepdims=True)


def popularity_scores(listeners: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Standardise the logarithm of the known artists' numbers of listeners, (known,).

    Examples
    --------
    >>> popularity_scores(np.array([10, 100, 1000])).round(3).tolist()
    [-1.225, 0.0, 1.225]
    """
    logarithms = np.log(listeners)
    deviation = max(logarithms.std(), SMALLEST_DEVIATION)
    scores: npt.NDArray[np.float64] = (logarithms - logarithms.mean()) / deviation
    return scores
