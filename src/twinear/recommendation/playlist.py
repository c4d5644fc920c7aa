"""Recordings in an order in which each sounds like the one before: playlists.

With an end, the playlist is a path. Waypoints are evenly spaced between the embeddings of the two
ends: on the great circle for embeddings of length 1, else on the straight line. The candidates for
a place are the recordings nearest to its waypoint. Without an end every waypoint is the start.

The distance of two embeddings is taken from the logit of their score, which does not saturate as
the score does: 0 for the same embedding, 1 for a typical pair of recordings of different artists.
With the cosine head it is proportional to the squared distance, so even steps cost less than
uneven ones of the same sum. Among the paths of candidates, a beam search minimises

    sum of steps + sum of distances to the waypoints + places * worst step + returns

where a return is an artist among the last few (`APART`) again. A state of the beam is a path; of
the paths that end at the same recording the best is kept. No artist stands twice in a row and no
recording twice. A path that could not be completed under these rules is never begun, so that a
playlist is found wherever one exists.

This module knows neither files nor networks: it is given embeddings and a function that scores
them.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from twinear.acquisition.previews.deduplication import plain_title
from twinear.base.errors import DataError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Score = Callable[[Floats, Floats], np.ndarray]  # (a, units), (b, units) -> (a, b), in (0, 1)

TRACKING = 1.0  # weight of the distances to the waypoints
RETURN = 0.5  # what a return of an artist costs: half a typical distance
APART = 10  # an artist among the last so many returns
CANDIDATES = 256  # recordings considered for a place
FEW = 20_000  # recordings that are all considered
CELLS = 2**18  # pairs of path and candidate that are scored together
BEAM = (32, 128)  # least and largest number of paths that are kept
BLOCK = 4096  # embeddings scored at a time
SAMPLE = 256  # recordings on each side of the random pairs
EPSILON = 1e-7  # scores nearer to 0 or 1 are not told apart

PLACE = "playlist"


@dataclass(frozen=True, kw_only=True)
class PlaylistEntry:
    """A recording as a playlist names it."""

    file: Path
    artist: str  # id
    name: str  # of the artist
    title: str  # "" if unknown
    seconds: float  # 0 if unknown
    sha256: str = ""  # of the audio; "" if unknown


@dataclass(frozen=True, kw_only=True, eq=False)
class Recordings:
    """What an order is found for.

    Attributes
    ----------
    embeddings
        (recordings, units), float32.
    artists
        (recordings,), equal numbers for equal artists.
    identity
        (recordings,), equal numbers for copies of one recording.
    """

    embeddings: Floats
    artists: Ints
    identity: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaylistOrder:
    """Recordings in order, and how near the steps are.

    Attributes
    ----------
    rows
        (length,), rows of the recordings.
    scores
        (length - 1,), the score of each step, in (0, 1).
    random_score
        The mean score of random pairs of recordings of different artists.
    nearer
        (length - 1,), the share of these pairs whose score is below that of the step.
    """

    rows: Ints
    scores: np.ndarray
    random_score: float
    nearer: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Playlist:
    """A playlist, and how near its steps are."""

    entries: list[PlaylistEntry]
    order: PlaylistOrder


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaylistEnd:
    """A recording with which a playlist begins or ends, of the collection or not."""

    entry: PlaylistEntry
    embedding: Floats  # (units,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """The recordings that a playlist may use.

    Attributes
    ----------
    embeddings
        (recordings, units), float32; may be memory-mapped.
    artists
        (recordings,), equal numbers for equal artists.
    entries
        Gives the entries of some rows.
    score
        Scores embeddings.
    """

    embeddings: Floats
    artists: Ints
    entries: Callable[[Ints], list[PlaylistEntry]]
    score: Score


def make_playlist(
    collection: Collection, start: PlaylistEnd, end: PlaylistEnd | None, length: int
) -> Playlist:
    """Choose recordings of a collection and order them.

    Of a large collection only the recordings near the way are looked at.

    Parameters
    ----------
    end
        With it the playlist is a path; else it stays near the start.
    length
        In recordings, the ends included.

    Raises
    ------
    DataError
        As `order_playlist`.
    """
    ends = [start] if end is None else [start, end]
    waypoints = _waypoints(ends[0].embedding, ends[-1].embedding, length)
    rows = np.arange(len(collection.embeddings))
    if len(rows) > FEW:
        near = nearest_rows(
            collection.embeddings,
            collection.artists,
            waypoints if end else waypoints[:1],
            collection.score,
            n=2 * _pool_size(length),  # some are copies of others
            per_artist=length,
        )
        rows = np.unique(np.concatenate(near))
    entries = [*(each.entry for each in ends), *collection.entries(rows)]
    embeddings = np.stack([each.embedding for each in ends])
    _, artists = np.unique([entry.artist for entry in entries], return_inverse=True)
    recordings = Recordings(
        embeddings=np.concatenate([embeddings, collection.embeddings[rows]]),
        artists=artists,
        identity=identify_recordings(entries),
    )
    order = order_playlist(recordings, collection.score, 0, 1 if end else None, length)
    return Playlist(entries=[entries[row] for row in order.rows], order=order)


def identify_recordings(entries: Sequence[PlaylistEntry]) -> Ints:
    """Number the recordings: copies have one number.

    A copy is the same file, has the same audio, or the same artist and title; editions of a title
    ("Help! (2009 Remaster)") are one. A blank title says nothing.

    Examples
    --------
    >>> def entry(title: str) -> PlaylistEntry:
    ...     return PlaylistEntry(
    ...         file=Path(title), artist="beatles", name="The Beatles", title=title, seconds=0
    ...     )
    >>> identify_recordings([entry("Help!"), entry("Help! (Mono)"), entry("Help! (Live)")])
    array([0, 0, 1])
    """
    keys: dict[Hashable, int] = {}
    pairs: list[tuple[int, int]] = []
    for row, entry in enumerate(entries):
        title = plain_title(entry.title)
        own: Iterable[Hashable] = (
            entry.file,
            entry.sha256 and ("sha256", entry.sha256),
            title and (entry.artist, title),
        )
        pairs += [(row, keys.setdefault(key, len(keys))) for key in own if key]
    at = np.array(pairs).T if pairs else np.empty((2, 0), int)
    n, size = len(entries), len(entries) + len(keys)
    # entries and their keys are the nodes of a graph; its parts are the recordings
    graph = coo_array((np.ones(at.shape[1]), (at[0], n + at[1])), shape=(size, size))
    identity: Ints = connected_components(graph, directed=False)[1][:n].astype(np.int64)
    return identity


def order_playlist(
    recordings: Recordings, score: Score, start: int, end: int | None, length: int
) -> PlaylistOrder:
    """Choose recordings and order them, from `start` and, if it is given, to `end`.

    Deterministic. The memory grows with the recordings, not with their square.

    Raises
    ------
    DataError
        No such playlist exists: fewer than two recordings asked for, the ends are one recording,
        one artist only, or too few recordings or artists for the length.
    """
    ends = [start] if end is None else [start, end]
    rows = _distinct_rows(recordings.identity, ends, length)
    embeddings, artists = recordings.embeddings, recordings.artists
    codes, artists = np.unique(artists, return_inverse=True)
    spare = np.bincount(artists[rows], minlength=len(codes))  # recordings of each artist
    last = None if end is None else int(artists[end])
    _require_possible(spare, int(artists[start]), last, length)
    n_places = length - len(ends)

    n_artists = int(np.count_nonzero(spare))
    n_candidates = _pool_size(length)
    # So many of an artist that the places can be filled whatever the path used before: with many
    # artists there are always enough others, with few artists all recordings are candidates.
    per_artist = n_candidates // (length + 1)
    if n_artists <= length:
        n_candidates, per_artist = len(rows), length
    waypoints = _waypoints(embeddings[start], embeddings[ends[-1]], length)
    pools = nearest_rows(
        embeddings[rows],
        artists[rows],
        waypoints[1 : 1 + n_places] if end is not None else waypoints[:1],
        score,
        n=n_candidates,
        per_artist=per_artist,
    )
    pools = [rows[pool] for pool in pools] if end is not None else [rows[pools[0]]] * n_places
    random = _score_random_pairs(embeddings, artists, start, score)
    distance = _distance(score, embeddings[start], random)

    paths = np.array([[start]])  # (paths, places)
    costs, worst = np.zeros(1), np.zeros(1)  # (paths,)
    column = np.full(len(embeddings), -1)  # of a row among the candidates
    for place in range(1, length):
        is_end = place > n_places
        candidates = np.array([end]) if is_end else pools[place - 1]
        n_left = n_places - place  # places still to be filled before the end
        latest = artists[paths[:, -APART:]]  # (paths, up to APART)
        own = artists[candidates]
        blocked = latest[:, -1:] == own  # (paths, candidates)
        column[candidates] = np.arange(len(candidates))
        used = column[paths]  # (paths, places)
        column[candidates] = -1
        path, at = np.nonzero(used >= 0)
        blocked[path, used[path, at]] = True
        if not is_end and n_left == 0 and last is not None:
            blocked |= own == last
        elif not is_end and n_artists <= length:
            blocked |= ~_can_complete(spare, artists[paths[:, 1:]], last, n_left)[:, own]
        steps = distance(embeddings[paths[:, -1]], embeddings[candidates])
        tracking = TRACKING * distance(waypoints[place : place + 1], embeddings[candidates])
        returns = (latest[:, :, None] == own).any(axis=1)
        total = costs[:, None] + steps + tracking + RETURN * returns
        farthest = np.maximum(worst[:, None], steps)
        ranked = np.where(blocked, np.inf, total + (length - 1) * farthest)
        best = ranked.argmin(axis=0)  # (candidates,), the path before each
        kept = np.argsort(ranked[best, np.arange(len(candidates))], kind="stable")
        kept = kept[: np.clip(CELLS // len(candidates), *BEAM)]
        kept = kept[np.isfinite(ranked[best[kept], kept])]
        paths = np.column_stack([paths[best[kept]], candidates[kept]])
        costs, worst = total[best[kept], kept], farthest[best[kept], kept]
    order = paths[0]
    scores = np.diagonal(score(embeddings[order[:-1]], embeddings[order[1:]]))
    return PlaylistOrder(
        rows=order,
        scores=scores,
        random_score=float(random.mean()),
        nearer=np.searchsorted(random, scores) / len(random),
    )


def nearest_rows(
    embeddings: Floats, artists: Ints, waypoints: Floats, score: Score, n: int, per_artist: int
) -> list[Ints]:
    """Find for each waypoint the `n` nearest rows, at most `per_artist` of an artist, best first.

    The embeddings are scored by blocks.
    """
    found = [np.empty(0, np.int64) for _ in waypoints]
    scores = [np.empty(0, np.float32) for _ in waypoints]
    for start in range(0, len(embeddings), BLOCK):
        block = np.array(embeddings[start : start + BLOCK], np.float32)  # not a view of a file
        rows = np.arange(start, start + len(block))
        for at, scored in enumerate(score(waypoints, block)):
            candidates = np.concatenate([found[at], rows])
            values = np.concatenate([scores[at], scored])
            best = np.argsort(-values, kind="stable")
            best = best[_count_before(artists[candidates[best]]) < per_artist][:n]
            found[at], scores[at] = candidates[best], values[best]
    return found


def _count_before(values: Ints) -> Ints:
    """Count how often each value occurs before its place.

    Examples
    --------
    >>> _count_before(np.array([5, 7, 5, 5, 7]))
    array([0, 0, 1, 2, 1])
    """
    order = np.argsort(values, kind="stable")
    _, first, inverse = np.unique(values[order], return_index=True, return_inverse=True)
    counts = np.empty(len(values), np.int64)
    counts[order] = np.arange(len(values)) - first[inverse]
    return counts


def _waypoints(u: Floats, v: Floats, n: int) -> Floats:
    """Space `n` embeddings evenly from `u` to `v`, (n, units).

    Examples
    --------
    >>> _waypoints(np.float32([1, 0]), np.float32([0, 1]), 3)
    array([[1.   , 0.   ],
           [0.707, 0.707],
           [0.   , 1.   ]], dtype=float32)
    >>> _waypoints(np.float32([0, 0]), np.float32([4, 2]), 3)[1]
    array([2., 1.], dtype=float32)
    """
    t = np.linspace(0, 1, n)[:, None]
    angle = np.arccos(np.clip(np.dot(u, v), -1, 1))
    # opposite points have no great circle of their own
    if np.allclose([np.linalg.norm(u), np.linalg.norm(v)], 1, atol=1e-3) and 0 < angle < 3.14:
        points = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    else:
        points = (1 - t) * u + t * v
    return np.asarray(points, np.float32)


def _distance(
    score: Score, embedding: Floats, random: np.ndarray
) -> Callable[[Floats, Floats], np.ndarray]:
    """Make the distance of this module's docstring from a score."""

    def logit(scores: np.ndarray) -> np.ndarray:
        exact = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
        return np.asarray(np.log(exact / (1 - exact)))

    highest = float(logit(score(embedding[None], embedding[None]))[0, 0])
    unit = highest - float(np.median(logit(random)))
    if unit <= 0:  # all sound the same
        unit = 1.0

    def distance(u: Floats, v: Floats) -> np.ndarray:
        return (highest - logit(score(u, v))) / unit

    return distance


def _score_random_pairs(embeddings: Floats, artists: Ints, start: int, score: Score) -> np.ndarray:
    """Score random pairs of different artists, sorted; there is at least one."""
    sample = np.random.default_rng(0).permutation(len(artists))
    left = np.append(sample[:SAMPLE], start)
    right = np.append(sample[-SAMPLE:], np.argmax(artists != artists[start]))
    scores = score(embeddings[left], embeddings[right])
    return np.sort(scores[artists[left][:, None] != artists[right]])


def _distinct_rows(identity: Ints, ends: list[int], length: int) -> Ints:
    """Give the rows that may stand between the ends: of each recording the first."""
    if length < 2:
        raise DataError(PLACE, f"length {length}", expected="at least 2 recordings")
    if len(set(identity[ends])) < len(ends):
        found = "begins and ends with the same recording"
        raise DataError(PLACE, found, remedy="name another end, or none")
    rows = np.unique(identity, return_index=True)[1]
    return np.sort(rows[~np.isin(identity[rows], identity[ends])])


def _require_possible(spare: Ints, first: int, last: int | None, length: int) -> None:
    """Raise `DataError` unless there is a playlist of that length."""
    n_ends = 1 if last is None else 2
    lengths = [n + n_ends for n in range(length - n_ends + 1) if _fits(spare, first, last, n)]
    if length in lengths:
        return
    n_artists = len({first, first if last is None else last, *np.flatnonzero(spare).tolist()})
    n_recordings = int(spare.sum()) + n_ends
    if n_artists == 1:
        found, remedy = f"all {n_recordings} recordings are of one artist", "bring other artists"
    else:
        found = f"{n_recordings} recordings of {n_artists} artists are too few for {length}"
        longest = max((each for each in lengths if each > 1), default=0)
        remedy = f"--length {longest}" if longest else "bring more artists"
    raise DataError(PLACE, found, expected="no artist twice in a row", remedy=remedy)


def _can_complete(spare: Ints, used: Ints, last: int | None, n_left: int) -> np.ndarray:
    """Whether paths can be completed after one more recording of each artist, (paths, artists).

    Parameters
    ----------
    spare
        (artists,), how many recordings of each artist there are between the ends.
    used
        (paths, places), the artists of each path after its start.
    n_left
        Places to be filled between that recording and `last`, the artist of the end.
    """
    left = np.tile(spare, (len(used), 1))
    np.subtract.at(left, (np.arange(len(used))[:, None], used), 1)
    possible = np.zeros(left.shape, bool)
    for artist in range(len(spare)):
        left[:, artist] -= 1
        possible[:, artist] = _fits(left, artist, last, n_left)
        left[:, artist] += 1
    return possible


def _fits(spare: Ints, first: int, last: int | None, n: int) -> np.ndarray:
    """Whether `n` places between two artists can be filled, none twice in a row, (...,).

    They can if and only if enough recordings are left when each artist takes at most the places
    that are not adjacent to each other or to its own place at an end.

    Parameters
    ----------
    spare
        (..., artists), how many recordings of each artist there are.

    Examples
    --------
    >>> spare = np.array([5, 1])  # A B A and no more
    >>> [bool(_fits(spare, 0, None, n)) for n in range(4)]
    [True, True, True, False]
    """
    if n == 0:
        return np.full(spare.shape[:-1], first != last)
    most = np.full(spare.shape[-1], (n + 1) // 2)
    most[first] = n // 2
    if last is not None:
        most[last] = (n - 1) // 2 if last == first else n // 2
    return np.minimum(spare, most).sum(axis=-1) >= n


def _pool_size(length: int) -> int:
    return max(CANDIDATES, 2 * (length + 1))
