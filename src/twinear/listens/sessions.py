"""Sessions: the listens of one listener without a long pause.

Listens are sorted by listener and time, wherever they stood in the files, and divided where two
follow each other by more than the gap. Times are whole seconds from 1970 to 2106; those outside
count as the first or the last of these.

All listens of a listener that have a time take part, also those of artists that are dropped later:
an unknown artist between two others does not end a session. Sessions without an artist left are
left out.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from twinear.base.params import PARAMS, Params, parse_params, read_sections
from twinear.compute.jit import compiled
from twinear.listens.rules import Array

Matrix: TypeAlias = csr_array[Any, tuple[int, int]]
Basket = Literal["listener", "session"]

HALF, LOW = np.uint64(32), np.uint64(2**32 - 1)


class BasketParams(Params):
    """What artists have in common when they are similar: listeners, or sessions of a listener.

    Parameters
    ----------
    session_gap_minutes
        A longer pause between the starts of two listens begins a session.
    """

    basket: Basket
    session_gap_minutes: float = Field(gt=0)

    @property
    def session_gap(self) -> int | None:
        """The gap in seconds, rounded down as times are; None if sessions are not needed."""
        return int(60 * self.session_gap_minutes) if self.basket == "session" else None


def read_basket_params(path: Path = PARAMS) -> BasketParams:
    """Read these keys of the section `similarity`; the others are of the next stage."""
    section = read_sections(path).get("similarity", {})
    chosen = {key: section[key] for key in BasketParams.model_fields if key in section}
    return parse_params("similarity", BasketParams, chosen, path)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sessions:
    """Plays of every artist in every session.

    Parameters
    ----------
    plays
        (sessions, artists), int64, at least one in every row; listener by listener, in the order
        of time.
    listener
        (sessions,), int32: the number of the listener of each session, rising from 0.
    """

    plays: Matrix
    listener: Array


class SortedListens(NamedTuple):
    """Listens by listener; a listen is its time and, in the lower half, its artist + 1 or 0."""

    starts: (
        Array  # (listeners + 1,), int64: those of listener i are keys[starts[i] : starts[i + 1]]
    )
    keys: Array  # (listens,), uint64


@compiled
def place(
    lines: tuple[Array, Array, Array], times: Array, positions: Array, listens: SortedListens
) -> None:
    """Copy the listens of some lines (listener, plays, artist + 1 or 0) to their listeners.

    `positions` holds the place of the next listen of each listener, and is moved on.
    """
    listeners, plays, artists = lines
    keys, at = listens.keys, 0
    for i in range(len(listeners)):
        listener = listeners[i]
        if listener >= 0:
            for time in times[at : at + plays[i]]:
                keys[positions[listener]] = np.uint64(time) << HALF | np.uint64(artists[i])
                positions[listener] += 1
        at += plays[i]


def divide(listens: SortedListens, gap: int, n_artists: int) -> Sessions:
    """Divide listens, which are used up, into sessions; `gap` in seconds."""
    for first, last in pairwise(listens.starts):
        listens.keys[first:last].sort()
    starts, listener = _divide(listens, gap)
    entries = listens.keys[: starts[-1]]
    plays = (entries & LOW).astype(np.int64), (entries >> HALF).astype(np.int32)
    matrix = csr_array((*plays, starts), shape=(len(listener), n_artists))
    return Sessions(plays=matrix, listener=listener)


@compiled
def _divide(listens: SortedListens, gap: int) -> tuple[Array, Array]:
    """Replace the sorted keys by an artist and its plays for each artist of each session.

    Returns where the sessions start, (sessions + 1,), and their listeners.
    """
    starts, keys = listens
    n_sessions = 0
    for listener in range(len(starts) - 1):
        for i in range(starts[listener], starts[listener + 1]):
            n_sessions += i == starts[listener] or _pause(keys, i) > gap
    session_starts = np.zeros(n_sessions + 1, np.int64)
    session_listener = np.empty(n_sessions, np.int32)
    session, n = 0, 0
    for listener in range(len(starts) - 1):
        first = starts[listener]
        while first < starts[listener + 1]:
            last = first + 1
            while last < starts[listener + 1] and _pause(keys, last) <= gap:
                last += 1
            artists = np.sort(keys[first:last] & LOW)
            before = np.uint64(0)
            for artist in artists[np.searchsorted(artists, np.uint64(1)) :]:
                if artist != before:
                    keys[n] = (artist - np.uint64(1)) << HALF
                    before = artist
                    n += 1
                keys[n - 1] += np.uint64(1)
            if before:
                session_listener[session] = listener
                session += 1
                session_starts[session] = n
            first = last
    return session_starts[: session + 1], session_listener[:session]


@compiled
def _pause(keys: Array, i: int) -> Any:
    """Return the seconds between a listen and the one before."""
    return np.int64(keys[i] >> HALF) - np.int64(keys[i - 1] >> HALF)
