"""Folds without common artists: every artist is held out once.

The fold of an artist is `sha256(id) mod k`, or that of the text in a column of clips.csv, so that
the folds of another study can be reproduced from its own ids. One fold is test, the next is
validation, the others train. To choose settings, `on="validation"` evaluates the validation folds
and leaves the test fold out of everything, candidates and mutual proximity included.

`cut_sources` holds out every source of clips once, with artists that are disjoint as well: an
artist is asked on the clips of the held-out source alone, and no clip of it, of any source, is
trained on. The other artists keep no clip of the held-out source.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from twinear.artists.clip_table import read_clip_rows, resolve
from twinear.base.errors import DataError, nearest
from twinear.evaluation.dataset import EvaluationData, read_data_clips
from twinear.metrics.ranking_metrics import Bools, Ints
from twinear.spectrograms.sources import Sources
from twinear.split import fold_of

On = Literal["test", "validation"]
MIN_ARTISTS = 3  # to train on, to choose an epoch by, or to rank


@dataclass(frozen=True, kw_only=True)
class Fold:
    """The part of each artist while one fold is held out; ids in the order of the artists."""

    number: int  # of the test fold, or of the source that is held out
    train: tuple[str, ...]
    validation: tuple[str, ...]
    queries: tuple[str, ...]  # evaluated, never trained on
    left_out: tuple[str, ...]  # take no part at all
    # the values of the held-out source: queries have clips of it only, other artists none
    source: tuple[str, ...] | None = None

    @property
    def evaluates_validation(self) -> bool:
        """Whether the queries are the validation artists, which choose the epoch."""
        return self.queries == self.validation

    @property
    def with_listens(self) -> tuple[str, ...]:
        """The artists whose listens may be used."""
        return self.train if self.evaluates_validation else self.train + self.validation


def cut_folds(artists: Sequence[str], fold: Ints, n_folds: int, on: On, least: int) -> list[Fold]:
    """Hold out every fold once.

    `artists` are ids, `fold` (artists,) is from 0 to `n_folds` - 1. `on` is the fold that is
    evaluated; none may have fewer than `least` artists.

    Raises
    ------
    DataError
        A fold with too few artists.

    Examples
    --------
    >>> folds = cut_folds([*"abcdefghi"], np.arange(9) % 3, 3, "test", least=3)
    >>> folds[0].queries, folds[0].validation, folds[0].train
    (('a', 'd', 'g'), ('b', 'e', 'h'), ('c', 'f', 'i'))
    """
    if n_folds < 3:
        raise DataError("folds", f"{n_folds}", expected="3 or more: train, validation, test")
    least = max(least, MIN_ARTISTS)
    members = [
        tuple(artist for artist, at in zip(artists, fold, strict=True) if at == number)
        for number in range(n_folds)
    ]
    for number, ids in enumerate(members):
        if len(ids) < least:
            raise DataError(
                f"fold {number} of {n_folds}",
                f"has {len(ids)} of {len(artists)} artists",
                expected=f"at least {least}",
                remedy="bring more artists with listens and clips, take fewer folds, or lower "
                "split.min_test",
            )
    folds = []
    for number, test in enumerate(members):
        following = (number + 1) % n_folds
        others = [ids for at, ids in enumerate(members) if at not in (number, following)]
        folds.append(
            Fold(
                number=number,
                train=tuple(artist for ids in others for artist in ids),
                validation=members[following],
                queries=test if on == "test" else members[following],
                left_out=() if on == "test" else test,
            )
        )
    return folds


def cut_sources(artists: Sequence[str], sources: Sources, n_folds: int, least: int) -> list[Fold]:
    """Hold out every source once; its queries are the artists with most clips of it.

    One in `n_folds` of the other artists is there for validation, by its id.

    Raises
    ------
    DataError
        Fewer than two sources, or one with fewer than `least` artists.

    Examples
    --------
    >>> from twinear.spectrograms.sources import find_sources
    >>> ids = [f"artist {row}" for row in range(40)]
    >>> clips = pd.DataFrame({"artist": ids, "source": ["radio"] * 20 + ["shop"] * 20})
    >>> radio, shop = cut_sources(ids, find_sources(clips, least=5), 5, least=5)
    >>> radio.source, len(radio.queries), len(radio.train) + len(radio.validation)
    (('radio',), 20, 20)
    """
    if len(sources.values) < 2:
        raise DataError(
            "sources",
            f"all clips come from one: {_shorten(sources.values[0])}",
            expected=f"two or more, each with {least} artists or more",
            remedy="say in a column of clips.csv where clips come from, and name it in "
            "clips.source_column",
        )
    folds = []
    for number, values in enumerate(sources.values):
        queries = tuple(each for each in artists if sources.of_artists[each] == number)
        others = [each for each in artists if sources.of_artists[each] != number]
        inner = fold_of(others, n_folds) == 0
        parts = {
            "train": tuple(each for each, out in zip(others, inner, strict=True) if not out),
            "validation": tuple(each for each, out in zip(others, inner, strict=True) if out),
        }
        counts = {"test": len(queries)} | {name: len(part) for name, part in parts.items()}
        needed = {"test": max(least, MIN_ARTISTS)}
        if any(count < needed.get(name, MIN_ARTISTS) for name, count in counts.items()):
            raise DataError(
                f"source {_shorten(values)}",
                ", ".join(f"{count} {name} artists" for name, count in counts.items()),
                expected=f"at least {needed['test']} test artists, {MIN_ARTISTS} of the others",
                remedy="bring more artists, or lower split.min_test",
            )
        folds.append(Fold(number=number, queries=queries, left_out=(), source=values, **parts))
    return folds


def _shorten(values: Sequence[str]) -> str:
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join(map(repr, values[:3])) + more


def select_part(data: EvaluationData, fold: Fold) -> EvaluationData:
    """Select the clips that take part while a fold is held out."""
    part = data.without(fold.left_out)
    if fold.source is None:
        return part
    clips = part.spectrograms.clips
    of_queries = clips["artist"].isin(set(fold.queries))
    remain = np.flatnonzero(of_queries == clips["source"].isin(set(fold.source)))
    return replace(part, spectrograms=part.spectrograms.select(remain))


def fold_by_column(artists: pd.DataFrame, clips: Path, column: str, n_folds: int) -> Ints:
    """Find the fold of each artist (id, name, mbid) by a column of clips.csv; (artists,).

    Raises
    ------
    DataError
        No such column, an artist without a value, or with several.
    """
    table = read_clip_rows(clips)
    known = table.columns
    if column not in known:
        near = nearest(column, known)
        raise DataError(
            f"{clips}:1",
            f"has no column '{column}'",
            expected=f"one of {', '.join(known)}",
            remedy=f"did you mean '{near[0]}'?" if near else "name one of these in --fold-by",
        )
    value_of_file = {row.values["file"]: row.values[column] for row in table.rows}
    values_of_artist: dict[str, set[str]] = {}
    for row in resolve(read_data_clips(clips.parent), artists).itertuples():
        values_of_artist.setdefault(str(row.artist), set()).add(value_of_file[str(row.file)])
    texts = []
    for row in artists.itertuples():
        values = values_of_artist.get(str(row.artist), set())
        if len(values) != 1 or "" in values:
            listed = ", ".join(map(repr, sorted(values))) or "nothing"
            raise DataError(
                f"{clips}: {column}",
                f"holds {listed} for {row.name}",
                expected="one value for all clips of an artist",
                remedy="fix the column, or leave --fold-by out",
            )
        texts.append(values.pop())
    return fold_of(texts, n_folds)


def left_out_mask(artists: Sequence[str], folds: Sequence[Fold]) -> Bools:
    """Mark the artists that take no part while each artist is a query; (artists, artists)."""
    row = {artist: at for at, artist in enumerate(artists)}
    mask = np.zeros((len(artists), len(artists)), dtype=np.bool_)
    for fold in folds:
        queries, left_out = ([row[id_] for id_ in ids] for ids in (fold.queries, fold.left_out))
        mask[np.ix_(queries, left_out)] = True
    return mask
