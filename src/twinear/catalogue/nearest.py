"""The nearest artists by sound of each artist of a large catalogue, block by block.

A search finds twice as many artists as are wanted by their pooled embeddings, and their
siamese scores rank them. The scores are exact; an artist that the search misses is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from twinear.catalogue.candidates import BY_SOUND
from twinear.catalogue.collaborative import represent
from twinear.catalogue.csls import N_NEAREST, mean_nearest
from twinear.catalogue.encoded import EncodedArtists, Floats, Ints
from twinear.catalogue.scoring import Scoring, pool_clips
from twinear.catalogue.search.faiss_search import FaissSearch
from twinear.catalogue.search.protocol import Progress, Search

BLOCK = 2048  # artists searched for at a time
FACTOR = 2  # times as many as are wanted, and EXTRA, are found by pooled embeddings
EXTRA = 32
LEAST_PROBE = 16  # lists that are looked into in any case


@dataclass(frozen=True, kw_only=True, eq=False)
class NearestArtists:
    """The nearest by sound of some artists, best first: (artists, n).

    Attributes
    ----------
    positions
        Among the searched artists; -1 where there are fewer.
    sound
        Standardised scores, -inf where there are fewer.
    """

    positions: Ints
    sound: Floats


def nearest_by_blocks(
    scoring: Scoring,
    artists: EncodedArtists,
    rows: Ints,
    search: Search,
    n: int,
    searched: Ints | None = None,
    progress: Progress = iter,
) -> Iterator[tuple[slice, NearestArtists]]:
    """Find the `n` nearest of the artists `rows`, none of which is its own neighbour.

    Parameters
    ----------
    search
        Over the pooled embeddings of the artists, or of those in `searched`.

    Yields
    ------
    The block of `rows`, and its nearest.
    """
    from twinear.catalogue.rerank import rerank  # numba is slow to import; a question needs none

    for start in progress(range(0, len(rows), BLOCK)):
        block = slice(start, min(start + BLOCK, len(rows)))
        queries = artists.select(rows[block])
        positions = search.search(pool_clips(queries), FACTOR * n + EXTRA).rows
        found = positions if searched is None else np.where(positions < 0, -1, searched[positions])
        found = np.where(found == rows[block, None], -1, found)
        sound = scoring.sound(rerank(scoring, queries, artists, found))
        sound[found < 0] = -np.inf
        order = np.argsort(-sound, axis=1, kind="stable")[:, :n]
        sound = np.take_along_axis(sound, order, axis=1)
        positions = np.take_along_axis(positions, order, axis=1)
        positions[np.isneginf(sound)] = -1
        yield block, NearestArtists(positions=positions, sound=sound)


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedArtists:
    """What the corrections need of artists; see `EncodedArtists`."""

    nearness: Floats
    representatives: npt.NDArray[np.int32]
    weights: Floats


def prepare_by_search(
    scoring: Scoring,
    artists: EncodedArtists,
    by_sound: Search,
    known_by_sound: Search | None,
    progress: Progress = iter,
) -> PreparedArtists:
    """Find each artist's nearness, and the known artists that stand for it.

    Parameters
    ----------
    by_sound, known_by_sound
        Over the pooled embeddings of all artists, and of the known ones.
    """
    by_sound = _quick(by_sound)
    n_artists, every = len(artists), np.arange(len(artists))
    nearness = np.empty(n_artists, np.float32)
    for block, nearest in nearest_by_blocks(
        scoring, artists, every, by_sound, N_NEAREST, progress=progress
    ):
        nearness[block] = mean_nearest(nearest.sound)
    colistening = scoring.colistening
    if colistening is None or known_by_sound is None:
        return PreparedArtists(
            nearness=nearness,
            representatives=np.full((n_artists, 1), -1, np.int32),
            weights=np.zeros((n_artists, 1), np.float32),
        )
    known = np.asarray(colistening.rows)
    kept = min(scoring.params.collaborative_artists or len(known), len(known))
    representatives = np.full((n_artists, kept), -1, np.int32)
    weights = np.zeros((n_artists, kept), np.float32)
    representatives[known, 0], weights[known, 0] = np.arange(len(known)), 1
    new = np.setdiff1d(every, known)
    temperature = np.float32(scoring.params.collaborative_inverse_temperature)
    for block, nearest in nearest_by_blocks(
        scoring, artists, new, known_by_sound, kept, known, progress
    ):
        counting = np.exp(temperature * (nearest.sound - nearest.sound[:, :1]))
        representatives[new[block]] = nearest.positions
        weights[new[block]] = counting / counting.sum(axis=1, keepdims=True)
    return PreparedArtists(nearness=nearness, representatives=representatives, weights=weights)


def _quick(search: Search) -> Search:
    """Look into a third of the lists: nearness is a mean, in which one artist counts little."""
    if not isinstance(search, FaissSearch):
        return search
    return replace(search, n_probe=max(search.n_probe // 3, min(search.n_probe, LEAST_PROBE)))


def represent_by_search(
    scoring: Scoring,
    artists: EncodedArtists,
    new: EncodedArtists,
    by_sound: Search,
    known_by_sound: Search | None,
) -> EncodedArtists:
    """Prepare one new artist, to ask about it as about those of a catalogue."""
    pooled = pool_clips(new)
    # so many that a question, also with a filter that allows half of them, need not search again
    nearest = by_sound.search(pooled, 2 * BY_SOUND).rows[0]
    nearest = nearest[nearest >= 0]
    closest = artists.select(nearest[: 2 * FACTOR * N_NEAREST + EXTRA])
    sound = scoring.sound(scoring.siamese(new, closest))
    representatives, weights = new.representatives, new.weights
    if scoring.colistening is not None and known_by_sound is not None:
        n_known = len(scoring.colistening.rows)
        kept = min(scoring.params.collaborative_artists or n_known, n_known)
        # one artist alone can be looked at more closely than in a build
        positions = known_by_sound.search(pooled, 2 * FACTOR * kept + EXTRA).rows[0]
        positions = positions[positions >= 0]
        known = artists.select(scoring.colistening.rows[positions])
        order, weights = represent(
            scoring.sound(scoring.siamese(new, known)),
            np.arange(len(positions)),
            scoring.params.collaborative_inverse_temperature,
            kept,
        )
        representatives = positions[order].astype(np.int32)
    prepared = replace(
        new, nearness=mean_nearest(sound), representatives=representatives, weights=weights
    )
    prepared.computed["nearest"] = nearest
    return prepared
