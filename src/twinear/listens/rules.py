"""The rules that drop rows, in the order in which they apply, and what they say of the lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array: TypeAlias = npt.NDArray[Any]

# rule -> the remedy if it leaves nothing
RULES = {
    "outside_window": "change listens.window",
    "skipped": "lower listens.min_played_seconds",
    "malformed": "every line must have the fields of its format; change listens.format",
    "without_listener": "change listens.columns.listener",
    "bad_plays": "plays must be whole numbers of at least 1; change listens.columns.plays",
    "without_artist": "change listens.columns.artist",
    "without_mbid": "set listens.require_mbid to false",
    "unwanted_name": "change listens.drop_names",
    "without_profile": "set listens.require_profile to false",
    "few_listeners": "lower listens.min_listeners",
}
ERRORS = ("malformed", "without_listener", "bad_plays", "without_artist")  # wrong, not unwanted
NUMBER = {rule: number for number, rule in enumerate(RULES, 1)}
KEPT = 0  # the number of a line that no rule drops


@dataclass(frozen=True, kw_only=True, eq=False)
class LineRules:
    """The rules that depend on the spelling or the listener of a line."""

    spelling: Array  # (spellings,), uint8: the number of the rule that drops it, or `KEPT`
    without_profile: Array  # (listeners,), bool; empty if no listener needs a profile
    summed: bool  # a line stands for as many rows as it has plays


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleCounts:
    """Rows by the rule that dropped them, and by spelling."""

    rows: Array  # (rules + 1,), rows dropped by each; rows[KEPT] were kept
    first_line: Array  # (rules + 1,), the first line that each dropped, -1 if none
    spelling_rows: Array  # (spellings,), of the kept rows
    spelling_plays: Array  # (spellings,)

    @staticmethod
    def zeros(n_spellings: int) -> "RuleCounts":
        """Return the counts before the first line."""
        return RuleCounts(
            rows=np.zeros(len(RULES) + 1, np.int64),
            first_line=np.full(len(RULES) + 1, -1, np.int64),
            spelling_rows=np.zeros(n_spellings, np.int64),
            spelling_plays=np.zeros(n_spellings, np.int64),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ArtistNumbers:
    """The artist of each spelling, and what artists need to stay."""

    of_spelling: Array  # (spellings,), int32
    n: int
    min_listeners: int


# The same three steps in memory and on disk; each consumes what it is called on.


class SummedPlays(Protocol):
    """Plays of every artist by every listener, without the artists of few listeners."""

    @property
    def listeners(self) -> Array:
        """Number of listeners of every artist: (artists,)."""

    @property
    def n_listeners(self) -> int:
        """Number of listeners who have an artist left."""

    @property
    def n_sessions(self) -> int | None:
        """Number of sessions that have an artist left; None where sessions were not asked for."""

    def tables(self) -> Iterator[pa.Table]:
        """Yield listener, artist (number among `most_listened`) and plays, in their order."""

    def session_tables(self) -> Iterator[pa.Table]:
        """Yield listener, session, artist and plays, in the order of sessions and artists."""


Plays = TypeVar("Plays", bound=SummedPlays, covariant=True)


class KeptLines(Protocol[Plays]):
    """The lines that no rule drops."""

    def sum_plays(self, artists: ArtistNumbers, session_gap: int | None) -> Plays:
        """Add up the plays of each listener and artist, and of each session unless gap is None."""


class HeldLines(Protocol[Plays]):
    """All lines, which are read once."""

    def apply(self, rules: LineRules) -> tuple[KeptLines[Plays], RuleCounts]:
        """Apply the rules to every line."""


def most_listened(listeners: Array, min_listeners: int) -> Array:
    """Return the artists with at least so many listeners: most listeners first, then in order.

    Examples
    --------
    >>> most_listened(np.array([1, 5, 2, 5]), min_listeners=2)
    array([1, 3, 2])
    """
    order = np.argsort(-listeners, kind="stable")
    return order[listeners[order] >= min_listeners]
