"""Where clips come from: sources with enough artists to be held out one at a time.

The source of a clip is what a column of clips.csv says (`clips.source_column`): a service, an
archive, a label. Recordings of one source share more than their music: level, upper limit, length,
the choice of excerpt. A scorer that has learned one source may be worse on another, which folds of
artists alone cannot show.

Values with few artists count as one source together, and so do clips without a value. The column of
an import, which names the original file of every clip, is therefore no source of its own.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sources:
    """The sources of some clips.

    Attributes
    ----------
    values
        The values of the column that make up each source; several where they are joined.
    of_clips
        The source of each clip, a row of `values`, (clips,).
    of_artists
        Artist -> the source that most of its clips come from; of equally many the first.
    several
        The artists with clips of several sources.
    """

    values: tuple[tuple[str, ...], ...]
    of_clips: Ints
    of_artists: dict[str, int]
    several: frozenset[str]


def find_sources(clips: pd.DataFrame, least: int) -> Sources:
    """Find the sources of clips (artist, source), sorted by value, with the joined one last.

    Parameters
    ----------
    clips
        Without a column `source` all come from one.
    least
        A value that most clips of fewer artists have is joined with the other such values.

    Examples
    --------
    >>> clips = pd.DataFrame({"artist": [*"aabcd"], "source": ["x", "y", "y", "y", "z"]})
    >>> sources = find_sources(clips, least=2)
    >>> sources.values
    (('y',), ('x', 'z'))
    >>> sources.of_artists, sorted(sources.several)
    ({'a': 0, 'b': 0, 'c': 0, 'd': 1}, ['a'])
    """
    artist = clips["artist"].to_numpy(str)
    value = clips["source"].to_numpy(str) if "source" in clips else np.full(len(clips), "")
    names, of_values = np.unique(value, return_inverse=True)
    counts = np.bincount(list(_main(artist, of_values).values()), minlength=len(names))
    order = [*np.flatnonzero(counts >= least), *np.flatnonzero(counts < least)]
    n_large = int((counts >= least).sum())
    number = np.empty(len(names), np.int64)
    number[order] = np.minimum(np.arange(len(names)), n_large)
    of_clips = number[of_values]
    table = pd.DataFrame({"artist": artist, "source": of_clips}).drop_duplicates()
    return Sources(
        values=tuple(
            tuple(map(str, names[number == source])) for source in range(number.max() + 1)
        ),
        of_clips=of_clips,
        of_artists=_main(artist, of_clips),
        several=frozenset(table["artist"][table["artist"].duplicated()]),
    )


def _main(artist: npt.NDArray[np.str_], source: Ints) -> dict[str, int]:
    """Find the source of most clips of each artist."""
    counts = pd.DataFrame({"artist": artist, "source": source}).value_counts().reset_index()
    counts = counts.sort_values(["artist", "count", "source"], ascending=[True, False, True])
    first = counts.drop_duplicates("artist")
    return dict(zip(first["artist"], map(int, first["source"]), strict=True))
