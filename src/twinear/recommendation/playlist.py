"""Recordings in an order in which each sounds like the one before: playlists.

With an end, the playlist is a path. Waypoints are evenly spaced between the embeddings of the two
ends: on the great circle for embeddings of length 1, else on the straight line. The candidates for
a place are the recordings nearest to its waypoint. Without an end every waypoint is the start.

The distance of two embeddings is the logit of their score, which does not saturate as the score
does, turned and scaled: 0 for the same embedding, 1 for a typical pair of different artists.
With the cosine head it is proportional to the squared distance, so even steps cost less than
uneven ones of the same sum. Among the paths of candidates, a beam search minimises

    sum of steps + distances to waypoints + number of steps * longest step + returns

where a return is an artist among the last few (`APART`) again. A state of the beam is a path; of
the paths that end at the same recording the best is kept. No artist stands twice in a row and no
recording twice. A path that could not be completed under these rules is never begun, so that a
playlist is found wherever one exists.

This module knows neither files nor networks: it is given embeddings and a head.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from twinear.acquisition.previews.deduplication import plain_title
from twinear.base.errors import DataError
from twinear.catalogue.head import sigmoid

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Logit = Callable[[Floats, Floats], Floats]  # a head's: (a, units), (b, units) -> (a, b)

TRACKING = 1.0  # weight of the distances to the waypoints
RETURN = 0.5  # what a return of an artist costs: half a typical distance
APART = 10  # an artist among the last so many returns
CANDIDATES = 256  # recordings considered for a place
FEW = 20_000  # recordings that are all considered
CELLS = 2**18  # pairs of path and candidate that are scored together
BEAM = (32, 128)  # least and largest number of paths that are kept
BLOCK = 4096  # embeddings scored at a time
# Embeddings of one audio differ by less, relative to the largest number: those of a catalogue come
# from spectrograms in half precision.
SAME = 0.01
SAMPLE = 256  # recordings on each side of the random pairs

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
    album: str = ""  # "" if unknown
    # of the clip in a catalogue, or of the item in a library
    row: int | None = field(default=None, compare=False)


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
    """A recording with which a playlist begins or ends, of the source or not."""

    entry: PlaylistEntry
    embedding: Floats  # (units,)
    instead_of: str = ""  # what was asked for, if this is only the recording nearest to it


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaylistSource:
    """The recordings that a playlist may use.

    Attributes
    ----------
    embeddings
        (recordings, units), float32; may be memory-mapped.
    artists
        (recordings,), equal numbers for equal artists.
    entries
        Gives the entries of some rows.
    logit
        The head that goes with the embeddings.
    """

    embeddings: Floats
    artists: Ints
    entries: Callable[[Iterable[int]], list[PlaylistEntry]]
    logit: Logit


def make_playlist(
    source: PlaylistSource, start: PlaylistEnd, end: PlaylistEnd | None, length: int
) -> Playlist:
    """Choose recordings of a source and order them.

    Of a large source only the recordings near the way are looked at.

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
    rows = np.arange(len(source.embeddings))
    if len(rows) > FEW:
        near = nearest_rows(
            source.embeddings,
            source.artists,
            waypoints if end else waypoints[:1],
            source.logit,
            n=2 * _pool_size(length),  # some are copies of others
            per_artist=length,
        )
        rows = np.unique(np.concatenate(near))
    for each in ends:  # a file of its own may be a copy of a clip without the same tags
        apart = np.abs(source.embeddings[rows] - each.embedding).max(axis=1)
        rows = rows[apart > SAME * np.abs(each.embedding).max()]
    entries = [*(each.entry for each in ends), *source.entries(rows.tolist())]
    embeddings = np.stack([each.embedding for each in ends])
    _, artists = np.unique([entry.artist for entry in entries], return_inverse=True)
    recordings = Recordings(
        embeddings=np.concatenate([embeddings, source.embeddings[rows]]),
        artists=artists,
        identity=identify_recordings(entries),
    )
    order = order_playlist(recordings, source.logit, 0, 1 if end else None, length)
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
    recordings: Recordings, logit: Logit, start: int, end: int | None, length: int
) -> PlaylistOrder:
    """Choose recordings and order them, from `start` and, if it is given, to `end`.

    Deterministic. The memory grows with the recordings, not with their square.

    Parameters
    ----------
    logit
        The logit of the score of all pairs; any other similarity of which larger is nearer will do.
    start, end
        Rows.

    Raises
    ------
    DataError
        No such playlist exists: fewer than two recordings asked for, the ends are one recording,
        one artist only, or too few recordings or artists for the length.
    """
    ends = [start] if end is None else [start, end]
    rows = _distinct_rows(recordings.identity, ends, length)
    embeddings = recordings.embeddings
    _, artists = np.unique(recordings.artists, return_inverse=True)
    spare = np.bincount(artists[rows], minlength=artists.max() + 1)
    last = None if end is None else int(artists[end])
    _require_possible(spare, int(artists[start]), last, length)

    # So many of an artist that a place can be filled whatever a path used before: of many artists
    # there are always others, also among the paths that are kept; of few artists all recordings
    # are candidates, and paths that could not be completed are not begun.
    n_candidates = _pool_size(length)
    per_artist = n_candidates // (length + 1)
    few_artists = np.count_nonzero(spare) <= length
    if few_artists:
        n_candidates, per_artist = len(rows), length
    waypoints = _waypoints(embeddings[start], embeddings[ends[-1]], length)
    n_between = length - len(ends)
    pools = nearest_rows(
        embeddings[rows],
        artists[rows],
        waypoints[:1] if end is None else waypoints[1 : 1 + n_between],
        logit,
        n=n_candidates,
        per_artist=per_artist,
    )
    pools = [rows[pool] for pool in pools] * (n_between if end is None else 1)
    random = _random_logits(embeddings, artists, start, logit)
    search = _Search(
        embeddings=embeddings,
        artists=artists,
        distance=_distance(logit, embeddings[start], random),
        spare=spare if few_artists else None,
        last=last,
        length=length,
    )
    paths = _Paths(rows=np.array([[start]]), costs=np.zeros(1), worst=np.zeros(1))
    for place, pool in enumerate(pools, start=1):
        paths = search.extend(paths, pool, waypoints[place], n_left=n_between - place)
    if end is not None:
        paths = search.extend(paths, np.array([end]), waypoints[-1], n_left=None)
    order = paths.rows[0]
    steps = np.diagonal(logit(embeddings[order[:-1]], embeddings[order[1:]]))
    return PlaylistOrder(
        rows=order,
        scores=sigmoid(steps.copy()),
        random_score=float(sigmoid(random.copy()).mean()),
        nearer=np.searchsorted(random, steps) / len(random),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Paths:
    """Beginnings of playlists, the best first."""

    rows: Ints  # (paths, places)
    costs: np.ndarray  # (paths,), without the worst step
    worst: np.ndarray  # (paths,), the longest step


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """The beam search of this module's docstring."""

    embeddings: Floats  # (recordings, units)
    artists: Ints  # (recordings,), from 0
    distance: Callable[[Floats, Floats], np.ndarray]
    spare: Ints | None  # (artists,), recordings between the ends; None: there are always enough
    last: int | None  # the artist of the end
    length: int

    def extend(
        self, paths: _Paths, candidates: Ints, waypoint: Floats, n_left: int | None
    ) -> _Paths:
        """Put a candidate at the end of each path, and keep the best.

        Parameters
        ----------
        candidates
            Rows for the next place.
        n_left
            How many places are then left before the end; None for the end itself.
        """
        recent = self.artists[paths.rows[:, -APART:]]  # (paths, up to APART)
        returns = (recent[:, :, None] == self.artists[candidates]).any(axis=1)
        embeddings = self.embeddings[candidates]
        steps = self.distance(self.embeddings[paths.rows[:, -1]], embeddings)
        costs = paths.costs[:, None] + steps + TRACKING * self.distance(waypoint[None], embeddings)
        costs += RETURN * returns
        worst = np.maximum(paths.worst[:, None], steps)
        total = costs + (self.length - 1) * worst  # (paths, candidates)
        total[self._blocked(paths.rows, candidates, n_left)] = np.inf
        best = total.argmin(axis=0)  # (candidates,), the path that each continues
        totals = total[best, np.arange(len(candidates))]
        kept = np.argsort(totals, kind="stable")[: np.clip(CELLS // len(candidates), *BEAM)]
        kept = kept[np.isfinite(totals[kept])]
        best = best[kept]
        return _Paths(
            rows=np.column_stack([paths.rows[best], candidates[kept]]),
            costs=costs[best, kept],
            worst=worst[best, kept],
        )

    def _blocked(self, paths: Ints, candidates: Ints, n_left: int | None) -> np.ndarray:
        """Which candidates cannot follow which paths, (paths, candidates)."""
        artists = self.artists[candidates]
        blocked: np.ndarray = self.artists[paths[:, -1]][:, None] == artists
        column = np.full(len(self.artists), -1)  # of a row among the candidates
        column[candidates] = np.arange(len(candidates))
        used = column[paths]  # (paths, places)
        path, place = np.nonzero(used >= 0)
        blocked[path, used[path, place]] = True
        if self.spare is not None and n_left is not None:
            possible = _can_complete(self.spare, self.artists[paths[:, 1:]], self.last, n_left)
            blocked |= ~possible[:, artists]
        return blocked


def nearest_rows(
    embeddings: Floats, artists: Ints, waypoints: Floats, logit: Logit, n: int, per_artist: int
) -> list[Ints]:
    """Find for each waypoint the `n` nearest rows, at most `per_artist` of an artist, best first.

    The embeddings are scored by blocks.
    """
    found = [np.empty(0, np.int64) for _ in waypoints]
    logits = [np.empty(0, np.float32) for _ in waypoints]
    for start in range(0, len(embeddings), BLOCK):
        block = np.array(embeddings[start : start + BLOCK], np.float32)  # not a view of a file
        rows = np.arange(start, start + len(block))
        for at, scored in enumerate(logit(waypoints, block)):
            candidates = np.concatenate([found[at], rows])
            values = np.concatenate([logits[at], scored])
            best = np.argsort(-values, kind="stable")
            best = best[_count_before(artists[candidates[best]]) < per_artist][:n]
            found[at], logits[at] = candidates[best], values[best]
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
    logit: Logit, embedding: Floats, random: np.ndarray
) -> Callable[[Floats, Floats], np.ndarray]:
    """Make the distance of this module's docstring."""
    highest = float(logit(embedding[None], embedding[None])[0, 0])
    unit = highest - float(np.median(random))
    if unit <= 0:  # all sound the same
        unit = 1.0

    def distance(u: Floats, v: Floats) -> np.ndarray:
        return (highest - logit(u, v)) / np.float32(unit)

    return distance


def _random_logits(embeddings: Floats, artists: Ints, start: int, logit: Logit) -> np.ndarray:
    """Score random pairs of different artists, sorted; there is at least one."""
    sample = np.random.default_rng(0).permutation(len(artists))
    left = np.append(sample[:SAMPLE], start)
    right = np.append(sample[-SAMPLE:], np.argmax(artists != artists[start]))
    logits = logit(embeddings[left], embeddings[right])
    return np.sort(logits[artists[left][:, None] != artists[right]])


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
        remedy = f"ask for {longest}" if longest else "bring more artists"
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
    return np.asarray(np.minimum(spare, most).sum(axis=-1) >= n)


def _pool_size(length: int) -> int:
    return max(CANDIDATES, 2 * (length + 1))
