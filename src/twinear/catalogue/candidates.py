"""Which artists are worth scoring exactly, found without looking at all of them.

The total of a candidate is the sum of what it sounds like, what listeners say, and corrections of
the candidate alone. Two lists are put together, and the union is scored exactly:

- *by sound*: the artists whose pooled embedding (the mean over clips) has the largest inner product
  with the query's. This orders as the siamese score does, and almost so with `pooling: pairs`.
- *by listeners*: the known artists with the largest expected similarity to the query (`inherited`),
  and the artists that those represent, with the largest weights first. Each known artist has a list
  of the artists that it represents: itself, and new ones.

The lists are kept by known artist, in memory-mapped files. An artist in the middle of both lists
may be missed; the benchmark and the report tell how often.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinear.base.errors import DataError
from twinear.catalogue.arrays import AGAIN, map_array
from twinear.catalogue.collaborative import Colistening
from twinear.catalogue.encoded import EncodedArtists, Floats, Ints
from twinear.catalogue.scoring import pool_clips
from twinear.catalogue.search.protocol import Mask, Search

SCORED_ALL = 2000  # so few artists are all scored
BY_SOUND = 500  # artists found by sound, and twice as many as are wanted
BY_LISTENERS = 500  # artists found by listeners, and as many as are wanted
N_LISTS = 300  # known artists whose lists are looked into
LIST_LENGTH = 200  # artists looked at in each, more with a filter
LONGEST_LIST = 1000  # artists kept in each
FEW_EXCLUDED = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class RepresentedArtists:
    """For each known artist the artists that it represents, largest weights first.

    Attributes
    ----------
    offsets
        (known + 1,): the list of known artist `i` is entries `offsets[i]` to `offsets[i + 1]`.
    artists
        (entries,), int32: rows of artists.
    weights
        (entries,), float32: how much the known artist counts for each.
    """

    offsets: Ints
    artists: npt.NDArray[np.int32]
    weights: Floats

    def write(self, folder: Path) -> None:
        """Write three files into a folder that exists."""
        for name in ("offsets", "artists", "weights"):
            np.save(folder / f"represented_{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> "RepresentedArtists":
        """Map what `write` wrote.

        Raises
        ------
        DataError
            Missing, damaged, or of different lengths.
        """
        names = ("offsets", "artists", "weights")
        arrays = {name: map_array(folder / f"represented_{name}.npy") for name in names}
        lists = cls(**arrays)
        if {len(lists.artists), len(lists.weights)} != {int(lists.offsets[-1])}:
            found = f"has lists of {lists.offsets[-1]} artists, files of {len(lists.artists)}"
            raise DataError(folder, found, remedy=AGAIN)
        return lists

    def largest(
        self, inherited: Floats, n: int, allowed: Mask | None = None, length: int = LIST_LENGTH
    ) -> Ints:
        """Find about the `n` artists with the largest expected similarity, in no order.

        Parameters
        ----------
        inherited
            (known,): expected similarity of the query to each known artist.
        length
            How many artists of each list are looked at.

        Examples
        --------
        The first two artists are known, the third is represented by the second of them.

        >>> lists = list_represented(
        ...     np.array([[0, -1], [1, -1], [1, 0]]), np.array([[1, 0], [1, 0], [0.7, 0.3]]), 2
        ... )
        >>> lists.largest(np.array([0.1, 0.9]), n=2).tolist()
        [1, 2]
        """
        known = np.flatnonzero(inherited > 0)
        if len(known) > N_LISTS:
            known = known[np.argpartition(-inherited[known], N_LISTS)[:N_LISTS]]
        starts = self.offsets[known]
        counts = np.minimum(self.offsets[known + 1] - starts, length)
        ends = np.cumsum(counts)
        entries = np.arange(ends[-1] if len(ends) else 0) + np.repeat(
            starts - ends + counts, counts
        )
        artists = self.artists[entries]
        gains = self.weights[entries] * np.repeat(inherited[known], counts)
        if allowed is not None:
            artists, gains = artists[allowed[artists]], gains[allowed[artists]]
        if not len(artists):
            return np.empty(0, np.int64)
        # an artist's row before the bits of its gain, which is above 0: sorted at once, without an
        # order to apply to both
        codes = (artists.astype(np.int64) << 32) | gains.astype(np.float32).view(np.int32)
        codes.sort()
        artists, gains = codes >> 32, codes.astype(np.int32).view(np.float32)
        firsts = np.flatnonzero(np.diff(artists, prepend=-1))
        rows: Ints = artists[firsts]
        if len(rows) <= n:
            return rows
        sums = np.add.reduceat(gains, firsts)
        return np.sort(rows[np.argpartition(-sums, n)[:n]])


def list_represented(
    representatives: npt.NDArray[np.int32], weights: Floats, n_known: int
) -> RepresentedArtists:
    """Turn the table of who represents each artist, (artists, k), into lists of known artists."""
    n_artists, k = representatives.shape
    present = weights.ravel() > 0
    known = representatives.ravel()[present]
    counting = weights.ravel()[present].astype(np.float32, copy=False)
    artists = np.repeat(np.arange(n_artists, dtype=np.int32), k)[present]
    # weights above 0 are in the order of their bits: one sort by known artist, then by weight
    falling = np.uint64(2**32 - 1) - counting.view(np.uint32)
    order = np.argsort((known.astype(np.uint64) << np.uint64(32)) | falling, kind="stable")
    known, artists, counting = known[order], artists[order], counting[order]
    counts = np.bincount(known, minlength=n_known)
    starts = np.cumsum(counts) - counts
    kept = np.arange(len(known)) - np.repeat(starts, counts) < LONGEST_LIST
    return RepresentedArtists(
        offsets=np.concatenate([[0], np.cumsum(np.minimum(counts, LONGEST_LIST))]),
        artists=artists[kept],
        weights=counting[kept],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class CandidateIndex:
    """The searches behind a catalogue.

    Attributes
    ----------
    by_sound
        Over the pooled embeddings of all artists.
    known_by_sound
        Over those of the known artists; None if nothing is known.
    represented
        None if nothing is known.
    """

    by_sound: Search
    known_by_sound: Search | None
    represented: RepresentedArtists | None

    def find(
        self,
        query: EncodedArtists,
        colistening: Colistening | None,
        n: int,
        allowed: Mask,
    ) -> Ints:
        """Find the rows of artists worth scoring, ascending.

        Parameters
        ----------
        query
            One artist.
        n
            How many are wanted in the end: more candidates are found.
        allowed
            (artists,): only these may be found.
        """
        n_allowed = int(np.count_nonzero(allowed))
        if n_allowed <= max(SCORED_ALL, n):
            return np.flatnonzero(allowed)
        # a filter takes a third of the time of a search: a few artists are taken out afterwards
        n_excluded = len(allowed) - n_allowed
        mask, n = (None, n + n_excluded) if n_excluded <= FEW_EXCLUDED else (allowed, n)
        wanted = BY_SOUND + 2 * n
        found: Ints = query.computed.get("nearest", np.empty(0, np.int64))
        found = found[allowed[found]][:wanted]
        if len(found) < wanted:
            found = self.by_sound.search(pool_clips(query), wanted, mask).rows[0]
            found = found[found >= 0]
        if colistening is not None and self.represented is not None:
            length = min(LIST_LENGTH * len(allowed) // n_allowed, LONGEST_LIST)
            inherited = colistening.inherited(query)[0]
            listened = self.represented.largest(inherited, BY_LISTENERS + n, mask, length)
            found = np.concatenate([found, listened])
        found = np.sort(found)  # np.unique hashes, which takes three times as long
        found = found[np.diff(found, prepend=-1) > 0]
        return np.asarray(found[allowed[found]])
